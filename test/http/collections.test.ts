/** Both apps with several collections: paths, status and metrics of each, and what is refused. */
import type { FastifyInstance } from 'fastify';
import { Counter, Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { observed } from './declared.js';
import { FakeReader, HEAD } from './fake-reader.js';
import { FakeWriter } from './fake-writer.js';

let server: FastifyInstance;
let answers: ReturnType<typeof observed>;

beforeEach(() => {
  server = createServer({ logLevel: 'silent' });
  answers = observed(server);
});

afterEach(async () => {
  expect(await answers.faults()).toEqual([]); // all of them are declared
  await server.close();
});

const get = (url: string) => server.inject({ url });

describe('the read app of several collections', () => {
  let configs: FakeReader;
  let settings: FakeReader;
  beforeEach(async () => {
    [configs, settings] = [new FakeReader(), new FakeReader()];
    for (const [name, { metrics }] of Object.entries({ configs, settings })) {
      metrics.setDefaultLabels({ collection: name });
      const help = 'Reads.';
      new Counter({ name: 'tidemark_reads_total', help, registers: [metrics] }).inc();
    }
    const registry = new Registry();
    new Counter({ name: 'process_things_total', help: 'Things.', registers: [registry] });
    const reader = Object.entries({ configs, settings });
    await server.register(readApp, { reader, registry });
  });

  test('answers from the collection that the path names', async () => {
    configs.put('7', '"configs"');
    settings.put('7', '"settings"');
    expect((await get('/v1/configs/7')).body).toBe('"configs"');
    expect((await get('/v1/settings/7')).body).toBe('"settings"');
    expect((await get('/v1/settings?keys=7,8')).json()).toEqual({
      ...{ asOf: HEAD, items: [{ key: '7', version: 7, value: 'settings' }], missing: ['8'] },
    });
    expect((await get('/v1/settings?prefix=')).json()).toMatchObject({ items: [{ key: '7' }] });
    expect((await get('/v1/settings/eu/db%252Fmain')).statusCode).toBe(404);
    expect(settings.keys).toContain('eu/db%2Fmain');
    expect((await get('/v1/nope/7')).json()).toMatchObject({ code: 'no_such_route' });
  });

  test('tells the state of each, and is ready when all are', async () => {
    settings.ready = false;
    settings.stale = true;
    const status = (await get('/v1/status')).json();
    expect(status).toMatchObject({
      ...{ role: 'read', ready: false, stale: true, applied: HEAD },
      collections: { configs: { ready: true, stale: false }, settings: { ready: false } },
    });
    expect((await get('/health/ready')).statusCode).toBe(503);
  });

  test('has one metric for all of them, with the name of each, and those of the process', async () => {
    const text = (await get('/metrics')).body;
    expect(text.match(/# TYPE tidemark_reads_total counter/g)).toHaveLength(1);
    expect(text).toContain('tidemark_reads_total{collection="configs"} 1');
    expect(text).toContain('tidemark_reads_total{collection="settings"} 1');
    expect(text).toContain('process_things_total 0');
  });

  test.each([
    ['/v1/watch', 'configs'],
    ['/v1/watch/configs', 'configs'],
    ['/v1/watch/settings', 'settings'],
  ])('%s follows %s', async (url, name) => {
    const [watched, other] = name === 'configs' ? [configs, settings] : [settings, configs];
    const base = await server.listen({ host: '127.0.0.1', port: 0 });
    const control = new AbortController();
    const { body } = await fetch(`${base}${url}`, { signal: control.signal });
    const stream = body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await stream?.read())?.value ?? '';
    expect([watched.watches.size, other.watches.size]).toEqual([1, 0]);
    watched.change('k');
    while (!text.includes('"key":"k"')) text += (await stream?.read())?.value ?? '';
    control.abort();
  });

  test('passes a hint on to one reader, which hurries the others', async () => {
    const payload = { version: 50 };
    const response = await server.inject({ method: 'POST', url: '/v1/hint', payload });
    expect(response.json()).toEqual({ outcome: 'followed' });
    expect([configs.hints, settings.hints]).toEqual([[50], []]);
  });
});

test('the read app of one collection with a name of its own has a watch without a name', async () => {
  await server.register(readApp, { reader: [['flags', new FakeReader()]] });
  expect((await get('/v1/flags/a')).json()).toMatchObject({ code: 'not_found' });
  expect((await get('/v1/configs/a')).json()).toMatchObject({ code: 'no_such_route' });
  const { paths } = (await get('/v1/openapi.json')).json();
  expect(Object.keys(paths)).toContain('/v1/watch');
  expect(paths['/v1/flags/{key}'].get.operationId).toBe('read_flags');
});

test('the read app of several, none of them configs, has watches by name only', async () => {
  const reader = Object.entries({ a: new FakeReader(), b: new FakeReader() });
  await server.register(readApp, { reader });
  expect((await get('/v1/watch')).json()).toMatchObject({ code: 'no_such_route' });
});

describe('the write app of several collections', () => {
  let configs: FakeWriter;
  let flags: FakeWriter;
  beforeEach(async () => {
    [configs, flags] = [new FakeWriter(), new FakeWriter()];
    const writer = Object.entries({ configs, flags, settings: undefined });
    await server.register(writeApp, { writer });
  });

  const write = (method: 'PUT' | 'DELETE', url: string) =>
    server.inject({ method, url, ...(method === 'PUT' ? { payload: '1' } : {}) });

  test('writes to the collection that the path names', async () => {
    expect((await write('PUT', '/v1/flags/a')).statusCode).toBe(201);
    flags.exists = true;
    expect((await write('DELETE', '/v1/flags/a')).statusCode).toBe(200);
    expect(flags.asked).toMatchObject([{ key: 'a', text: '1' }, { key: 'a' }]);
    expect(configs.asked).toEqual([]);
    const batch = { method: 'POST', url: '/v1/batch', payload: { put: { b: 2 } } } as const;
    expect((await server.inject(batch)).json()).toEqual({ version: 10 });
    expect(configs.asked).toHaveLength(1);
  });

  test.each(['PUT', 'DELETE'] as const)(
    'refuses %s of one that is written by SQL',
    async (method) => {
      const response = await write(method, '/v1/settings/7');
      expect(response.json()).toMatchObject({
        ...{ status: 403, code: 'read_only_collection' },
        detail: expect.stringMatching(/^Expected settings to be written by SQL in data center A/),
      });
    },
  );

  test('tells which there are', async () => {
    expect((await get('/v1/status')).json()).toMatchObject({
      collections: ['configs', 'flags', 'settings'],
    });
  });
});
