/** The OpenAPI documents: complete, and of nothing but the app. */
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { Declared } from './declared.js';
import { FakeReader } from './fake-reader.js';
import { FakeWriter } from './fake-writer.js';

const apps = [
  ['read', (server: FastifyInstance, options = {}) => readOn(server, options)],
  [
    'read, with its page',
    (server: FastifyInstance, options = {}) => readOn(server, { ...options, page: true }),
  ],
  ['write', (server: FastifyInstance, options = {}) => writeOn(server, options)],
] as const;

async function readOn(server: FastifyInstance, options: object): Promise<void> {
  await server.register(readApp, { reader: new FakeReader(), ...options });
}
async function writeOn(server: FastifyInstance, options: object): Promise<void> {
  await server.register(writeApp, { writer: new FakeWriter(), ...options });
}

function closing<T extends FastifyInstance>(server: T): T {
  onTestFinished(async () => void (await server.close()));
  return server;
}

describe.each(apps)('the document of the %s app', (name, register) => {
  test('has every route of the app with each of its methods', async () => {
    const server = closing(createServer({ logLevel: 'silent' }));
    const routes: string[] = [];
    server.addHook('onRoute', ({ method, url, schema }) => {
      // Those that say 405, which components.responses has, and the parts of the page.
      if (schema?.hide) return;
      for (const one of [method].flat()) routes.push(`${one} ${url.replace('*', '{key}')}`);
    });
    await register(server);
    const { document } = await Declared.of(server);
    const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(documented.toSorted()).toEqual(routes.toSorted());
    expect(routes.length).toBeGreaterThan(10);
    expect(document.openapi).toBe('3.1.0');
  });

  test('gives each operation a name of its own, and its parameters', async () => {
    const server = closing(createServer({ logLevel: 'silent' }));
    await register(server);
    const { document } = await Declared.of(server);
    const operations = Object.values(document.paths).flatMap((one) => Object.values(one));
    const names = operations.map(({ operationId }) => operationId);
    expect(new Set(names).size).toBe(names.length);
    expect(names).not.toContain(undefined);
    const of = (operationId: string) =>
      operations
        .find((operation) => operation.operationId === operationId)
        ?.parameters?.map((parameter) => `${parameter.in} ${parameter.name}`);
    if (name === 'write') {
      expect(of('put')).toEqual(['path key', 'header if-match', 'header if-none-match']);
      expect(of('delete')).toEqual(['path key', 'header if-match']);
      return;
    }
    const headers = ['if-none-match', 'tidemark-min-version', 'tidemark-max-staleness-ms'];
    const inHeaders = headers.map((header) => `header ${header}`);
    expect(of('read')).toEqual(['query wait', 'path key', ...inHeaders]);
    const inQuery = ['keys', 'prefix', 'after', 'limit'].map((parameter) => `query ${parameter}`);
    expect(of('list')).toEqual([...inQuery, ...inHeaders]);
  });

  test('declares tokens, a rate limit and the shedding of load only where there are any', async () => {
    const open = closing(createServer({ logLevel: 'silent' }));
    await register(open);
    const plain = (await Declared.of(open)).document;
    expect(plain.components.securitySchemes).toEqual({});
    expect(JSON.stringify(plain)).not.toMatch(/"(401|429)":/);

    const closed = closing(createServer({ logLevel: 'silent' }));
    await register(closed, {
      tokens: ['one'],
      limits: { maxEventLoopDelayMs: 1_000, rateLimitPerSecond: 5 },
    });
    const { document } = await Declared.of(closed); // asked for without a token
    for (const [path, operations] of Object.entries(document.paths)) {
      const isOpen = /health|metrics|openapi|^\/$/.test(path);
      for (const { security, responses } of Object.values(operations)) {
        expect(security).toEqual(isOpen ? [] : [{ token: [] }]);
        for (const status of [401, 429]) expect(status in responses).toBe(!isOpen);
      }
    }
    expect(JSON.stringify(document)).not.toContain('"one"');
  });

  test('is of Tidemark only, and leaves a host with a document of its own as it was', async () => {
    const host = closing(Fastify());
    await host.register(swagger, { openapi: { info: { title: 'Host', version: '1' } } });
    host.get('/own', async () => 'own');
    await host.register(async (part) => void (await register(part, { tokens: ['one'] })), {
      prefix: '/tidemark',
    });
    await host.ready();
    const own = host.swagger();
    expect(own.info.title).toBe('Host');
    expect(Object.keys(own.paths ?? {})).toContain('/own');
    const { document } = await Declared.of(host, '/tidemark/v1/openapi.json');
    const paths = Object.keys(document.paths);
    expect(paths).toContain('/tidemark/v1/configs/{key}');
    expect(paths.filter((path) => !path.startsWith('/tidemark/'))).toEqual([]);
    expect((await host.inject('/own')).body).toBe('own');
  });
});

test('both apps can be parts of one service', async () => {
  const host = closing(Fastify());
  const limits = { maxEventLoopDelayMs: 1_000, rateLimitPerSecond: 100 };
  const metrics = new Registry();
  await host.register(async (part) => readOn(part, { limits }), { prefix: '/b' });
  await host.register(async (part) => writeOn(part, { limits, metrics }), { prefix: '/a' });
  const a = await Declared.of(host, '/a/v1/openapi.json');
  const b = await Declared.of(host, '/b/v1/openapi.json');
  expect(Object.keys(a.document.paths).every((path) => path.startsWith('/a/'))).toBe(true);
  expect(Object.keys(b.document.paths).every((path) => path.startsWith('/b/'))).toBe(true);
});
