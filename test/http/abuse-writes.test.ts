/** The write app under more than it may take: rate limit, load it is behind with, a writer that is full. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { UnavailableError } from '../../src/errors.js';
import { createServer } from '../../src/http/serve.js';
import { type WriteAppOptions, writeApp } from '../../src/http/write-app.js';
import { until } from '../support/until.js';
import { observed } from './declared.js';
import { FakeWriter } from './fake-writer.js';
import { portOf } from './fuzz-run.js';

const OPEN = ['/health/live', '/health/ready', '/metrics', '/v1/openapi.json'];
/** One of each way to write. */
const WRITES = [
  { method: 'PUT', url: '/v1/configs/a', payload: '1' },
  { method: 'DELETE', url: '/v1/configs/a' },
  {
    method: 'POST',
    url: '/v1/batch',
    payload: '{"put":{"a":1}}',
    headers: { 'content-type': 'application/json' },
  },
] as const;

async function serve(options: Partial<WriteAppOptions> = {}) {
  const writer = new FakeWriter();
  writer.exists = true;
  const server = createServer({ logLevel: 'silent' });
  const answers = observed(server);
  await server.register(writeApp, { writer, ...options });
  onTestFinished(async () => {
    expect(await answers.faults()).toEqual([]); // all of them are declared
    await server.close();
  });
  const send = (write: (typeof WRITES)[number], remoteAddress = '10.0.0.1') =>
    server.inject({ ...write, remoteAddress });
  /** Sends each kind of write, again while `press` has not yet made it too much, until it is refused:
   * like that, and without a word to the writer. */
  async function expectRefused(status: number, code: string, press = async () => {}) {
    const asked = writer.asked.length;
    let taken = 0;
    for (const write of WRITES) {
      const refused = await until(`a ${status}`, async () => {
        await press();
        const response = await send(write);
        if (response.statusCode === 200) taken += 1;
        return response.statusCode !== 200 && response;
      });
      expect(refused.json()).toMatchObject({ status, code, detail: expect.any(String) });
      expect(refused.statusCode).toBe(status);
      expect(refused.headers).toMatchObject({
        'content-type': 'application/problem+json',
        'retry-after': '1',
      });
    }
    expect(writer.asked.length - asked).toBe(taken);
  }
  return { writer, server, send, expectRefused };
}

test('writes over the rate are refused with 429, whichever they are, and nothing is written', async () => {
  const { server, send, expectRefused } = await serve({ limits: { rateLimitPerSecond: 3 } });
  await expectRefused(429, 'too_many_requests');
  expect((await send(WRITES[0], '10.0.0.2')).statusCode).toBe(200); // others are not held to it
  for (const url of OPEN) {
    expect((await server.inject({ url, remoteAddress: '10.0.0.1' })).statusCode).toBe(200);
  }
  await until('the next second', async () => (await send(WRITES[0])).statusCode === 200);
});

test('the rate is that of one token, from whatever address', async () => {
  const { server } = await serve({ tokens: ['one', 'two'], limits: { rateLimitPerSecond: 3 } });
  const statusOf = async (token: string, remoteAddress: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await server.inject({ ...WRITES[0], headers, remoteAddress })).statusCode;
  };
  let last = 0;
  await until('a refusal', async () => (await statusOf('one', `10.0.0.${last++ % 250}`)) === 429);
  expect(await statusOf('two', '10.0.0.1')).toBe(200);
  expect(await statusOf('three', '10.0.0.1')).toBe(401);
});

test('the body of a write that is over the rate is not waited for', async () => {
  const { server, writer } = await serve({ limits: { rateLimitPerSecond: 1 } });
  await server.listen({ host: '127.0.0.1', port: 0 });
  /** Sends the head of a write, and no byte of its body. @returns the status, if any comes */
  const sendHead = () => {
    const sent = request({
      ...{ host: '127.0.0.1', port: portOf(server), agent: false },
      ...{ method: 'PUT', path: '/v1/configs/a', headers: { 'content-length': '50' } },
    });
    sent.on('error', () => undefined); // ended with the test
    onTestFinished(() => void sent.destroy());
    sent.flushHeaders();
    return once(sent, 'response') as Promise<IncomingMessage[]>;
  };
  // The heads that are within the rate wait for their bodies.
  const [refused] = await Promise.any(Array.from({ length: 20 }, sendHead));
  expect([refused?.statusCode, refused?.headers['retry-after']]).toEqual([429, '1']);
  expect(writer.asked).toEqual([]);
});

test('a process that is behind refuses writes with 503, and takes them again later', async () => {
  const { server, send, expectRefused } = await serve({ limits: { maxEventLoopDelayMs: 20 } });
  expect((await send(WRITES[0])).statusCode).toBe(200);
  await expectRefused(503, 'unavailable', async () => {
    const endMs = performance.now() + 100;
    while (performance.now() < endMs); // nothing else can be done meanwhile
    await new Promise((resolve) => setTimeout(resolve, 1));
  });
  for (const url of OPEN) expect((await server.inject(url)).statusCode).toBe(200);
  await until('recovery', async () => (await send(WRITES[0])).statusCode === 200);
});

test('a writer that takes no more is 503 with when to come again, whichever way to write', async () => {
  const { writer, expectRefused } = await serve();
  writer.failure = new UnavailableError('Expected room in the queue of writes, got none.');
  await expectRefused(503, 'unavailable');
});
