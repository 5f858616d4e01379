import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NotFreshError, UnavailableError } from '../../src/errors.js';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { observed } from './declared.js';
import { ANNOUNCEMENT, FakeReader, HEAD } from './fake-reader.js';

let reader: FakeReader;
let server: FastifyInstance;
let answers: ReturnType<typeof observed>;

beforeEach(async () => {
  reader = new FakeReader();
  server = createServer({ logLevel: 'silent' });
  answers = observed(server);
  await server.register(readApp, { reader });
});

afterEach(async () => {
  expect(await answers.faults()).toEqual([]); // all of them are declared
  await server.close();
});

const get = (url: string, headers: Record<string, string> = {}) => server.inject({ url, headers });

async function expectProblem(url: string, status: number, code: string, headers = {}) {
  const response = await get(url, headers);
  expect(response.headers['content-type']).toBe('application/problem+json');
  expect(response.json()).toMatchObject({ status, code, detail: expect.any(String) });
  expect(response.statusCode).toBe(status);
  return response;
}

describe('GET /v1/configs/{key}', () => {
  test('answers the stored bytes and says what they are', async () => {
    const stored = '{ "big": 12345678901234567890,\n "x": 1.0 }';
    reader.put('a', stored);
    const response = await get('/v1/configs/a');
    expect(response.body).toBe(stored);
    expect(response.headers).toMatchObject({
      'content-type': 'application/json',
      etag: expect.stringMatching(/^"7-[0-9a-f]{16}"$/),
      'tidemark-version': '7',
      'tidemark-as-of': String(HEAD),
      'tidemark-tier': 'redis',
      'cache-control': 'no-cache',
    });
    expect(response.headers).not.toHaveProperty('tidemark-stale');
  });

  test.each(['null', '0', '""', '[]', 'false'])('answers the value %s as itself', async (value) => {
    reader.put('a', value);
    const response = await get('/v1/configs/a');
    expect([response.statusCode, response.body]).toEqual([200, value]);
  });

  test.each([
    ['/v1/configs/a/b', 'a/b'],
    ['/v1/configs/a%2Fb', 'a/b'],
    ['/v1/configs/a%252Fb', 'a%2Fb'],
    ['/v1/configs/a%20b%20', 'a b '],
    ['/v1/configs/a+b', 'a+b'],
    ['/v1/configs/%F0%9F%A7%AD', '\u{1F9ED}'],
    ['/v1/configs/%3F%23%2C', '?#,'],
    ['/v1/configs//', '/'],
    ['/v1/configs/__proto__', '__proto__'],
    ['/v1/configs/constructor', 'constructor'],
    [`/v1/configs/${'%F0%9F%A7%AD'.repeat(255)}`, '\u{1F9ED}'.repeat(255)],
  ])('%s is the key, decoded once', async (url, key) => {
    reader.put(key, '"it"');
    expect((await get(`${url}?x=/`)).body).toBe('"it"');
  });

  test('answers from memory what it answers otherwise, absences and faults too', async () => {
    reader.put('a', '1');
    const requests: [url: string, headers?: Record<string, string>][] = [
      ['/v1/configs/a'],
      ['/v1/configs/a', { 'if-none-match': '*' }],
      ['/v1/configs/a', { 'if-none-match': 'no quotes' }],
      ['/v1/configs/%zz'],
      ['/v1/configs/gone'],
    ];
    for (const [url, headers] of requests) {
      reader.holds = false;
      const loaded = await get(url, headers);
      reader.holds = true;
      const held = await get(url, headers);
      const ofTier = (tier: string) => ({ ...loaded.headers, 'tidemark-tier': tier });
      const expected = loaded.headers['tidemark-tier'] ? ofTier('local') : loaded.headers;
      expect({ ...held.headers, date: '' }).toEqual({ ...expected, date: '' });
      expect([held.statusCode, held.body]).toEqual([loaded.statusCode, loaded.body]);
    }
  });

  test('waits when the request demands it, whatever is held', async () => {
    reader.put('a', '1');
    reader.holds = true;
    const demand = { 'tidemark-min-version': '9' };
    expect((await get('/v1/configs/a', demand)).headers['tidemark-tier']).toBe('redis');
    expect(reader.asked).toEqual([{ minVersion: 9 }]);
  });

  test('tells keys apart that differ in case or trailing space', async () => {
    reader.put('a', '1');
    for (const url of ['/v1/configs/A', '/v1/configs/a%20', '/v1/configs/toString']) {
      await expectProblem(url, 404, 'not_found');
    }
  });

  test('says that there is no such key, as of when and by which tier', async () => {
    const { headers } = await expectProblem('/v1/configs/gone', 404, 'not_found');
    expect(headers).toMatchObject({ 'tidemark-as-of': String(HEAD), 'tidemark-tier': 'redis' });
    expect(headers).not.toHaveProperty('etag');
  });

  test('refuses what cannot be a key', async () => {
    await expectProblem('/v1/configs/', 400, 'invalid_key');
    await expectProblem('/v1/configs/a%0Ab', 400, 'invalid_key');
    await expectProblem(`/v1/configs/${'x'.repeat(256)}`, 400, 'invalid_key');
    await expectProblem('/v1/configs/a%zz', 400, 'invalid_request');
    await expectProblem('/v1/configs/a%ff', 400, 'invalid_request');
  });

  test('answers 304 when the client has it already', async () => {
    reader.put('a', '1');
    const etag = String((await get('/v1/configs/a')).headers.etag);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const response = await get('/v1/configs/a', { 'if-none-match': known });
      expect([response.statusCode, response.body]).toEqual([304, '']);
      expect(response.headers).toMatchObject({ etag, 'tidemark-version': '7' });
    }
    expect((await get('/v1/configs/a', { 'if-none-match': '"other"' })).statusCode).toBe(200);
    await expectProblem('/v1/configs/a', 400, 'invalid_request', { 'if-none-match': 'unquoted' });
  });

  test('answers HEAD like GET, without the body', async () => {
    reader.put('a', '{"x":1}');
    const response = await server.inject({ method: 'HEAD', url: '/v1/configs/a' });
    expect(response.statusCode).toBe(200);
    expect(response.body).toBe('');
    expect(response.headers).toMatchObject({ 'content-length': '7', 'tidemark-version': '7' });
  });

  test('marks an answer as stale only when it is', async () => {
    reader.put('a', '1');
    reader.stale = true;
    expect((await get('/v1/configs/a')).headers['tidemark-stale']).toBe('true');
  });

  test('passes the demands of the headers on', async () => {
    await get('/v1/configs/a', {
      'tidemark-min-version': '9007199254740991',
      'tidemark-max-staleness-ms': '0',
    });
    expect(reader.asked).toEqual([{ minVersion: 9007199254740991, maxStalenessMs: 0 }]);
  });

  test.each([
    ['tidemark-min-version', ['0', '-1', 'x', '1.5', '1e3', '9007199254740992', '', ' ', '1, 2']],
    ['tidemark-max-staleness-ms', ['-1', 'x', '0x10', '99999999999999999999']],
  ])('refuses an absurd %s', async (name, values) => {
    for (const value of values) {
      await expectProblem('/v1/configs/a', 400, 'invalid_request', { [name]: value });
    }
    expect(reader.asked).toEqual([]);
  });

  test('says 504 when it is not fresh enough, 503 when nothing answers', async () => {
    reader.failure = new NotFreshError('Expected version 9.');
    await expectProblem('/v1/configs/a', 504, 'not_fresh');
    reader.failure = new UnavailableError('Expected an answer.');
    const { headers } = await expectProblem('/v1/configs/a', 503, 'unavailable');
    expect(headers['retry-after']).toBe('1');
  });

  test('shows nothing of an unexpected error', async () => {
    reader.failure = new Error('password=hunter2 at /srv/app.js');
    const { body } = await expectProblem('/v1/configs/a', 500, 'internal');
    expect(body).not.toContain('hunter2');
  });
});

describe('GET /v1/configs?keys=', () => {
  test('answers what is there and names what is not', async () => {
    reader.put('a', '{ "n": 12345678901234567890 }', 5);
    reader.put('b,c', '[]', 6);
    reader.put('__proto__', 'null', 8);
    const response = await get('/v1/configs?keys=a,b%2Cc,zz&keys=__proto__,a&keys=constructor');
    expect(response.body).toBe(
      `{"asOf":${HEAD},"items":[` +
        '{"key":"a","version":5,"value":{ "n": 12345678901234567890 }},' +
        '{"key":"b,c","version":6,"value":[]},' +
        '{"key":"__proto__","version":8,"value":null}],' +
        '"missing":["zz","constructor"]}',
    );
  });

  test('gives a text that is not JSON as a string, and stays JSON itself', async () => {
    reader.put('a', 'not "json"');
    reader.put('b', Buffer.from([0x22, 0xff, 0x22]));
    expect((await get('/v1/configs?keys=a,b')).json().items).toEqual([
      { key: 'a', version: 7, text: 'not "json"' },
      { key: 'b', version: 7, text: '"\ufffd"' },
    ]);
  });

  test('takes at most 1,000 keys, all of which can be keys', async () => {
    const keys = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`).join();
    expect((await get(`/v1/configs?keys=${keys(1000)}`)).json().missing).toHaveLength(1000);
    await expectProblem(`/v1/configs?keys=${keys(1001)}`, 400, 'invalid_request');
    await expectProblem('/v1/configs?keys=', 400, 'invalid_key');
    await expectProblem('/v1/configs?keys=a,,b', 400, 'invalid_key');
    await expectProblem('/v1/configs?keys=a%zz', 400, 'invalid_request');
  });

  test('refuses more bytes than one answer may hold', async () => {
    for (let index = 0; index < 60; index += 1) reader.put(`k${index}`, `"${'x'.repeat(400_000)}"`);
    const keys = [...reader.rows.keys()].join();
    await expectProblem(`/v1/configs?keys=${keys}`, 413, 'response_too_large');
  });
});

describe('GET /v1/configs?prefix=', () => {
  test('pages through the keys with a prefix', async () => {
    for (const key of ['p/a', 'p/b', 'p/c', 'q']) reader.put(key, `"${key}"`);
    const first = (await get('/v1/configs?prefix=p%2F&limit=2')).json();
    expect(first).toEqual({
      asOf: HEAD,
      items: [
        { key: 'p/a', version: 7, value: 'p/a' },
        { key: 'p/b', version: 7, value: 'p/b' },
      ],
      next: 'p/b',
    });
    const second = (await get(`/v1/configs?prefix=p/&limit=2&after=${first.next}`)).json();
    expect(second).toMatchObject({ items: [{ key: 'p/c' }], next: null });
  });

  test('refuses a limit that is none, and a question that is none or two', async () => {
    for (const limit of ['0', '1001', 'x', '']) {
      await expectProblem(`/v1/configs?prefix=p&limit=${limit}`, 400, 'invalid_request');
    }
    await expectProblem('/v1/configs', 400, 'invalid_request');
    await expectProblem('/v1/configs?keys=a&prefix=p', 400, 'invalid_request');
    await expectProblem('/v1/configs?prefix=a&prefix=b', 400, 'invalid_request');
  });
});

describe('the rest of the read app', () => {
  test('is ready when its reader is, and says why it is not', async () => {
    expect((await get('/health/live')).json()).toEqual({ live: true });
    expect((await get('/health/ready')).json()).toEqual({ ready: true, reasons: [] });
    reader.ready = false;
    const response = await get('/health/ready');
    expect(response.statusCode).toBe(503);
    expect(response.json()).toEqual({
      ready: false,
      reasons: [expect.stringContaining('MYSQL_B_URL')],
    });
  });

  test('gives metrics and status', async () => {
    expect((await get('/metrics')).headers['content-type']).toContain('text/plain');
    expect((await get('/v1/status')).json()).toMatchObject({ role: 'read', applied: HEAD });
  });

  test('says 404 for another path and 405 for another method', async () => {
    await expectProblem('/v2', 404, 'no_such_route');
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
      const response = await server.inject({ method, url: '/v1/configs/a', payload: '{}' });
      expect(response.json()).toMatchObject({ status: 405, code: 'method_not_allowed' });
      expect(response.headers.allow).toBe('GET, HEAD');
    }
  });

  test('opens to its tokens only, except health and metrics', async () => {
    const closed = createServer({ logLevel: 'silent' });
    await closed.register(readApp, { reader, tokens: ['one', 'two'] });
    reader.put('a', '1');
    for (const url of ['/v1/configs/a', '/v1/configs?keys=a', '/v1/status']) {
      for (const authorization of ['', 'Bearer', 'Bearer three', 'Basic one', 'one']) {
        const response = await closed.inject({ url, headers: { authorization } });
        expect(response.json()).toMatchObject({ status: 401, code: 'unauthorized' });
        expect(response.headers['www-authenticate']).toBe('Bearer');
      }
      const authorization = 'Bearer two';
      expect((await closed.inject({ url, headers: { authorization } })).statusCode).toBe(200);
    }
    for (const url of ['/health/live', '/health/ready', '/metrics']) {
      expect((await closed.inject({ url })).statusCode).toBe(200);
    }
    await closed.close();
  });

  test('leaves the service that embeds it as it was', async () => {
    let closed = 0;
    const host = Fastify();
    host.post('/own', async (request) => ({ body: request.body }));
    host.get('/fails', async () => {
      throw new Error('mine');
    });
    const onClose = async () => {
      closed += 1;
    };
    await host.register(
      async (part) => {
        await part.register(readApp, { reader, tokens: ['one'], onClose });
      },
      { prefix: '/tidemark' },
    );
    reader.put('a/b', '1');
    const authorization = 'Bearer one';
    const url = '/tidemark/v1/configs/a%2Fb';
    expect((await host.inject({ url, headers: { authorization } })).body).toBe('1');
    expect((await host.inject({ method: 'POST', url: '/own', payload: { x: 1 } })).json()).toEqual({
      body: { x: 1 },
    });
    expect((await host.inject('/fails')).json()).toMatchObject({ message: 'mine' });
    await host.close();
    expect(closed).toBe(1);
  });
});

describe('GET /v1/readers', () => {
  test('answers who is there, and nothing that is not declared', async () => {
    const response = await get('/v1/readers');
    expect(response.json()).toEqual({ readers: [ANNOUNCEMENT] });
  });

  test('says that Redis does not', async () => {
    reader.failure = new UnavailableError('Expected Redis to say which readers there are.');
    const response = await expectProblem('/v1/readers', 503, 'unavailable');
    expect(response.headers).toHaveProperty('retry-after');
  });
});
