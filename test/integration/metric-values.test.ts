/**
 * What the metrics of a reader say, against what was done to its servers: each value between bounds
 * that the test itself has measured. Each flavor has data centers of its own here.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { createReader, type Reader } from '../../src/index.js';
import { migrate } from '../../src/mysql/migrate.js';
import { FaultProxy, type NetworkFault } from '../chaos/proxy.js';
import { connected, flavors, query } from '../support/data-centers.js';
import {
  headOf,
  metricOf,
  readerOptions,
  startReader,
  taken,
  textOf,
  timesOf,
} from '../support/readers.js';
import { until } from '../support/until.js';

const REPLACE = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';

describe.each(flavors)('the metrics of a reader on %s', (flavor) => {
  let centers: DataCenters;
  let urls: { a: string; b: string; redis: string };

  beforeAll(async () => {
    centers = await startDataCenters({ flavor });
    urls = { a: centers.a.url(), b: centers.b.url(), redis: centers.redis.url() };
    await connected(urls.a, (connection) => migrate(connection));
  });
  afterAll(() => centers?.stop());
  beforeEach(async () => {
    await beat();
    await emptyRedis();
  });

  const put = (key: string, value: string) => query(urls.a, REPLACE, [key, value]);
  const waited = (fromMs: number, ms: number) =>
    until(`${ms} ms to be over`, () => Date.now() - fromMs >= ms);

  /** A heartbeat, as the write app sends them. @returns its time, by A's clock */
  async function beat(): Promise<number> {
    await query(urls.a, 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
    await centers.caughtUp();
    const [row] = await query(
      urls.a,
      `SELECT DATE_FORMAT(beat_at, '%Y-%m-%dT%H:%i:%s.%fZ') AS beat_at FROM config_stream`,
    );
    return Date.parse(row?.beat_at);
  }

  /** So that there are no marks which a reader would have to catch up first. */
  async function emptyRedis(): Promise<void> {
    const redis = new Redis(urls.redis);
    await redis.flushall();
    redis.disconnect();
  }

  async function stoppedReplication(): Promise<void> {
    await centers.stopReplication();
    onTestFinished(async () => {
      await centers.startReplication();
      await centers.caughtUp();
    });
  }

  /** A server behind a network of its own. */
  async function behind(url: string, fault: NetworkFault) {
    const target = new URL(url);
    const port = Number(target.port);
    const proxy = await FaultProxy.start({ target: () => port, random: Math.random });
    onTestFinished(() => proxy.close());
    proxy.set(fault);
    target.port = String(proxy.port);
    return { url: target.href, proxy };
  }

  /** A reader that is in step with Redis, so that it applies each page to it. */
  async function inStep(at: typeof urls): Promise<Reader> {
    const reader = await startReader(at);
    const head = await taken(urls.a, [reader]);
    await until('the mark', () => reader.status().redis.marks[0]?.version === head);
    return reader;
  }

  test('a change that replication held back for 2 s has taken so long, and no other', async () => {
    const reader = await inStep(urls);
    const before = await timesOf(reader, 'tidemark_propagation_seconds');
    await stoppedReplication();
    const earliestMs = Date.now();
    await put('late', '1');
    const latestMs = Date.now();
    await waited(latestMs, 2_000);
    const freedMs = Date.now();
    await centers.startReplication();
    await taken(urls.a, [reader]);
    const after = await timesOf(reader, 'tidemark_propagation_seconds');
    const seconds = after.seconds - before.seconds;
    expect(after.count - before.count).toBe(1);
    expect(seconds).toBeGreaterThanOrEqual((freedMs - latestMs) / 1_000);
    expect(seconds).toBeLessThanOrEqual((Date.now() - earliestMs) / 1_000);
  });

  test('the age of the heartbeat grows while replication is stopped, and is small after', async () => {
    const reader = await startReader(urls, { staleAfterMs: 1_000 });
    const beatAtMs = await beat();
    const age = () => metricOf(reader, 'tidemark_replication_age_seconds');
    const staleness = () => metricOf(reader, 'tidemark_staleness_seconds');
    await until('the beat', async () => (await age()) <= (Date.now() - beatAtMs) / 1_000);
    await stoppedReplication();
    await waited(beatAtMs, 2_000);
    const fromMs = Date.now();
    const ages = [await age(), await staleness()];
    const toMs = Date.now();
    expect(ages[0]).toBeGreaterThanOrEqual((fromMs - beatAtMs) / 1_000);
    expect(ages[0]).toBeLessThanOrEqual((toMs - beatAtMs) / 1_000);
    // The most cautious of three clocks: never less than by this one.
    expect(ages[1]).toBeGreaterThanOrEqual((fromMs - beatAtMs) / 1_000);
    expect(reader.status().stale).toBe(true);
    await centers.startReplication();
    await until('a small age', async () => {
      await beat();
      return (await age()) < 1 && (await staleness()) < 1 && !reader.status().stale;
    });
  });

  test('a reader that was never complete says so: its ages have no end', async () => {
    const reader = createReader(readerOptions(urls));
    onTestFinished(() => reader.stop());
    const text = await reader.metrics.metrics();
    expect(text).toContain('\ntidemark_staleness_seconds +Inf\n');
    expect(text).toContain('\ntidemark_replication_age_seconds +Inf\n');
  });

  test('polls and applied pages take what the way to the servers takes', async () => {
    const startedAtMs = performance.now();
    const { url: b } = await behind(urls.b, { delayMs: 60 }); // each way
    const { url: redis } = await behind(urls.redis, { delayMs: 40 });
    const reader = await inStep({ ...urls, b, redis });
    for (const value of ['1', '2', '3']) {
      await put('applied', value);
      await taken(urls.a, [reader]);
    }
    await reader.stop();
    const elapsedS = (performance.now() - startedAtMs) / 1_000;
    const polls = await timesOf(reader, 'tidemark_poll_seconds');
    // The first turn polls nothing: it asks where the log ends.
    expect(polls.count).toBe(await metricOf(reader, 'tidemark_polls_total'));
    expect(polls.seconds).toBeGreaterThanOrEqual(polls.count * 0.12);
    expect(polls.seconds).toBeLessThanOrEqual(elapsedS);
    const applies = await timesOf(reader, 'tidemark_apply_seconds');
    expect(applies.count).toBe(3);
    expect(applies.seconds).toBeGreaterThanOrEqual(3 * 0.08);
    expect(applies.seconds).toBeLessThanOrEqual(elapsedS);
    expect(await metricOf(reader, 'tidemark_poll_failures_total')).toBe(0);
  });

  /*
   * load:      SELECT at version n ............ (large, on a slow way) ............ lands at n
   * A:                          change, n + 1
   * reader:                              eviction, mark at n + 1
   */
  test('a load that arrives behind the change of its key is counted as refused, by both tiers', async () => {
    const keys = ['large/0', 'large/1', 'large/2', 'large/3', 'large/4'];
    const old = JSON.stringify('x'.repeat(400_000));
    for (const key of keys) await put(key, old);
    await centers.caughtUp();
    let bytesPerSecond = 400_000;
    const { url: b, proxy } = await behind(urls.b, { bytesPerSecond });
    const reader = await inStep({ ...urls, b });
    const refused = async () => ({
      local: await metricOf(reader, 'tidemark_refused_fills_total', 'local'),
      redis: await metricOf(reader, 'tidemark_refused_fills_total', 'redis'),
      reply: await metricOf(reader, 'tidemark_redis_fills_total', 'refused'),
    });
    expect(await refused()).toEqual({ local: 0, redis: 0, reply: 0 });
    const left = [...keys];
    // Whether the change overtakes the load is up to the machine: if not, a slower one is tried.
    const key = await until('a change that overtakes a load', async () => {
      const tried = left.shift() ?? 'none';
      let hasLanded = false;
      const loading = reader.get(tried).finally(() => {
        hasLanded = true;
      });
      await until('a load in flight', () => metricOf(reader, 'tidemark_fills_in_flight'));
      await put(tried, '"new"');
      const version = await headOf(urls.a);
      await until('the eviction', () => reader.status().applied >= version);
      const isOvertaken = !hasLanded;
      const { asOf, value } = await loading;
      bytesPerSecond /= 2;
      proxy.set({ bytesPerSecond });
      if (!isOvertaken || asOf >= version) return undefined;
      expect(value?.toString()).toBe(old); // the read began before the change was known
      return tried;
    });
    await until('the reply of Redis', async () => (await refused()).redis > 0);
    const { local, redis, reply } = await refused();
    expect([local, redis]).toEqual([1, reply]); // those tried before may have been late for Redis only
    expect(await textOf(reader, key)).toBe('"new"');
  });

  test('the breaker is open while Redis is away, and closed when it is back', async () => {
    const reader = await startReader(urls, { redisTimeoutMs: 200 });
    const isOpen = () => metricOf(reader, 'tidemark_redis_breaker_open');
    const faults = () => metricOf(reader, 'tidemark_redis_faults_total');
    await until('Redis to take part', () => reader.ready);
    expect(await isOpen()).toBe(0);
    const before = await faults(); // a first turn may have come before the connection
    onTestFinished(() => centers.redis.start());
    await centers.redis.kill();
    await until('an open breaker', async () => (await isOpen()) === 1);
    expect(await faults()).toBeGreaterThanOrEqual(before + 3); // in a row, or it had not opened
    await put('without', '1');
    await taken(urls.a, [reader]);
    expect((await reader.get('without')).tier).toBe('mysql');
    expect(await isOpen()).toBe(1);
    await centers.redis.start();
    await until('a closed breaker', async () => (await isOpen()) === 0);
    await until('the mark', () => reader.status().redis.marks[0]?.version !== undefined);
    const known = await faults();
    await put('with', '1');
    await taken(urls.a, [reader]);
    expect([await isOpen(), await faults()]).toEqual([0, known]);
  });
});
