/** A reader is held against MySQL-B through the real read app, byte by byte. */
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { ReaderSide } from '../../src/verify/reader-side.js';
import { FakeReader, HEAD } from '../http/fake-reader.js';

const KEYS = ['a', 'b,c', 'd"e\\', 'é/ü', '.', '..', '%2C', 'text', 'gone', '𝕏'];

let reader: FakeReader;
let server: FastifyInstance;
let side: ReaderSide;
let url: string;

beforeEach(async () => {
  reader = new FakeReader();
  server = createServer({ logLevel: 'silent' });
  await server.register(readApp, { reader, tokens: ['a-token'] });
  url = await server.listen({ host: '127.0.0.1', port: 0 });
  for (const key of KEYS.filter((one) => one !== 'gone')) {
    reader.put(key, key === 'text' ? 'not "JSON" é' : `{ "of": ${JSON.stringify(key)},\n"x":1.0}`);
  }
  side = sideOf();
});
afterEach(() => server.close());

function sideOf(token = 'a-token'): ReaderSide {
  return new ReaderSide({ url: `${url}/`, collection: 'configs', token });
}

/** What MySQL-B says, the same as the reader. */
function page() {
  const at = { version: HEAD, fingerprint: 'f' };
  const entries = new Map(
    KEYS.map((key) => {
      const row = reader.rows.get(key);
      return [key, new Entry(at, row?.version ?? 0, row?.value ?? null)] as const;
    }),
  );
  return { asOf: HEAD, entries };
}

test('suspects nothing when all is the same, and demands the version', async () => {
  expect(await side.suspects(page())).toEqual([]);
  expect(side.checked).toBe(KEYS.length);
  expect(reader.asked.every(({ minVersion }) => minVersion === HEAD)).toBe(true);
});

test.each([
  ['another byte', (key: string) => reader.put(key, '{ "of": 1 }')],
  ['a space more', (key: string) => reader.put(key, `${reader.rows.get(key)?.value} `)],
  ['another version', (key: string) => reader.put(key, reader.rows.get(key)?.value ?? '', 6)],
  ['no row', (key: string) => reader.rows.delete(key)],
])('suspects a key with %s', async (_what, change) => {
  for (const key of KEYS.filter((one) => one !== 'gone')) {
    const truth = page();
    const row = reader.rows.get(key);
    change(key);
    expect(await side.suspects(truth), key).toContain(key);
    if (row !== undefined) reader.rows.set(key, row);
  }
});

test('suspects a key that should not be there', async () => {
  const truth = page();
  reader.put('gone', '1');
  expect(await side.suspects(truth)).toContain('gone');
});

test('observes each key as it is, byte for byte', async () => {
  for (const key of KEYS) {
    const row = reader.rows.get(key);
    const entry = await side.observe(key, 1);
    expect(entry?.value?.toString(), key).toBe(row?.value.toString());
    expect(entry?.version).toBe(row?.version ?? 0);
    expect(entry?.asOf).toBe(HEAD);
  }
});

test('says why it cannot be asked', async () => {
  await expect(sideOf('another').suspects(page())).rejects.toThrow('it answers 401');
  await server.close();
  await expect(side.suspects(page())).rejects.toThrow('it does not answer (ECONNREFUSED)');
});
