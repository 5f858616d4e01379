/** What a reader promises beyond the truth: options of a read, events, lists, and what it is given. */
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { createPool } from 'mysql2/promise';
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import {
  AccessDeniedError,
  createReader,
  InvalidKeyError,
  NotFreshError,
  NotRunningError,
  type Reader,
  SchemaError,
} from '../../src/index.js';
import type { TestDatabase } from '../support/data-centers.js';
import { connected, createDatabase, flavors, query } from '../support/data-centers.js';
import { metricOf, readerOptions, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning));

describe.each(flavors)('a reader on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());
  beforeEach(async () => {
    await query(db.a, 'DELETE FROM configs');
    await put({ a: '1', b: '2' });
    await db.caughtUp();
  });

  async function put(values: Record<string, string>): Promise<void> {
    const insert = 'REPLACE INTO configs (config_key, config_value) VALUES ?';
    await connected(db.a, (connection) => connection.query(insert, [Object.entries(values)]));
  }

  async function head(): Promise<number> {
    const [stream] = await query(db.a, 'SELECT head FROM config_stream');
    return Number(stream?.head);
  }

  /** Resolves when a fill of Redis by `reader` was stored. */
  async function filled(reader: Reader): Promise<void> {
    const stored = () => metricOf(reader, 'tidemark_redis_fills_total', 'stored');
    await until('a fill of Redis', async () => (await stored()) > 0);
  }

  async function beat(): Promise<void> {
    await query(db.a, 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
  }

  function startHeart(): { stop(): Promise<void> } {
    let beating = true;
    const done = (async () => {
      while (beating) await beat();
    })();
    return {
      stop() {
        beating = false;
        return done;
      },
    };
  }

  test('reads its own write with minVersion, however soon it asks', async () => {
    const reader = await startReader(db, { pollIntervalMs: 1_000 });
    for (let round = 0; round < 10; round++) {
      await put({ a: `"round ${round}"` });
      const minVersion = await head();
      const reading = await reader.get('a', { minVersion });
      expect(reading.value?.toString()).toBe(`"round ${round}"`);
      expect(reading.asOf).toBeGreaterThanOrEqual(minVersion);
      const many = await reader.getMany(['b', 'a'], { minVersion });
      expect([...many.keys()]).toEqual(['b', 'a']);
    }
  });

  test('refuses a minVersion that does not come in time, and says how far it is', async () => {
    const reader = await startReader(db);
    const applied = await taken(db.a, [reader]);
    const failed = reader.get('a', { minVersion: applied + 1, timeoutMs: 50 });
    await expect(failed).rejects.toThrow(NotFreshError);
    await expect(failed).rejects.toThrow(`Expected version ${applied + 1}`);
  });

  test('meets maxStalenessMs while the heart beats, and refuses it when it does not', async () => {
    const reader = await startReader(db);
    await beat();
    await until('the reader to learn of the beat', () => (reader.status().ageMs ?? 1e9) < 5_000);
    const heart = startHeart();
    const reading = await reader
      .get('a', { maxStalenessMs: 2_000, timeoutMs: 30_000 })
      .finally(() => heart.stop());
    expect(reading.value?.toString()).toBe('1');
    // So old that no other one can be on its way.
    await until('the last beat to be old', () => (reader.status().ageMs ?? 0) > 1_000);
    const refused = reader.get('a', { maxStalenessMs: 1, timeoutMs: 30 });
    await expect(refused).rejects.toThrow(NotFreshError);
    await expect(refused).rejects.toThrow('heartbeat');
  });

  test('marks what it serves as stale without a heartbeat, and no longer after one', async () => {
    const reader = await startReader(db, { staleAfterMs: 500 });
    await until('stale', async () => (await reader.get('a')).stale);
    await until('fresh', async () => {
      await beat();
      return !(await reader.get('a')).stale;
    });
  });

  test('tells of changes, with their keys and versions, after it evicted them', async () => {
    const reader = await startReader(db);
    const from = await taken(db.a, [reader]);
    const heard: object[] = [];
    await reader.get('a');
    reader.on('change', ({ rows, ...change }) => {
      const versions = rows.map(({ version }) => version);
      heard.push({ ...change, versions, held: reader.peek('a') !== undefined });
    });
    await put({ a: '10' }); // a REPLACE of a row: an insert and a delete in the log
    await taken(db.a, [reader]);
    const versions = [from + 1, from + 2];
    expect(heard).toEqual([{ keys: ['a'], from, to: from + 2, versions, held: false }]);
  });

  test("replaces what it holds at once with onChange 'refresh'", async () => {
    const reader = await startReader(db, { onChange: 'refresh' });
    await taken(db.a, [reader]);
    await reader.getMany(['a', 'absent']);
    await put({ a: '10', absent: '11', other: '12' });
    await taken(db.a, [reader]);
    expect(reader.peek('a')?.value?.toString()).toBe('10');
    expect(reader.peek('absent')?.value?.toString()).toBe('11');
    expect(reader.peek('other'), 'was not held before').toBeUndefined();
    await query(db.a, "DELETE FROM configs WHERE config_key = 'a'");
    await taken(db.a, [reader]);
    expect(reader.peek('a')?.found).toBe(false);
  });

  test('remembers that a key is absent, here and in Redis, until it is there', async () => {
    const [one, other] = [await startReader(db), await startReader(db)];
    await until('a Redis at the head', () => one.ready && other.ready);
    expect((await one.get('not yet')).tier).toBe('mysql');
    expect((await one.get('not yet')).tier).toBe('local');
    await filled(one);
    expect((await other.get('not yet')).tier).toBe('redis');
    expect((await other.get('not yet')).found).toBe(false);
    await put({ 'not yet': '"now"' });
    await taken(db.a, [one, other]);
    expect(await textOf(one, 'not yet')).toBe('"now"');
    expect(await textOf(other, 'not yet')).toBe('"now"');
  });

  test('serves many keys at once, in their order, each once, without a warning', async () => {
    const values = Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`m${n}`, `${n}`]));
    await put(values);
    const reader = await startReader(db);
    await taken(db.a, [reader]);
    const keys = ['m3', 'none', ...Object.keys(values).reverse(), 'm3'];
    const found = await reader.getMany(keys);
    expect([...found.keys()]).toEqual([...new Set(keys)]);
    for (const [key, reading] of found) expect(reading.value?.toString()).toBe(values[key]);
    expect(warnings.map(String)).toEqual([]);
  });

  test('lists keys by prefix, page by page, none twice and none left out', async () => {
    const keys = ['p', 'p ', 'p%', 'p_', 'p/a', 'p/b', 'p/é', 'p😀', 'pz'];
    await put(Object.fromEntries([...keys, 'P', 'o', 'q'].map((key) => [key, `"${key}"`])));
    const reader = await startReader(db);
    await taken(db.a, [reader]);
    for (const limit of [1, 2, 4, keys.length, 100]) {
      const listed: string[] = [];
      let after: string | undefined;
      do {
        const page = await reader.list({ prefix: 'p', limit, after });
        expect(page.readings.length).toBeLessThanOrEqual(limit);
        for (const reading of page.readings) {
          expect(reading.value?.toString()).toBe(`"${reading.key}"`);
          listed.push(reading.key);
        }
        after = page.next;
      } while (after !== undefined);
      expect(listed).toEqual([...keys].sort(byBytes));
    }
    expect((await reader.list({ prefix: 'p%', limit: 10 })).readings).toHaveLength(1);
    expect((await reader.list({ prefix: 'nothing', limit: 10 })).readings).toEqual([]);
  });

  test('finds a change that went around the triggers with refresh', async () => {
    const reader = await startReader(db);
    await taken(db.a, [reader]);
    expect(await textOf(reader, 'a')).toBe('1');
    await aroundTheTriggers("UPDATE configs SET config_value = '10' WHERE config_key = 'a'");
    expect(await textOf(reader, 'a'), 'the log does not know').toBe('1');
    expect((await reader.refresh('a')).value?.toString()).toBe('10');
    expect(await textOf(reader, 'a')).toBe('10');
  });

  test('invalidate makes other readers, which do not hold the key, find it too', async () => {
    const [one, other] = [await startReader(db), await startReader(db)];
    await until('a Redis at the head', () => one.ready && other.ready);
    await one.get('a');
    const redis = new Redis(db.redis);
    onTestFinished(() => redis.disconnect());
    await until('Redis to hold it', async () => (await redis.keys('*:a')).length > 0);
    await aroundTheTriggers("DELETE FROM configs WHERE config_key = 'a'");
    await one.invalidate('a');
    expect((await other.get('a')).found).toBe(false);
    expect((await one.get('a')).found).toBe(false);
  });

  async function aroundTheTriggers(sql: string): Promise<void> {
    await connected(db.a, async (connection) => {
      const triggers: string[] = [];
      for (const event of ['insert', 'update', 'delete']) {
        const [rows] = await connection.query(`SHOW CREATE TRIGGER configs_tidemark_${event}`);
        const [row] = rows as { 'SQL Original Statement': string }[]; // both servers name it so
        triggers.push(row?.['SQL Original Statement'] ?? '');
        await connection.query(`DROP TRIGGER configs_tidemark_${event}`);
      }
      await connection.query(sql);
      for (const trigger of triggers) await connection.query(trigger);
    });
    await db.caughtUp();
  }

  test('uses the pool, client and logger it is given, and closes none of them', async () => {
    const pool = createPool({
      uri: db.b,
      charset: 'utf8mb4',
      dateStrings: true,
      supportBigNumbers: true,
      timezone: 'Z',
    });
    const redis = new Redis(db.redis, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    const log = vi.fn();
    const logger = { debug: log, info: log, warn: log, error: log };
    try {
      const reader = createReader({ mysql: pool, redis, logger, pollIntervalMs: 20 });
      await reader.start();
      await until('a warm Redis', () => reader.ready);
      expect(await textOf(reader, 'a')).toBe('1');
      expect(log).toHaveBeenCalledWith(
        expect.objectContaining({ table: 'configs', reason: 'start' }),
        expect.any(String),
      );
      await reader.stop();
      expect(await redis.ping()).toBe('PONG');
      expect((await redis.keys('*')).length).toBeGreaterThan(0);
      expect((await pool.query('SELECT 1 AS one'))[0]).toEqual([{ one: 1 }]);
    } finally {
      redis.disconnect();
      await pool.end();
    }
  });

  test('answers only between start and stop, both of which may be called twice', async () => {
    const reader = createReader(readerOptions(db));
    await expect(reader.get('a')).rejects.toThrow(NotRunningError);
    await Promise.all([reader.start(), reader.start()]);
    expect(await textOf(reader, 'a')).toBe('1');
    await Promise.all([reader.stop(), reader.stop()]);
    await expect(reader.get('b')).rejects.toThrow(NotRunningError);
  });

  test('refuses keys that no row can have, and asks no tier for them', async () => {
    const reader = await startReader(db);
    for (const key of ['', 'x'.repeat(256), 'a\n', '\u0000', '\ud800']) {
      await expect(reader.get(key)).rejects.toThrow(InvalidKeyError);
      await expect(reader.getMany(['a', key])).rejects.toThrow(InvalidKeyError);
    }
    expect(await textOf(reader, '😀'.repeat(255))).toBeUndefined();
  });

  test('names the command to run when the database has no migration', async () => {
    const bare = await createDatabase(flavor, { migrated: false });
    onTestFinished(() => bare.drop());
    const reader = createReader(readerOptions(bare));
    onTestFinished(() => reader.stop());
    const started = reader.start();
    await expect(started).rejects.toThrow(SchemaError);
    await expect(started).rejects.toThrow('tidemark migrate');
  });

  test('never prints a password, not even a wrong one', async () => {
    const secret = 's3cret-that-is-wrong';
    const url = new URL(db.b);
    const right = url.password;
    url.password = secret;
    const printed: unknown[] = [];
    const print = (...args: unknown[]) => void printed.push(args);
    const logger = { debug: print, info: print, warn: print, error: print };
    const reader = createReader(readerOptions({ b: url.href, redis: db.redis }, { logger }));
    onTestFinished(() => reader.stop());
    const failure: unknown = await reader.start().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(AccessDeniedError);
    const everything = inspect([failure, printed], { depth: 20 });
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain(right);
  });
});

/** The order of the table's binary collation. */
function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
