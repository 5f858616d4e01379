/**
 * The same statements about the Redis tier over a real Redis and over the simulation's, so that what
 * the simulation proves holds for the real one.
 */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import type { Position } from '../../src/core/position.js';
import { type RedisClient, RedisTier } from '../../src/redis/tier.js';
import { SimulatedRedis } from '../simulation/fake-redis.js';
import { simulatedClient } from '../simulation/redis-client.js';
import { AtOnce } from '../support/at-once.js';

interface World {
  readonly client: RedisClient;
  names(pattern: RegExp): Promise<string[]>;
  overwrite(name: string, text: string): Promise<unknown>;
}

const url = inject('dataCenters')[0]?.redis;
const real = url === undefined ? undefined : new Redis(url);
afterAll(() => real?.disconnect());

function realWorld(client: Redis): World {
  return {
    client,
    names: async (pattern) => (await client.keys('*')).filter((name) => pattern.test(name)),
    overwrite: (name, text) => client.set(name, text),
  };
}

function simulatedWorld(): World {
  const redis = new SimulatedRedis();
  return {
    client: simulatedClient(redis, new AtOnce(1), 'contract'),
    names: async (pattern) => redis.keys.filter((name) => pattern.test(name)),
    overwrite: async (name, text) => redis.overwrite(name, text),
  };
}

const worlds: [string, () => World][] = [['the simulation', simulatedWorld]];
if (real !== undefined) worlds.unshift(['a real Redis', () => realWorld(real)]);

const TTL = { ttlMs: 100_000, negativeTtlMs: 10_000 };

function tierOver(client: RedisClient, prefix: string, buckets = 1): RedisTier {
  const options = { client, prefix, buckets, table: 'configs', timeoutMs: 5_000, ...TTL };
  return new RedisTier({ ...options, random: () => 0.5 });
}

const at = (version: number): Position => ({ version, fingerprint: `f${version}` });
const value = (asOf: number, version: number, text = `"${version}"`) =>
  new Entry(at(asOf), version, Buffer.from(text));
const absence = (asOf: number) => new Entry(at(asOf), 0, null);

describe.each(worlds)('the Redis tier over %s', (_name, makeWorld) => {
  let world: World;
  let prefix: string;
  let tier: RedisTier;
  beforeEach(() => {
    world = makeWorld();
    prefix = `contract-${randomBytes(6).toString('hex')}`;
    tier = tierOver(world.client, prefix);
  });

  /** A generation `g` that begins at `version`, adopted. */
  async function begun(version: number): Promise<void> {
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark for the one bucket, got none');
    expect(await tier.begin(stored, 'g', at(version))).toBe(true);
    tier.adopt(0, 'g');
  }

  async function read(key: string): Promise<Entry | undefined> {
    return (await tier.read(0, [key]))[0];
  }

  async function nameOf(pattern: RegExp): Promise<string> {
    const found = await world.names(new RegExp(`^${prefix}.*${pattern.source}$`));
    return found[0] ?? '';
  }

  async function scanned(): Promise<string[]> {
    const found = new Set<string>();
    let cursor = '0';
    do {
      const slice = await tier.scan(0, cursor);
      for (const key of slice.keys) found.add(key);
      cursor = slice.cursor;
    } while (cursor !== '0');
    return [...found];
  }

  /** Applies `entries` to what the mark of bucket 0 is now. */
  async function apply(to: number, entries: Map<string, Entry>): Promise<boolean> {
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark, got none');
    return tier.apply(stored, at(to), entries);
  }

  test('begins a generation once, for who saw the mark as it is', async () => {
    const [missing] = await tier.marks();
    expect(missing).toEqual({ bucket: 0, raw: '', mark: undefined });
    await begun(7);
    const [stored] = await tier.marks();
    expect(stored?.mark).toEqual({ generation: 'g', position: at(7) });
    if (missing === undefined || stored === undefined) throw new Error('Expected marks, got none');
    expect(await tier.begin(missing, 'late', at(8))).toBe(false);
    expect((await tier.marks())[0]).toEqual(stored);
    expect(await tier.begin(stored, 'next', at(8))).toBe(true);
    expect((await tier.marks())[0]?.mark).toEqual({ generation: 'next', position: at(8) });
  });

  test('gives a generation up wherever its mark is by now, and no other one', async () => {
    await begun(7);
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark, got none');
    expect(await apply(9, new Map())).toBe(true); // another reader goes on
    expect(await tier.begin(stored, 'next', at(8))).toBe(false);
    expect(await tier.begin(stored, 'next', at(8), 'other')).toBe(false);
    expect(await tier.begin(stored, 'next', at(8), 'g')).toBe(true);
    expect((await tier.marks())[0]?.mark).toEqual({ generation: 'next', position: at(8) });
    expect(await tier.begin(stored, 'third', at(8), 'g')).toBe(false);
  });

  test('applies a page and moves the mark, and the entries are as of the mark', async () => {
    await begun(7);
    const entries = new Map([
      ['a', value(9, 8)],
      ['gone', absence(9)],
    ]);
    expect(await apply(9, entries)).toBe(true);
    expect((await tier.marks())[0]?.mark?.position).toEqual(at(9));
    expect(await read('a')).toEqual(value(9, 8));
    expect(await read('gone')).toEqual(absence(9));
    expect(await apply(12, new Map())).toBe(true);
    expect((await read('a'))?.asOf).toBe(12);
  });

  test('applies a page once, to the mark that the caller judged', async () => {
    await begun(9);
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark, got none');
    expect(await tier.apply(stored, at(10), new Map([['a', value(10, 10)]]))).toBe(true);
    expect(await tier.apply(stored, at(10), new Map([['a', value(10, 2)]]))).toBe(false);
    expect(await tier.apply(stored, at(12), new Map([['a', value(12, 2)]]))).toBe(false);
    expect((await read('a'))?.version).toBe(10);
    expect(await apply(9, new Map([['a', value(9, 2)]]))).toBe(false); // never back
    expect((await tier.marks())[0]?.mark?.position).toEqual(at(10));
    expect(await apply(100, new Map([['a', value(100, 99)]]))).toBe(true);
    expect((await read('a'))?.version).toBe(99);
  });

  test('refuses what belongs to another generation, or to none', async () => {
    const entries = new Map([['a', value(9, 8)]]);
    expect(await apply(9, entries)).toBe(false);
    expect(await tier.fill('a', value(9, 8), 'g')).toBe('generation');
    await begun(7);
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark, got none');
    expect(await tier.begin(stored, 'next', at(7))).toBe(true);
    expect(await tier.apply(stored, at(9), entries)).toBe(false);
    expect(await tier.fill('a', value(9, 5), 'g')).toBe('generation');
    expect(await read('a')).toBeUndefined();
  });

  test('removes an entry that may have changed after the end of the page', async () => {
    await begun(7);
    expect(await apply(8, new Map([['a', value(8, 8)]]))).toBe(true);
    const ahead = new Map([
      ['a', value(20, 15)],
      ['b', value(20, 10)],
      ['c', absence(20)],
    ]);
    expect(await apply(10, ahead)).toBe(true);
    expect(await read('a')).toBeUndefined();
    expect(await read('b')).toEqual(value(10, 10));
    expect(await read('c')).toBeUndefined();
  });

  test.each([
    { what: 'a value as of the mark', entry: value(10, 2), reply: 'stored' },
    {
      what: 'a value that spans the mark, numbers not being text',
      entry: value(100, 9),
      reply: 'stored',
    },
    { what: 'an absence as of the mark', entry: absence(10), reply: 'stored' },
    { what: 'a value from before the mark', entry: value(9, 2), reply: 'refused' },
    { what: 'an absence from before the mark', entry: absence(9), reply: 'refused' },
    { what: 'a value that changed after the mark', entry: value(100, 11), reply: 'refused' },
    { what: 'an absence from after the mark', entry: absence(11), reply: 'refused' },
  ])('a fill with $what is $reply', async ({ entry, reply }) => {
    await begun(10);
    expect(await tier.fill('a', entry, 'g')).toBe(reply);
    const found = await read('a');
    if (reply === 'refused') expect(found).toBeUndefined();
    else expect(found).toEqual(new Entry(at(10), entry.version, entry.value));
  });

  test('scans the keys of the adopted generation, and no other names', async () => {
    expect(await tier.scan(0, '0')).toEqual({ cursor: '0', keys: [] });
    await begun(10);
    const keys = [
      'a',
      'with spaces and * ? [x] \\',
      'ü€😀',
      ...Array.from({ length: 2_500 }, (_, index) => `${index}`),
    ];
    for (const key of keys) await tier.fill(key, value(10, 2), 'g');
    await tier.fill('gone', absence(10), 'g');
    await world.overwrite(`${prefix}:{configs:0}:other:b`, 'of another generation');
    await world.overwrite(`${prefix}-other:{configs:0}:g:c`, 'of another prefix');
    expect((await scanned()).toSorted()).toEqual([...keys, 'gone'].toSorted());
  });

  test('scans under a prefix that means something in a pattern', async () => {
    tier = tierOver(world.client, `${prefix}[a-z]*?\\`);
    await begun(10);
    await tier.fill('a', value(10, 2), 'g');
    expect((await scanned()).toSorted()).toEqual(['a']);
  });

  test('reads only a generation that was adopted and that the mark still has', async () => {
    await begun(7);
    await tier.fill('a', value(7, 7), 'g');
    tier.adopt(0, undefined);
    expect(await read('a')).toBeUndefined();
    tier.adopt(0, 'other');
    expect(await read('a')).toBeUndefined();
    tier.adopt(0, 'g');
    expect((await read('a'))?.version).toBe(7);
    const [stored] = await tier.marks();
    if (stored !== undefined) await tier.begin(stored, 'next', at(7));
    expect(await read('a')).toBeUndefined();
  });

  test('keeps bytes and look-alike keys apart', async () => {
    await begun(7);
    const keys = ['a', 'A', 'a ', 'a:b', '{a}', '😀', '__proto__', 'mark'];
    for (const key of keys) await tier.fill(key, value(7, 1, `"${key} – ü"`), 'g');
    const found = await tier.read(0, keys);
    for (const [index, key] of keys.entries())
      expect(found[index]?.value?.toString()).toBe(`"${key} – ü"`);
    await tier.remove('a');
    expect(await read('a')).toBeUndefined();
    expect((await read('A'))?.version).toBe(1);
  });

  test('counts an entry that is corrupt, misses, and makes room for a fill', async () => {
    await begun(7);
    await tier.fill('k', value(7, 7), 'g');
    const name = await nameOf(/:k/);
    for (const garbage of ['', 'garbage', '99 v 1\nx', '7 v 0\n"7"']) {
      const before = tier.corruptEntries;
      await world.overwrite(name, garbage);
      expect(await read('k')).toBeUndefined();
      expect(tier.corruptEntries).toBe(before + 1);
      expect(await tier.fill('k', value(7, 7), 'g')).toBe('stored');
      expect((await read('k'))?.version).toBe(7);
    }
  });

  test.each(['', 'garbage', 'g', 'g x', 'g 7', 'g 7 f7 and more', 'g -7 f7'])(
    'takes the mark %j for none, and can begin anew',
    async (garbage) => {
      await begun(7);
      await tier.fill('a', value(7, 7), 'g');
      await world.overwrite(await nameOf(/:mark/), garbage);
      expect((await tier.marks())[0]).toEqual({ bucket: 0, raw: garbage, mark: undefined });
      expect(await read('a')).toBeUndefined();
      await begun(8);
      expect((await tier.marks())[0]?.mark?.position).toEqual(at(8));
    },
  );

  test('keeps a mark for each bucket, and moves one at a time', async () => {
    const divided = tierOver(world.client, prefix, 4);
    const keys = Array.from({ length: 40 }, (_, index) => `key/${index}`);
    for (const stored of await divided.marks()) {
      expect(await divided.begin(stored, `g${stored.bucket}`, at(7))).toBe(true);
      divided.adopt(stored.bucket, `g${stored.bucket}`);
    }
    const entries = new Map(keys.map((key) => [key, value(9, 9)]));
    const [, , third] = await divided.marks();
    if (third === undefined) throw new Error('Expected four marks');
    expect(await divided.apply(third, at(9), entries)).toBe(true);
    const versions = (await divided.marks()).map(({ mark }) => mark?.position.version);
    expect(versions).toEqual([7, 7, 9, 7]);
    const mine = keys.filter((key) => divided.bucketOf(key) === 2);
    expect(mine.length).toBeGreaterThan(0);
    expect((await divided.read(2, mine)).map((entry) => entry?.version)).toEqual(mine.map(() => 9));
    const others = keys.filter((key) => divided.bucketOf(key) === 1);
    expect((await divided.read(1, others)).some((entry) => entry !== undefined)).toBe(false);
    expect((await tier.marks())[0]?.mark, 'another division shares nothing').toBeUndefined();
  });
});

describe.runIf(real !== undefined)('the Redis tier over a real Redis only', () => {
  test('passes over keys of another type, and writes over them', async () => {
    const client = real as Redis; // runIf says so
    const prefix = `contract-${randomBytes(6).toString('hex')}`;
    const tier = tierOver(client, prefix);
    const list = (name: string) => client.multi().del(name).rpush(name, 'a', 'list').exec();
    const mark = `${prefix}:{configs:0}:mark`;
    const entry = `${prefix}:{configs:0}:g:k`;
    await list(mark);
    const [stored] = await tier.marks();
    expect(stored).toEqual({ bucket: 0, raw: '', mark: undefined });
    if (stored === undefined) throw new Error('Expected a mark, got none');
    expect(await tier.apply(stored, at(8), new Map())).toBe(false);
    expect(await tier.begin(stored, 'g', at(7))).toBe(true);
    tier.adopt(0, 'g');
    await list(entry);
    expect(await tier.read(0, ['k'])).toEqual([undefined]);
    expect(await tier.fill('k', value(7, 7), 'g')).toBe('replaced');
    expect(tier.corruptEntries).toBe(1);
    await list(entry);
    const [begun] = await tier.marks();
    if (begun === undefined) throw new Error('Expected a mark, got none');
    expect(await tier.apply(begun, at(8), new Map([['k', value(8, 8)]]))).toBe(true);
    expect((await tier.read(0, ['k']))[0]?.version).toBe(8);
  });

  test('gives entries a time to live, absences a short one, and the mark none', async () => {
    const client = real as Redis; // runIf says so
    const prefix = `contract-${randomBytes(6).toString('hex')}`;
    const tier = tierOver(client, prefix);
    const [stored] = await tier.marks();
    if (stored !== undefined) await tier.begin(stored, 'g', at(7));
    const entries = new Map([
      ['applied', value(8, 8)],
      ['absent', absence(8)],
    ]);
    const [begun] = await tier.marks();
    if (begun !== undefined) await tier.apply(begun, at(8), entries);
    await tier.fill('filled', value(8, 1), 'g');
    const leftMs = (name: string) => client.pttl(`${prefix}:{configs:0}:${name}`);
    expect(await leftMs('mark')).toBe(-1);
    for (const key of ['g:applied', 'g:filled']) {
      expect(await leftMs(key)).toBeGreaterThan(TTL.negativeTtlMs);
      expect(await leftMs(key)).toBeLessThanOrEqual(TTL.ttlMs);
    }
    expect(await leftMs('g:absent')).toBeGreaterThan(0);
    expect(await leftMs('g:absent')).toBeLessThanOrEqual(TTL.negativeTtlMs);
  });
});
