/**
 * A Redis whose memory is used up, real and simulated: a script that cannot write is refused at its
 * first write, and one that has written already goes on to its end. So data and mark stay together.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import type { Position } from '../../src/core/position.js';
import { createRedis, type RedisServer } from '../../src/demo/redis.js';
import { type RedisClient, RedisTier } from '../../src/redis/tier.js';
import { SimulatedRedis } from '../simulation/fake-redis.js';
import { simulatedClient } from '../simulation/redis-client.js';
import { AtOnce } from '../support/at-once.js';

interface World {
  readonly client: RedisClient;
  setFull(isFull: boolean): Promise<unknown>;
}

let folder: string;
let server: RedisServer;
let real: Redis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
  server = await createRedis(join(folder, 'redis'));
  await server.start();
  real = new Redis(server.url());
});
afterAll(async () => {
  real.disconnect();
  await server.kill();
  await rm(folder, { recursive: true, force: true });
});

const worlds: [string, () => World][] = [
  [
    'a real Redis',
    () => ({
      client: real,
      setFull: (isFull) => real.config('SET', 'maxmemory', isFull ? '1' : '0'),
    }),
  ],
  [
    'the simulation',
    () => {
      const redis = new SimulatedRedis();
      const client = simulatedClient(redis, new AtOnce(1), 'contract');
      return {
        client,
        setFull: async (isFull) => {
          redis.isFull = isFull;
        },
      };
    },
  ],
];

const at = (version: number): Position => ({ version, fingerprint: `f${version}` });
const value = (version: number) => new Entry(at(8), version, Buffer.from(`"${version}"`));
/** It may have changed after the end of the page: `apply` removes it. */
const ahead = new Entry(at(20), 15, Buffer.from('"ahead"'));
const NO_MEMORY = { name: 'ReplyError', message: expect.stringMatching(/OOM command not allowed/) };

describe.each(worlds)('%s without memory', (_name, makeWorld) => {
  let world: World;
  let tier: RedisTier;
  let count = 0;

  beforeEach(async () => {
    world = makeWorld();
    await world.setFull(false);
    tier = new RedisTier({
      client: world.client,
      table: 'configs',
      prefix: `memory-${++count}`,
      buckets: 1,
      timeoutMs: 5_000,
      ttlMs: 100_000,
      negativeTtlMs: 10_000,
      random: () => 0.5,
    });
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark for the one bucket, got none');
    await tier.begin(stored, 'g', at(7));
    tier.adopt(0, 'g');
    for (const key of ['a', 'b']) await tier.fill(key, new Entry(at(7), 5, Buffer.from('5')), 'g');
    await world.setFull(true);
  });
  afterAll(() => world.setFull(false));

  async function apply(entries: Map<string, Entry>): Promise<boolean> {
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark for the one bucket, got none');
    return tier.apply(stored, at(8), entries);
  }

  /** The mark's version, and the versions of the entries a and b. */
  async function state(): Promise<(number | undefined)[]> {
    const [stored] = await tier.marks();
    const [a, b] = await tier.read(0, ['a', 'b']);
    return [stored?.mark?.position.version, a?.version, b?.version];
  }

  test('refuses a page that begins with a value, and moves no mark', async () => {
    const entries = new Map([
      ['a', value(8)],
      ['b', ahead],
    ]);
    await expect(apply(entries)).rejects.toMatchObject(NO_MEMORY);
    expect(await state()).toEqual([7, 5, 5]);
  });

  test('takes all of a page that begins with a removal', async () => {
    const entries = new Map([
      ['b', ahead],
      ['a', value(8)],
    ]);
    expect(await apply(entries)).toBe(true);
    expect(await state()).toEqual([8, 8, undefined]);
  });

  test('refuses an empty page, a fill and a generation', async () => {
    await expect(apply(new Map())).rejects.toMatchObject(NO_MEMORY);
    await expect(tier.fill('a', value(7), 'g')).rejects.toMatchObject(NO_MEMORY);
    const [stored] = await tier.marks();
    if (stored === undefined) throw new Error('Expected a mark for the one bucket, got none');
    await expect(tier.begin(stored, 'h', at(8))).rejects.toMatchObject(NO_MEMORY);
    expect(await state()).toEqual([7, 5, 5]);
  });

  test('removes, and answers reads', async () => {
    await tier.remove('a');
    expect(await state()).toEqual([7, undefined, 5]);
  });
});
