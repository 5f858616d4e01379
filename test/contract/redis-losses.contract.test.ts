/**
 * What a Redis forgets, remembers too much, or holds as another type, real and simulated: the same
 * answers of the tier, so that what the simulation proves under such faults holds for the real one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import type { Position } from '../../src/core/position.js';
import { type RedisClient, RedisTier, type StoredMark } from '../../src/redis/tier.js';
import { type RedisTopology, startRedisTopology } from '../chaos/redis-topology.js';
import { SimulatedRedis } from '../simulation/fake-redis.js';
import { simulatedClient } from '../simulation/redis-client.js';
import { AtOnce } from '../support/at-once.js';
import { until } from '../support/until.js';

interface World {
  readonly client: RedisClient;
  flush(): Promise<unknown>;
  /** What stands there is a list from now on. */
  makeList(name: string): Promise<unknown>;
  /** Some time passes. */
  pass(): Promise<unknown>;
  /** The replica has all that was written so far. */
  replicated(): Promise<unknown>;
  /** The replica takes over, without what `meanwhile` wrote. */
  staleFailover(meanwhile: () => Promise<unknown>): Promise<unknown>;
}

let folder: string;
let topology: RedisTopology;
let real: Redis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
  topology = await startRedisTopology({ kind: 'standalone', folder });
  real = new Redis(topology.url());
  real.on('error', () => undefined); // it is killed, and comes back
});
afterAll(async () => {
  real?.disconnect();
  await topology?.stop();
  await rm(folder, { recursive: true, force: true });
});

function realWorld(): World {
  return {
    client: real,
    flush: () => real.flushall(),
    makeList: (name) => real.multi().del(name).rpush(name, 'a', 'list').exec(),
    pass: () => new Promise((resolve) => setTimeout(resolve, 5)),
    replicated: () => until('replication', () => real.wait(1, 1_000)),
    async staleFailover(meanwhile) {
      await topology.staleFailover(meanwhile);
      await topology.restore();
      await until('the client to be back', () => real.ping());
    },
  };
}

function simulatedWorld(): World {
  let nowMs = 0;
  const redis = new SimulatedRedis(() => nowMs);
  return {
    client: simulatedClient(redis, new AtOnce(1), 'contract'),
    flush: async () => redis.flush(),
    makeList: async (name) => redis.overwrite(name, null),
    async pass() {
      nowMs += 5;
    },
    replicated: async () => redis.replicate(Number.POSITIVE_INFINITY),
    async staleFailover(meanwhile) {
      await meanwhile();
      redis.failOver(new Set());
    },
  };
}

const at = (version: number): Position => ({ version, fingerprint: `f${version}` });
const value = (asOf: number, version: number) =>
  new Entry(at(asOf), version, Buffer.from(`"${version}"`));
const absence = (asOf: number) => new Entry(at(asOf), 0, null);
const LONG_MS = 1_000_000;
const SHORT_MS = 60;

describe.each([
  ['a real Redis', realWorld],
  ['the simulation', simulatedWorld],
] as const)('%s', (_name, makeWorld) => {
  let world: World;
  let prefix: string;
  let tier: RedisTier;
  let count = 0;

  beforeEach(async () => {
    world = makeWorld();
    prefix = `losses-${++count}`;
    tier = await begun(LONG_MS, LONG_MS);
  });

  /** A tier whose one bucket has the generation `g` at 7. */
  async function begun(ttlMs: number, negativeTtlMs: number): Promise<RedisTier> {
    const { client } = world;
    const options = { client, prefix, table: 'configs', buckets: 1, timeoutMs: 5_000 };
    const one = new RedisTier({ ...options, ttlMs, negativeTtlMs, random: () => 1 });
    const stored = await markOf(one);
    await one.begin(stored, 'g', at(7), stored.mark?.generation);
    one.adopt(0, 'g');
    return one;
  }

  async function markOf(one = tier): Promise<StoredMark> {
    const [stored] = await one.marks();
    if (stored === undefined) throw new Error('Expected a mark for the one bucket, got none');
    return stored;
  }

  const versionAtMark = async (one = tier) => (await markOf(one)).mark?.position.version;
  const versionOf = async (key: string, one = tier) => (await one.read(0, [key]))[0]?.version;
  const mark = () => `${prefix}:{configs:0}:mark`;
  const entry = (key: string) => `${prefix}:{configs:0}:g:${key}`;

  describe('another type', () => {
    test('of the mark is no mark: nothing is written under it, and it can be begun over', async () => {
      const before = await markOf();
      await world.makeList(mark());
      const stored = await markOf();
      expect(stored).toEqual({ bucket: 0, raw: '', mark: undefined });
      expect(await tier.apply(before, at(8), new Map([['k', value(8, 8)]]))).toBe(false);
      expect(await tier.fill('k', value(7, 7), 'g')).toBe('generation');
      expect(await tier.read(0, ['k'])).toEqual([]);
      expect(await tier.begin(before, 'h', at(8))).toBe(false); // it is not what was judged
      expect(await tier.begin(stored, 'h', at(8))).toBe(true);
      expect(await versionAtMark()).toBe(8);
    });

    test('of an entry is a miss, and a page and a fill write over it', async () => {
      await world.makeList(entry('k'));
      expect(await tier.read(0, ['k'])).toEqual([undefined]);
      expect(await tier.fill('k', value(7, 7), 'g')).toBe('replaced');
      expect(await versionOf('k')).toBe(7);
      await world.makeList(entry('k'));
      expect(await tier.apply(await markOf(), at(8), new Map([['k', value(8, 8)]]))).toBe(true);
      expect(await versionOf('k')).toBe(8);
      await world.makeList(entry('k'));
      await tier.remove('k');
      expect(await tier.fill('k', value(8, 8), 'g')).toBe('stored'); // there was nothing
    });
  });

  describe('time', () => {
    test('takes absences, filled or applied, before values, and never the mark', async () => {
      tier = await begun(LONG_MS, SHORT_MS);
      const page = new Map([
        ['applied', value(8, 8)],
        ['gone', absence(8)],
      ]);
      expect(await tier.apply(await markOf(), at(8), page)).toBe(true);
      await tier.fill('filled', value(8, 1), 'g');
      await tier.fill('never', absence(8), 'g');
      await until('the absences to end', async () => {
        await world.pass();
        const found = await tier.read(0, ['gone', 'never']);
        return found.every((one) => one === undefined);
      });
      expect([await versionOf('applied'), await versionOf('filled')]).toEqual([8, 1]);
    });

    test('takes values, and begins anew with each write', async () => {
      tier = await begun(SHORT_MS, SHORT_MS);
      await tier.fill('k', value(7, 7), 'g');
      const long = await begun(LONG_MS, LONG_MS);
      await long.fill('kept', value(7, 7), 'g');
      await tier.fill('kept over', value(7, 7), 'g');
      await long.fill('kept over', value(7, 7), 'g');
      await until('the value to end', async () => {
        await world.pass();
        return (await versionOf('k')) === undefined;
      });
      expect([await versionOf('kept'), await versionOf('kept over')]).toEqual([7, 7]);
      expect(await versionAtMark()).toBe(7);
      expect(await tier.fill('k', value(7, 7), 'g')).toBe('stored'); // what ended is not there
      expect((await tier.scan(0, '0')).keys).toContain('kept');
    });
  });

  describe('a flush', () => {
    test('between the mark that was read and a script: the script changes nothing', async () => {
      await tier.fill('k', value(7, 7), 'g');
      const stored = await markOf();
      await world.flush();
      expect(await tier.apply(stored, at(8), new Map([['k', value(8, 8)]]))).toBe(false);
      expect(await tier.begin(stored, 'h', at(8))).toBe(false);
      expect(await tier.fill('k', value(7, 7), 'g')).toBe('generation');
      expect(await markOf()).toEqual({ bucket: 0, raw: '', mark: undefined });
    });

    test('between a script and a read: a miss, not an answer', async () => {
      expect(await tier.fill('k', value(7, 7), 'g')).toBe('stored');
      await world.flush();
      expect(await tier.read(0, ['k'])).toEqual([]);
      expect(await tier.scan(0, '0')).toEqual({ cursor: '0', keys: [] });
      await tier.remove('k');
    });
  });

  test('a failover to a replica that lags: mark and entries are of one moment of the past', async () => {
    await tier.apply(await markOf(), at(9), new Map([['k', value(9, 9)]]));
    await tier.fill('old', value(9, 3), 'g');
    await world.replicated();
    await world.staleFailover(async () => {
      await tier.apply(await markOf(), at(10), new Map([['k', value(10, 10)]]));
      await tier.fill('new', value(10, 4), 'g');
      expect([await versionAtMark(), await versionOf('new')]).toEqual([10, 4]);
    });
    expect(await versionAtMark()).toBe(9);
    const found = await tier.read(0, ['k', 'old', 'new']);
    expect(found.map((one) => one && [one.asOf, one.version])).toEqual([[9, 9], [9, 3], undefined]);
    expect(await tier.fill('new', value(10, 4), 'g')).toBe('stored'); // true from 4 to 10
    expect(await tier.fill('newer', value(10, 10), 'g')).toBe('refused');
    expect(await tier.apply(await markOf(), at(10), new Map([['k', value(10, 10)]]))).toBe(true);
  }, 120_000);
});
