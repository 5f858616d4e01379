/** What stands before the routes: shedding of load, tokens, rate limit. */
import crypto from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Limits } from '../../src/http/limits.js';
import { until } from '../support/until.js';
import { observed } from './declared.js';
import { FakeReader } from './fake-reader.js';

const OPEN = ['/health/live', '/health/ready', '/metrics', '/v1/openapi.json'];

async function serve(options: { tokens?: readonly string[]; limits?: Limits }) {
  // Only now, so that a test can take the place of what they use.
  const { createServer } = await import('../../src/http/serve.js');
  const { readApp } = await import('../../src/http/read-app.js');
  const reader = new FakeReader();
  reader.put('a', '1');
  const server: FastifyInstance = createServer({ logLevel: 'silent' });
  const answers = observed(server);
  await server.register(readApp, { reader, ...options });
  onTestFinished(async () => {
    expect(await answers.faults()).toEqual([]); // all of them are declared
    await server.close();
  });
  const get = (url: string, token?: string, remoteAddress = '127.0.0.1') =>
    server.inject({
      url,
      remoteAddress,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
  return { reader, server, get };
}

describe('tokens', () => {
  // First in this file: what compares takes the function when it is loaded.
  test('are compared in constant time, whatever their length, and none is let in early', async () => {
    const compare = vi.spyOn(crypto, 'timingSafeEqual');
    const { get, reader } = await serve({ tokens: ['first-token', 'a-longer-second-token'] });
    for (const wrong of [
      'x',
      'first-tokeX',
      'Xirst-token',
      'first-token2',
      'a-longer-second-tokeX',
    ]) {
      compare.mockClear();
      const response = await get('/v1/configs/a', wrong);
      expect(response.json()).toMatchObject({ status: 401, code: 'unauthorized' });
      expect(compare).toHaveBeenCalledTimes(2); // once for each token, the first match or not
    }
    for (const nothing of [undefined, '']) {
      expect((await get('/v1/configs/a', nothing)).statusCode).toBe(401);
    }
    expect(reader.asked).toEqual([]);
    expect((await get('/v1/configs/a', 'first-token')).statusCode).toBe(200);
    expect((await get('/v1/configs/a', 'a-longer-second-token')).statusCode).toBe(200);
  });
});

describe('the rate limit', () => {
  test('is of one address where there are no tokens, and tells when to come again', async () => {
    const { get, reader } = await serve({ limits: { rateLimitPerSecond: 3 } });
    const statuses: number[] = [];
    for (let one = 0; one < 10; one += 1) {
      statuses.push((await get('/v1/configs/a', undefined, '10.0.0.1')).statusCode);
    }
    expect(statuses.slice(0, 3)).toEqual([200, 200, 200]);
    expect(statuses).toContain(429);
    expect(reader.asked.length).toBe(statuses.filter((status) => status === 200).length);
    const refused = await until('a refusal', async () => {
      const response = await get('/v1/configs/a', undefined, '10.0.0.1');
      return response.statusCode === 429 && response;
    });
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.headers['content-type']).toBe('application/problem+json');
    expect(refused.json()).toMatchObject({ status: 429, code: 'too_many_requests' });
    expect((await get('/v1/configs/a', undefined, '10.0.0.2')).statusCode).toBe(200);
    for (const url of OPEN) {
      expect((await get(url, undefined, '10.0.0.1')).statusCode).toBe(200);
    }
    await until('the next second', async () => {
      return (await get('/v1/configs/a', undefined, '10.0.0.1')).statusCode === 200;
    });
  });

  test('is of one token where there are, however it is written', async () => {
    const { get } = await serve({ tokens: ['one', 'two'], limits: { rateLimitPerSecond: 5 } });
    const statuses = new Set<number>();
    for (let one = 0; one < 20; one += 1) {
      const address = `10.0.0.${one}`;
      statuses.add((await get('/v1/configs/a', `${' '.repeat(one)}one`, address)).statusCode);
    }
    expect([...statuses]).toEqual([200, 429]);
    expect((await get('/v1/configs/a', 'two')).statusCode).toBe(200);
    // Whoever has no token takes nothing from those who have.
    expect((await get('/v1/configs/a', 'three')).statusCode).toBe(401);
  });

  test('is not there unless it is asked for', async () => {
    const { get } = await serve({});
    for (let one = 0; one < 2_000; one += 1) {
      expect((await get('/v1/configs/a')).statusCode).toBe(200);
    }
  });
});

describe('a process that is behind with its work', () => {
  test('refuses more of it with 503, says when to come again, and recovers', async () => {
    const { get, reader } = await serve({ limits: { maxEventLoopDelayMs: 20 } });
    expect((await get('/v1/configs/a')).statusCode).toBe(200);
    const refused = await until('a refusal', async () => {
      const endMs = performance.now() + 100;
      while (performance.now() < endMs); // nothing else can be done meanwhile
      await new Promise((resolve) => setTimeout(resolve, 1));
      const response = await get('/v1/configs/a');
      return response.statusCode === 503 && response;
    });
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.json()).toMatchObject({ status: 503, code: 'unavailable' });
    const asked = reader.asked.length;
    expect((await get('/v1/configs/a')).statusCode).toBe(503);
    expect(reader.asked.length).toBe(asked);
    for (const url of OPEN) expect((await get(url)).statusCode).toBe(200);
    await until('recovery', async () => (await get('/v1/configs/a')).statusCode === 200);
  });
});
