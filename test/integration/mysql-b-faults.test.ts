/**
 * MySQL-B is away, stalls, or hears nothing from A. What is held locally is served and marked stale;
 * what is not fails within the read's time; afterwards all is as it should be. Each flavor has data
 * centers of its own here.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { createReader, NotFreshError, type Reader, UnavailableError } from '../../src/index.js';
import { migrate } from '../../src/mysql/migrate.js';
import { Checker, readable } from '../support/checker.js';
import { connected, flavors, query } from '../support/data-centers.js';
import { behindProxy } from '../support/proxies.js';
import { metricOf, readerOptions, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const QUICK = { readTimeoutMs: 300, staleAfterMs: 400 };
const HEARTBEAT = 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)';

describe.each(flavors)('readers on %s', (flavor) => {
  let centers: DataCenters;
  let urls: { a: string; b: string; redis: string };
  let heart: { stop(): Promise<void> };

  beforeAll(async () => {
    centers = await startDataCenters({ flavor });
    urls = { a: centers.a.url(), b: centers.b.url(), redis: centers.redis.url() };
    await connected(urls.a, (connection) => migrate(connection));
  });
  afterAll(() => centers?.stop());
  beforeEach(async () => {
    await query(urls.a, 'DELETE FROM configs');
    await put({ held: '1', other: '2' });
    await emptyRedis();
    await centers.caughtUp();
    heart = startHeart();
  });
  afterEach(async () => {
    await heart.stop();
    centers.b.resume();
    await centers.b.start();
    await centers.startReplication();
    await centers.caughtUp();
  });

  /** So that Redis answers for no key that a test before has used. */
  async function emptyRedis(): Promise<void> {
    const redis = new Redis(urls.redis);
    await redis.flushall();
    redis.disconnect();
  }

  async function put(values: Record<string, string>): Promise<void> {
    const replace = 'REPLACE INTO configs (config_key, config_value) VALUES ?';
    await connected(urls.a, (connection) => connection.query(replace, [Object.entries(values)]));
  }

  function startHeart(): { stop(): Promise<void> } {
    let beating = true;
    const done = connected(urls.a, async (connection) => {
      while (beating) {
        await connection.query(HEARTBEAT);
        await new Promise((resolve) => setTimeout(resolve, 20)); // a pace, nothing waits for it
      }
    });
    return {
      stop() {
        beating = false;
        return done;
      },
    };
  }

  /** A reader that holds 'held' as of the head, and is fresh. */
  async function freshReader(): Promise<Reader> {
    const reader = await startReader(urls, QUICK);
    await until('the head', () => taken(urls.a, [reader]));
    await until('a fresh answer from the local tier', async () => {
      const { tier, stale } = await reader.get('held');
      return tier === 'local' && !stale;
    });
    return reader;
  }

  async function expectHeldAndStale(reader: Reader): Promise<void> {
    const reading = await until('a stale answer', async () => {
      const found = await reader.get('held');
      return found.stale && found;
    });
    expect(reading.tier).toBe('local');
    expect(reading.value?.toString()).toBe('1');
    expect(reader.peek('held')?.stale).toBe(true);
    expect(reader.status().stale).toBe(true);
    const bounded = reader.get('held', { maxStalenessMs: 100, timeoutMs: 100 });
    await expect(bounded).rejects.toThrow(NotFreshError);
  }

  async function expectTruthAndFresh(reader: Reader): Promise<void> {
    await put({ held: '"after"', missing: '"came"' });
    await until('the changes', async () => (await textOf(reader, 'held')) === '"after"');
    expect(await textOf(reader, 'missing')).toBe('"came"');
    expect(await textOf(reader, 'other')).toBe('2');
    await until('fresh answers', async () => !(await reader.get('held')).stale);
    expect((await reader.get('held')).tier).toBe('local');
    await until('the last failure to be over', () => reader.status().pollFailures === 0);
  }

  /** A reader with several connections at rest, which only reads use: it polls once a minute. */
  async function restingReader(b: string): Promise<Reader> {
    const asleep = { pollIntervalMs: 60_000, earlyWake: 'off' } as const;
    const reader = await startReader({ ...urls, b }, asleep);
    const reads = Array.from({ length: 5 }, async (_, index) => {
      await turn(); // each is a statement of its own
      return await reader.get(`absent-${index}`);
    });
    await Promise.all(reads);
    return reader;
  }

  test('of many connections that were forgotten while they rested, none costs a read its answer', async () => {
    const [proxy, b] = await behindProxy(urls.b);
    const reader = await restingReader(b);
    expect(proxy.forget()).toBeGreaterThan(1);
    expect((await reader.get('held')).json()).toBe(1);
  });

  test('connections that rested while MySQL-B was killed and started are not used again', async () => {
    const reader = await restingReader(urls.b);
    await centers.b.kill();
    await centers.b.start();
    const keys = ['held', 'other', 'absent-6', 'absent-7', 'absent-8'];
    const reads = keys.map(async (key) => {
      await turn();
      return (await reader.get(key)).found;
    });
    expect(await Promise.all(reads)).toEqual([true, true, false, false, false]);
  });

  test.each([
    { what: 'stopped', end: () => centers.b.stop() },
    { what: 'killed', end: () => centers.b.kill() },
  ])('serve what they hold, stale, while MySQL-B is $what, and go on after', async ({ end }) => {
    const reader = await freshReader();
    await end();
    await expectHeldAndStale(reader);
    await expect(reader.get('missing')).rejects.toThrow(UnavailableError);
    await expect(reader.getMany(['held', 'missing'])).rejects.toThrow(UnavailableError);
    await expect(reader.list({ prefix: '', limit: 10 })).rejects.toThrow(UnavailableError);
    expect(await metricOf(reader, 'tidemark_poll_failures_total')).toBeGreaterThan(0);
    expect(reader.status().pollFailures).toBeGreaterThan(0);
    await centers.b.start();
    await expectTruthAndFresh(reader);
  });

  test('serve what they hold, stale, while MySQL-B stalls, and let no read hang', async () => {
    const reader = await freshReader();
    centers.b.pause();
    await expectHeldAndStale(reader);
    const reads = Array.from({ length: 20 }, (_, index) => reader.get(`missing/${index}`));
    for (const settled of await Promise.allSettled(reads)) {
      expect(settled).toMatchObject({ status: 'rejected', reason: expect.any(UnavailableError) });
    }
    centers.b.resume();
    await expectTruthAndFresh(reader);
  });

  test('serve what Redis vouches for while MySQL-B is away', async () => {
    const [one, other] = [await freshReader(), await freshReader()];
    await put({ shared: '"in Redis"' });
    await until('the head', () => taken(urls.a, [one, other]));
    await until('Redis to hold it', () => {
      const { applied, redis } = one.status();
      return redis.marks[0]?.version === applied;
    });
    await centers.b.kill();
    const reading = await other.get('shared');
    expect(reading.tier).toBe('redis');
    expect(reading.value?.toString()).toBe('"in Redis"');
  });

  test('serve the past, stale, while replication is stopped, and catch up after', async () => {
    const reader = await freshReader();
    await centers.stopReplication();
    await put({ held: '"not yet"', missing: '"not yet"' });
    await expectHeldAndStale(reader);
    const miss = await reader.get('missing');
    expect(miss).toMatchObject({ found: false, stale: true });
    expect(reader.status().pollFailures, 'MySQL-B answers').toBe(0);
    await centers.startReplication();
    await until('the changes', async () => (await textOf(reader, 'held')) === '"not yet"');
    expect(await textOf(reader, 'missing')).toBe('"not yet"');
    await expectTruthAndFresh(reader);
  });

  test('wait for MySQL-B when they are started while it is away', async () => {
    await centers.b.kill();
    const reader = createReader(readerOptions(urls, QUICK));
    try {
      let started = false;
      const starting = reader.start().then(() => {
        started = true;
      });
      await until('vain polls', () => reader.status().pollFailures >= 3);
      expect(started).toBe(false);
      expect(reader.ready).toBe(false);
      await expect(reader.get('held')).rejects.toThrow(UnavailableError);
      await centers.b.start();
      await starting;
      expect(await textOf(reader, 'held')).toBe('1');
      await expectTruthAndFresh(reader);
    } finally {
      await reader.stop();
    }
  });

  test('can be stopped while MySQL-B is away, and stop waiting for it', async () => {
    await centers.b.kill();
    const reader = createReader(readerOptions(urls, QUICK));
    const starting = reader.start().catch((error: unknown) => error);
    await until('a vain poll', () => reader.status().pollFailures >= 1);
    await reader.stop();
    expect(await starting).toMatchObject({ code: 'not_running' });
  });

  test('never go back while MySQL-B is killed again and again', async () => {
    const checker = new Checker();
    const reader = await freshReader();
    const from = readable('reader', reader);
    for (let round = 0; round < 3; round++) {
      await put({ held: `"${round}"` });
      const [row] = await query(
        urls.a,
        "SELECT version, config_value AS value FROM configs WHERE config_key = 'held'",
      );
      checker.record('held', Number(row?.version), String(row?.value));
      await until('the change', async () => (await textOf(reader, 'held')) === `"${round}"`);
      await centers.b.kill();
      const reads = checker.reads + 20;
      while (checker.reads < reads) await checker.read(from, 'held');
      await centers.b.start();
      await until('polls again', () => reader.status().pollFailures === 0);
      await checker.read(from, 'held');
    }
    expect(checker.violations).toEqual([]);
  });
});
