/**
 * Over HTTP from end to end: what the write app takes in data center A, the read app answers in data
 * center B, byte for byte and under the very same key.
 */
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { createReader } from '../../src/reader/create-reader.js';
import { Maintenance } from '../../src/writer/maintenance.js';
import { Writer } from '../../src/writer/writer.js';
import { observed } from '../http/declared.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';

const TOKEN = 'a-token';
const logger = createServer({ logLevel: 'silent' }).log;

describe.each(flavors)('the HTTP apps on %s', (flavor) => {
  let database: TestDatabase;
  let writeServer: FastifyInstance;
  let readServer: FastifyInstance;
  const answers: ReturnType<typeof observed>[] = [];

  beforeAll(async () => {
    database = await createDatabase(flavor);
    const writer = new Writer({ mysql: database.writer });
    const maintenance = new Maintenance({ pool: writer.pool, logger, registry: writer.metrics });
    writeServer = createServer({ logLevel: 'silent' });
    answers.push(observed(writeServer));
    await writeServer.register(writeApp, {
      writer,
      maintenance,
      tokens: [TOKEN],
      onClose: async () => {
        await maintenance.stop();
        await writer.close();
      },
    });
    maintenance.start();
    const { b: mysql, redis } = database;
    const reader = createReader({ mysql, redis, pollIntervalMs: 20, logger });
    readServer = createServer({ logLevel: 'silent' });
    answers.push(observed(readServer));
    await readServer.register(readApp, { reader, onClose: () => reader.stop() });
    await reader.start();
    await vi.waitUntil(() => reader.ready, { timeout: 10_000 });
  });

  afterAll(async () => {
    for (const one of answers) expect(await one.faults()).toEqual([]); // all of them are declared
    await writeServer.close();
    await readServer.close();
    await database.drop();
  });

  type Answer = { status: number; body: string; json: Record<string, unknown>; etag: string };

  async function write(
    method: 'PUT' | 'DELETE' | 'POST',
    url: string,
    payload?: string | Buffer,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await writeServer.inject({
      method,
      url,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      ...(payload === undefined ? {} : { payload }),
    });
    const { statusCode: status, body } = response;
    return { status, body, json: response.json(), etag: String(response.headers.etag) };
  }

  /** Reads what a write that answered `version` left behind. */
  const read = (url: string, version: unknown) =>
    readServer.inject({ url, headers: { 'tidemark-min-version': String(version) } });

  const rows = async () => {
    const [row] = await query(database.a, 'SELECT COUNT(*) AS n FROM configs');
    return Number(row?.n);
  };

  test.each([
    ['null', 'null'],
    ['zero', '0'],
    ['empty text', '""'],
    ['empty list', '[]'],
    ['a big number and odd spaces', ' {"n" :12345678901234567890,\r\n\t"x": 1.00 } '],
    ['escapes and emoji', '{"\\u00e9":"\u{1F9ED} \\\\ \' ` ; -- ? %s"}'],
  ])('%s is served as it was sent', async (key, value) => {
    const url = `/v1/configs/${encodeURIComponent(key)}`;
    const { status, json, etag } = await write('PUT', url, value);
    expect([status, json]).toEqual([201, { key, version: expect.any(Number) }]);
    const response = await read(url, json.version);
    expect([response.statusCode, response.body]).toEqual([200, value]);
    expect(response.headers).toMatchObject({ etag, 'tidemark-version': String(json.version) });
    expect((await write('PUT', url, value)).status).toBe(200);
  });

  test('keys that look alike are keys of their own, in the path as in lists', async () => {
    const keys = [
      'x/y',
      'x%2Fy',
      'x y',
      'x y ',
      'X/Y',
      'x,y',
      'x+y',
      '\u{1F9ED}',
      '__proto__',
      'constructor',
      "'; DROP TABLE configs; --",
      'é',
      'e',
      '\u{1F9ED}'.repeat(255),
    ];
    let version: unknown;
    for (const [index, key] of keys.entries()) {
      const answer = await write('PUT', `/v1/configs/${encodeURIComponent(key)}`, `${index}`);
      expect([key, answer.status]).toEqual([key, 201]);
      version = answer.json.version;
    }
    for (const [index, key] of keys.entries()) {
      const { body } = await read(`/v1/configs/${encodeURIComponent(key)}`, version);
      expect([key, body]).toEqual([key, `${index}`]);
    }
    const list = await read(
      `/v1/configs?keys=${keys.map(encodeURIComponent).join()},nope`,
      version,
    );
    expect(list.json().items.map(({ key }: { key: string }) => key)).toEqual(keys);
    expect(list.json().missing).toEqual(['nope']);
    const pages = await read('/v1/configs?prefix=x&limit=1000', version);
    expect(
      pages
        .json()
        .items.map(({ key }: { key: string }) => key)
        .sort(),
    ).toEqual(keys.filter((key) => key.startsWith('x')).sort());
  });

  test('what is refused leaves nothing behind', async () => {
    const before = await rows();
    const cases: [string, string | Buffer, number, string][] = [
      ['/v1/configs/', '1', 400, 'invalid_key'],
      [`/v1/configs/${'x'.repeat(256)}`, '1', 400, 'invalid_key'],
      ['/v1/configs/a%09b', '1', 400, 'invalid_key'],
      ['/v1/configs/a%C2%85b', '1', 400, 'invalid_key'],
      ['/v1/configs/bad%ff', '1', 400, 'invalid_request'],
      ['/v1/configs/bad', '', 400, 'invalid_value'],
      ['/v1/configs/bad', 'not json', 400, 'invalid_value'],
      ['/v1/configs/bad', Buffer.from([0x22, 0xc3, 0x22]), 400, 'invalid_value'],
      ['/v1/configs/bad', '\ufeff{}', 400, 'invalid_value'],
      ['/v1/configs/bad', '['.repeat(1_000_000), 400, 'invalid_value'],
      ['/v1/configs/bad', `"${'x'.repeat(1_048_575)}"`, 413, 'value_too_large'],
    ];
    for (const [url, body, status, code] of cases) {
      expect((await write('PUT', url, body)).json).toMatchObject({ status, code });
    }
    expect(await rows()).toBe(before);
  });

  test('a value of exactly 1 MiB is stored and served', async () => {
    const value = `"${'x'.repeat(1_048_574)}"`;
    const { status, json } = await write('PUT', '/v1/configs/large', value);
    expect(status).toBe(201);
    expect((await read('/v1/configs/large', json.version)).body).toBe(value);
  });

  test('a batch is all or nothing, and deletes as it puts', async () => {
    await write('PUT', '/v1/configs/old', '1');
    const type = { 'content-type': 'application/json' };
    const refused = '{"put": {"b1": 1, "": 2}, "delete": ["old"]}';
    expect((await write('POST', '/v1/batch', refused, type)).json).toMatchObject({
      code: 'invalid_key',
    });
    const body = '{"put": {"b1": 12345678901234567890, "b2": { "x":1.0 }}, "delete": ["old"]}';
    const { status, json } = await write('POST', '/v1/batch', body, type);
    expect(status).toBe(200);
    expect((await read('/v1/configs?keys=b1,b2,old', json.version)).body).toMatch(
      /"value":12345678901234567890}.*"value":{ "x":1.0 }}.*"missing":\["old"\]/,
    );
  });

  test('conditional writes: the first wins, the second learns of it', async () => {
    const url = '/v1/configs/conditional';
    const first = await write('PUT', url, '1', { 'if-none-match': '*' });
    expect(first.status).toBe(201);
    expect((await write('PUT', url, '2', { 'if-none-match': '*' })).status).toBe(412);
    const { headers } = await read(url, first.json.version);
    const match = { 'if-match': String(headers.etag) };
    expect((await write('PUT', url, '3', match)).status).toBe(200);
    expect((await write('PUT', url, '4', match)).status).toBe(412);
    expect((await write('DELETE', url, undefined, match)).status).toBe(412);
    const gone = await write('DELETE', url);
    expect(gone.status).toBe(200);
    const response = await read(url, gone.json.version);
    expect(response.statusCode).toBe(404);
    expect(Number(response.headers['tidemark-as-of'])).toBeGreaterThanOrEqual(
      Number(gone.json.version),
    );
    expect((await write('DELETE', url)).status).toBe(404);
  });

  test('a version that is not there yet is waited for, then said to be missing', async () => {
    const response = await read('/v1/configs/any', 9_007_199_254_740_991);
    expect(response.statusCode).toBe(504);
    expect(response.json()).toMatchObject({ code: 'not_fresh' });
  });

  test('both are ready, and show their state and metrics', async () => {
    for (const [server, role] of [
      [writeServer, 'write'],
      [readServer, 'read'],
    ] as const) {
      expect((await server.inject('/health/ready')).json()).toEqual({ ready: true, reasons: [] });
      const headers = { authorization: `Bearer ${TOKEN}` };
      expect((await server.inject({ url: '/v1/status', headers })).json()).toMatchObject({ role });
      expect((await server.inject('/metrics')).body).toContain('# TYPE tidemark_');
    }
  });

  test('a database without the migration: not ready, and which command to run', async () => {
    const bare = await createDatabase(flavor, { migrated: false });
    const writer = new Writer({ mysql: bare.a });
    const server = createServer({ logLevel: 'silent' });
    await server.register(writeApp, { writer, onClose: () => writer.close() });
    const put = await server.inject({ method: 'PUT', url: '/v1/configs/a', payload: '1' });
    expect(put.json()).toMatchObject({ status: 503, code: 'schema' });
    expect(put.json().detail).toContain('tidemark migrate');
    const ready = await server.inject('/health/ready');
    expect(ready.statusCode).toBe(503);
    expect(ready.json().reasons.join()).toContain('tidemark migrate');
    await server.close();
    await bare.drop();
  });
});
