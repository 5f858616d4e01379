import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  OutcomeUnknownError,
  PreconditionFailedError,
  SchemaError,
  UnavailableError,
} from '../../src/errors.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { KeyCollisionError } from '../../src/writer/write-errors.js';
import { observed } from './declared.js';
import { FakeWriter, MAX_VALUE_BYTES } from './fake-writer.js';

let writer: FakeWriter;
let server: FastifyInstance;
let answers: ReturnType<typeof observed>;

beforeEach(async () => {
  writer = new FakeWriter();
  server = createServer({ logLevel: 'silent' });
  answers = observed(server);
  await server.register(writeApp, { writer, maxBatchBytes: 1000 });
});

afterEach(async () => {
  expect(await answers.faults()).toEqual([]); // all of them are declared
  await server.close();
});

type Request = {
  method?: 'PUT' | 'DELETE' | 'POST' | 'GET' | 'PATCH';
  url?: string;
  body?: string | Buffer;
  headers?: Record<string, string>;
};

function send({ method = 'PUT', url = '/v1/configs/a', body, headers = {} }: Request) {
  return server.inject({ method, url, headers, ...(body === undefined ? {} : { payload: body }) });
}

async function expectProblem(request: Request, status: number, code: string) {
  const response = await send(request);
  expect(response.json()).toMatchObject({ status, code, detail: expect.any(String) });
  expect(response.headers['content-type']).toBe('application/problem+json');
  expect(response.statusCode).toBe(status);
  return response;
}

describe('PUT /v1/configs/{key}', () => {
  test('passes the body on byte for byte, whatever content type a client claims', async () => {
    const text = '{ "big": 12345678901234567890,\r\n "é": "\\u00e9" }';
    const types = ['application/json', 'application/x-www-form-urlencoded', 'text/plain', 'x/y; z'];
    for (const type of types) {
      const response = await send({ body: text, headers: { 'content-type': type } });
      expect([type, response.statusCode]).toEqual([type, 201]);
    }
    await send({ body: text });
    expect(writer.asked).toEqual(Array(5).fill({ key: 'a', text, condition: { ifAbsent: false } }));
  });

  test('answers 201 for a new key, 200 for one that it replaced', async () => {
    const created = await send({ body: '1' });
    expect(created.statusCode).toBe(201);
    expect(created.json()).toEqual({ key: 'a', version: 9 });
    expect(created.headers).toMatchObject({ etag: '"9-abc"', 'tidemark-version': '9' });
    writer.exists = true;
    expect((await send({ body: '1' })).statusCode).toBe(200);
  });

  test.each(['null', '0', '""', '[]', ' {} ', '1e999'])('takes %s for a document', async (body) => {
    expect((await send({ body })).statusCode).toBe(201);
  });

  test('refuses what is not one JSON document in UTF-8, without repeating it', async () => {
    const bodies = ['', ' ', 'secret', '{"a":1}x', '\ufeff1', "{'a':1}", '['.repeat(90), 'NaN'];
    for (const body of [...bodies, Buffer.from([0x22, 0xff, 0x22]), '"\u0000"']) {
      const { body: answer } = await expectProblem({ body }, 400, 'invalid_value');
      expect(answer).not.toContain('secret');
    }
    await expectProblem({}, 400, 'invalid_value');
    expect(writer.asked).toEqual([]);
  });

  test('refuses a value over the limit with 413', async () => {
    const quoted = (length: number) => `"${'x'.repeat(length - 2)}"`;
    expect((await send({ body: quoted(MAX_VALUE_BYTES) })).statusCode).toBe(201);
    await expectProblem({ body: quoted(MAX_VALUE_BYTES + 1) }, 413, 'value_too_large');
  });

  test('refuses what cannot be a key', async () => {
    await expectProblem({ url: '/v1/configs/', body: '1' }, 400, 'invalid_key');
    await expectProblem({ url: '/v1/configs/a%00', body: '1' }, 400, 'invalid_key');
    await expectProblem({ url: '/v1/configs/%', body: '1' }, 400, 'invalid_request');
  });

  test.each([
    ['/v1/configs/a%2Fb%20', 'a/b '],
    ['/v1/configs/a/b', 'a/b'],
    ['/v1/configs/__proto__', '__proto__'],
    ['/v1/configs/%F0%9F%A7%AD', '\u{1F9ED}'],
  ])('%s is the key, decoded once', async (url, key) => {
    expect((await send({ url, body: '1' })).json()).toMatchObject({ key });
  });

  test('passes conditions on, and answers 412 when they do not hold', async () => {
    await send({ body: '1', headers: { 'if-match': '"1-a", "2-b"' } });
    await send({ body: '1', headers: { 'if-match': '*' } });
    await send({ body: '1', headers: { 'if-none-match': '*' } });
    expect(writer.asked).toMatchObject([
      { condition: { ifMatch: ['"1-a"', '"2-b"'], ifAbsent: false } },
      { condition: { ifMatch: ['*'], ifAbsent: false } },
      { condition: { ifAbsent: true } },
    ]);
    writer.failure = new PreconditionFailedError('Expected no such key.');
    await expectProblem({ body: '1' }, 412, 'precondition_failed');
  });

  test('refuses conditions that it cannot keep', async () => {
    for (const headers of [
      { 'if-match': 'unquoted' },
      { 'if-match': '' },
      { 'if-none-match': '"1-a"' },
      { 'if-none-match': '*', 'if-match': '"1-a"' },
    ] as Record<string, string>[]) {
      await expectProblem({ body: '1', headers }, 400, 'invalid_request');
    }
  });

  test.each([
    [new KeyCollisionError('x'), 409, 'key_collision'],
    [new UnavailableError('x'), 503, 'unavailable'],
    [new SchemaError('x'), 503, 'schema'],
    [new OutcomeUnknownError('x'), 504, 'outcome_unknown'],
    [new Error('hunter2'), 500, 'internal'],
  ])('maps %o to %i', async (failure, status, code) => {
    writer.failure = failure;
    const { body } = await expectProblem({ body: '1' }, status, code);
    expect(body).not.toContain('hunter2');
  });
});

describe('DELETE /v1/configs/{key}', () => {
  test('answers the version of the deletion, or 404', async () => {
    writer.exists = true;
    const response = await send({ method: 'DELETE', headers: { 'if-match': '"1-a"' } });
    expect([response.statusCode, response.json()]).toEqual([200, { key: 'a', version: 9 }]);
    expect(writer.asked).toEqual([{ key: 'a', condition: { ifMatch: ['"1-a"'] } }]);
    writer.exists = false;
    await expectProblem({ method: 'DELETE' }, 404, 'not_found');
  });

  test('refuses If-None-Match', async () => {
    const headers = { 'if-none-match': '*' };
    await expectProblem({ method: 'DELETE', headers }, 400, 'invalid_request');
  });
});

describe('POST /v1/batch', () => {
  const json = { 'content-type': 'application/json' };
  const batch = { method: 'POST', url: '/v1/batch' } as const;

  test('hands each document on as it was sent', async () => {
    const body = '{"put": {"a": 12345678901234567890, "__proto__": { "x":1 }}, "delete": ["b"]}';
    const response = await send({ ...batch, body, headers: json });
    expect([response.statusCode, response.json()]).toEqual([200, { version: 10 }]);
    expect(writer.asked).toEqual([
      {
        put: new Map([
          ['a', '12345678901234567890'],
          ['__proto__', '{ "x":1 }'],
        ]),
        delete: ['b'],
      },
    ]);
  });

  test('demands application/json, which no page of another origin can send unasked', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const headers = { 'content-type': type };
      await expectProblem({ ...batch, body: '{}', headers }, 415, 'unsupported_media_type');
    }
    await expectProblem({ ...batch, body: '{}' }, 415, 'unsupported_media_type');
  });

  test('refuses another shape with 400 and a larger body with 413', async () => {
    for (const body of ['', '[]', '{"put":1}', '{"put":{"a":1,"a":2}}', '['.repeat(999)]) {
      await expectProblem({ ...batch, body, headers: json }, 400, 'invalid_batch');
    }
    await expectProblem(
      { ...batch, body: '['.repeat(1001), headers: json },
      413,
      'value_too_large',
    );
  });
});

describe('the rest of the write app', () => {
  test('is ready when MySQL-A answers, and says why it is not', async () => {
    const ready = { method: 'GET', url: '/health/ready' } as const;
    expect((await send(ready)).json()).toEqual({ ready: true, reasons: [] });
    writer.failure = new SchemaError('Run `tidemark migrate`.');
    const response = await send(ready);
    expect(response.statusCode).toBe(503);
    expect(response.json()).toEqual({ ready: false, reasons: ['Run `tidemark migrate`.'] });
    expect((await send({ method: 'GET', url: '/health/live' })).json()).toEqual({ live: true });
  });

  test('gives metrics and status', async () => {
    expect((await send({ method: 'GET', url: '/metrics' })).statusCode).toBe(200);
    const { json } = await send({ method: 'GET', url: '/v1/status' });
    expect(json()).toEqual({ role: 'write', head: 8, maintenance: null });
  });

  test('says 405 for another method, and which there are', async () => {
    const { headers } = await expectProblem(
      { method: 'PATCH', body: '1' },
      405,
      'method_not_allowed',
    );
    expect(headers.allow).toBe('PUT, DELETE');
    await expectProblem({ method: 'GET' }, 405, 'method_not_allowed');
    await expectProblem({ method: 'GET', url: '/v1/batch' }, 405, 'method_not_allowed');
  });

  test('opens to its tokens only, before it reads a body', async () => {
    const closed = createServer({ logLevel: 'silent' });
    await closed.register(writeApp, { writer, tokens: ['one'] });
    const payload = `"${'x'.repeat(MAX_VALUE_BYTES)}"`;
    for (const [method, url] of [
      ['PUT', '/v1/configs/a'],
      ['DELETE', '/v1/configs/a'],
      ['POST', '/v1/batch'],
      ['GET', '/v1/status'],
    ] as const) {
      const response = await closed.inject({ method, url, payload });
      expect(response.json()).toMatchObject({ status: 401, code: 'unauthorized' });
    }
    const headers = { authorization: 'Bearer one' };
    const request = { method: 'PUT', url: '/v1/configs/a', payload: '1', headers } as const;
    expect((await closed.inject(request)).statusCode).toBe(201);
    await closed.close();
  });

  test('leaves the body parsers and errors of the service that embeds it as they were', async () => {
    const host = Fastify();
    host.post('/own', async (request) => ({ body: request.body }));
    await host.register(writeApp, { writer, tokens: ['one'] });
    expect((await host.inject({ method: 'POST', url: '/own', payload: { x: 1 } })).json()).toEqual({
      body: { x: 1 },
    });
    const csv = { 'content-type': 'text/csv' };
    const refused = await host.inject({ method: 'POST', url: '/own', payload: 'x', headers: csv });
    expect(refused.json()).toMatchObject({ code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' });
    await host.close();
  });
});
