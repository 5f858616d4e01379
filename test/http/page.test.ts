/** The page of a read app, as HTTP has it; in a browser it is in test/page. */
import { readdirSync, readFileSync } from 'node:fs';
import Fastify, { type FastifyInstance } from 'fastify';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { together } from '../../src/http/page/together.js';
import { type ReadAppOptions, readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { observed } from './declared.js';
import { FakeReader, HEAD } from './fake-reader.js';

let reader: FakeReader;

async function serve(options: Partial<ReadAppOptions> = {}): Promise<FastifyInstance> {
  const server = createServer({ logLevel: 'silent' });
  const { faults } = observed(server);
  onTestFinished(async () => {
    const found = (await faults()).filter((fault) => !fault.includes(' /page/')); // not declared
    await server.close();
    expect(found).toEqual([]);
    expect(reader.listenerCount('change')).toBe(0);
  });
  await server.register(readApp, { reader, page: true, ...options });
  return server;
}

beforeEach(() => {
  reader = new FakeReader();
});

/** As MySQL prints it. */
function utc(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '000');
}

/** Every file that the page names, and those that these name. */
function filesNamed(): string[] {
  const folder = new URL('../../src/http/page/public/', import.meta.url);
  const html = readFileSync(new URL('index.html', folder), 'utf8');
  const inHtml = [...html.matchAll(/(?:src|href)="(page\/[^"]+)"/g)].map(([, path = '']) => path);
  const named = new Set(inHtml);
  for (const path of named) {
    if (!path.endsWith('.js') || path.includes('uplot')) continue;
    const source = readFileSync(new URL(path.slice('page/'.length), folder), 'utf8');
    for (const [, module] of source.matchAll(/from '\.\/([^']+)'/g)) named.add(`page/${module}`);
  }
  return [...named];
}

test('there is no page unless it is asked for', async () => {
  const server = await serve({ page: false });
  for (const url of ['/', '/page/page.js', '/v1/page']) {
    expect((await server.inject(url)).statusCode).toBe(404);
  }
  expect(reader.listenerCount('change')).toBe(0);
});

test('the page has all of its files, of its own origin, and may load nothing else', async () => {
  const server = await serve();
  const page = await server.inject('/');
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(page.headers['content-security-policy']).toMatch(
    /^default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'$/,
  );
  expect(page.headers['x-content-type-options']).toBe('nosniff');
  expect(page.body).not.toMatch(/https?:\/\/|style=|onclick|<script>/);
  const files = filesNamed();
  expect(files.length).toBeGreaterThan(10);
  for (const path of files) {
    const file = await server.inject(`/${path}`);
    expect([path, file.statusCode]).toEqual([path, 200]);
    const known = { 'if-none-match': String(file.headers.etag) };
    const again = await server.inject({ url: `/${path}`, headers: known });
    expect([again.statusCode, again.body]).toEqual([304, '']);
  }
  expect((await server.inject({ url: '/', method: 'POST' })).statusCode).toBe(405);
});

test('no module of a page makes markup of a text', () => {
  for (const folder of ['../../src/http/page/public/', '../../src/demo/public/']) {
    const names = readdirSync(new URL(folder, import.meta.url));
    const modules = names.filter((name) => name.endsWith('.js'));
    expect(modules).not.toEqual([]);
    for (const name of modules) {
      const source = readFileSync(new URL(folder + name, import.meta.url), 'utf8');
      expect(source).not.toMatch(/innerHTML|outerHTML =|insertAdjacent|document\.write|eval/);
    }
  }
});

test('the page is open where there are tokens, and what it shows is not', async () => {
  const server = await serve({ tokens: ['secret'] });
  expect((await server.inject('/')).statusCode).toBe(200);
  expect((await server.inject('/page/page.js')).statusCode).toBe(200);
  expect((await server.inject('/v1/page')).statusCode).toBe(401);
  const headers = { authorization: 'Bearer secret' };
  expect((await server.inject({ url: '/v1/page', headers })).statusCode).toBe(200);
});

test('its data are the state, the latest changes, and how long they took', async () => {
  const server = await serve();
  await server.ready();
  reader.changedAt = utc(Date.now() - 40);
  reader.change('a', '<img src=x>');
  reader.changedAt = utc(Date.now() + 60_000); // the clock of A is ahead
  reader.change('b');
  reader.change(); // of other tables
  const { status, latency, changes, reasons, nowMs } = (await server.inject('/v1/page')).json();
  expect(status).toEqual(reader.status());
  expect(reasons).toEqual([]);
  expect(
    changes.map(({ version, key }: { version: number; key: string }) => [version, key]),
  ).toEqual([
    [HEAD + 3, 'b'],
    [HEAD + 2, '<img src=x>'],
    [HEAD + 1, 'a'],
  ]);
  expect(changes[0].latencyMs).toBe(0);
  expect(changes[1].latencyMs).toBeGreaterThanOrEqual(39);
  expect(latency.count).toBe(3);
  expect(latency.bars.reduce((sum: number, one: number) => sum + one)).toBe(3);
  expect(latency.slots.at(-1).maxMs).toBe(changes[1].latencyMs);
  expect(nowMs - latency.slots[0].startMs).toBeLessThan(60_000);
});

test('its data say why a reader is not ready', async () => {
  const server = await serve();
  reader.ready = false;
  const { reasons } = (await server.inject('/v1/page')).json();
  expect(reasons).toEqual([expect.stringContaining('a first answer from MySQL-B')]);
});

test('it works below any prefix', async () => {
  const host = Fastify();
  onTestFinished(() => host.close());
  await host.register(async (part) => void (await part.register(readApp, { reader, page: true })), {
    prefix: '/b',
  });
  expect((await host.inject('/b/')).statusCode).toBe(200);
  expect((await host.inject('/b/page/page.js')).statusCode).toBe(200);
  expect((await host.inject('/b/v1/page')).statusCode).toBe(200);
  expect((await host.inject('/')).statusCode).toBe(404);
});

test('several readers of one process show the worst of each', () => {
  const one = reader.status();
  const reads = { local: 3, redis: 2, mysql: 1 };
  const audit = { sampled: 2, checked: 1, mismatches: 0, repaired: 0, completed: 3, skipped: 0 };
  const ahead = { ...one, reads, ageMs: null, audit: { ...audit, lastAt: '2026-01-02' } };
  const behind = {
    ...{ ...one, reads, ready: false, stale: true, applied: HEAD - 9, lagMs: 900 },
    redis: { breaker: 'open' as const, asked: 0, marks: [] },
    audit: { ...audit, lastAt: '2026-01-01' },
  };
  expect(together([ahead, behind])).toEqual({
    ...behind,
    ageMs: null,
    reads: { local: 6, redis: 4, mysql: 2 },
    audit: {
      ...{ sampled: 4, checked: 2, mismatches: 0, repaired: 0 },
      ...{ completed: 6, skipped: 0, lastAt: '2026-01-01' },
    },
  });
  expect(together([one])).toBe(one);
});
