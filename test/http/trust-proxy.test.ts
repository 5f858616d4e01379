/** Whose address the rate limit counts: a client cannot choose it, a load balancer can tell it. */
import { request } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { FakeReader } from './fake-reader.js';
import { FakeWriter } from './fake-writer.js';
import { portOf } from './fuzz-run.js';

const PER_SECOND = 5;
const MANY = 100;

describe.each(['read', 'write'] as const)('the rate limit of the %s app', (app) => {
  /** An app that listens, and what sends it a request over a new connection from `from`. */
  async function serve(trustProxy?: readonly string[]) {
    const limits = { rateLimitPerSecond: PER_SECOND };
    const options = trustProxy === undefined ? {} : { trustProxy };
    const server = createServer({ logLevel: 'silent', ...options });
    if (app === 'read') await server.register(readApp, { reader: new FakeReader(), limits });
    else await server.register(writeApp, { writer: new FakeWriter(), limits });
    onTestFinished(async () => void (await server.close()));
    await server.listen({ host: '127.0.0.1', port: 0 });
    const port = portOf(server);
    return (headers: Record<string, string>, from = '127.0.0.1') =>
      new Promise<number>((resolve, reject) => {
        const host = '127.0.0.1';
        const sent = request({ host, port, localAddress: from, path: '/v1/status', headers });
        sent.on('error', reject).on('response', (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        });
        sent.end();
      });
  }

  /** The statuses that many requests at once are answered with. */
  async function statusesOf(send: (index: number) => Promise<number>): Promise<number[]> {
    const statuses = await Promise.all(Array.from({ length: MANY }, (_, index) => send(index)));
    return [...new Set(statuses)].toSorted();
  }

  test.each([
    'x-forwarded-for',
    'x-real-ip',
    'forwarded',
    'x-client-ip',
    'true-client-ip',
    'cf-connecting-ip',
  ])('is not escaped by a client that sends %s', async (header) => {
    const send = await serve();
    const value = (index: number) => {
      const address = `10.0.0.${index}`;
      return header === 'forwarded' ? `for=${address}` : address;
    };
    expect(await statusesOf((index) => send({ [header]: value(index) }))).toEqual([200, 429]);
  });

  test('is of the address that a trusted load balancer tells', async () => {
    const send = await serve(['127.0.0.0/30']);
    const from = (index: number) => ({ 'x-forwarded-for': `10.0.0.${index}` });
    expect(await statusesOf((index) => send(from(index)))).toEqual([200]);
    expect(await statusesOf(() => send(from(200)))).toEqual([200, 429]);
  });

  test('is not escaped by what a client tells a trusted load balancer', async () => {
    const send = await serve(['127.0.0.1', '10.9.0.0/16']);
    // Each balancer adds who asked it, behind whatever it was sent.
    const told = (index: number) => ({ 'x-forwarded-for': `10.0.0.${index}, 10.1.1.1, 10.9.0.7` });
    expect(await statusesOf((index) => send(told(index)))).toEqual([200, 429]);
  });

  test('is not escaped by a client that is no trusted load balancer', async () => {
    const send = await serve(['127.0.0.1']);
    const from = (index: number) => ({ 'x-forwarded-for': `10.0.0.${index}` });
    expect(await statusesOf((index) => send(from(index), '127.0.0.2'))).toEqual([200, 429]);
  });

  test('is of the load balancer where it tells nothing', async () => {
    const send = await serve(['127.0.0.1']);
    expect(await statusesOf(() => send({}))).toEqual([200, 429]);
  });
});
