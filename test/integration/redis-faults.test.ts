/**
 * Redis loses data, goes back in time, stalls, refuses or lies, while one writer writes in A and two
 * readers read in B: no answer is wrong, none goes back, none fails, and Redis serves again after.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
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
import { createRedis, type RedisServer } from '../../src/demo/redis.js';
import type { Reader } from '../../src/index.js';
import { readable } from '../support/checker.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { Load } from '../support/load.js';
import { headOf, metricOf, SILENT, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const MARK = 'tidemark:{configs:0}:mark';
/** Fewer than the load has keys, so that reads need Redis all the time. */
const LOCAL = { localMaxEntries: 8, negativeMaxEntries: 2, redisTimeoutMs: 200 };

describe.each(flavors)('readers on %s tell the truth', (flavor) => {
  let folder: string;
  let server: RedisServer;
  let db: TestDatabase;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
    server = await createRedis(join(folder, 'redis'));
    db = await createDatabase(flavor);
  });
  beforeEach(async () => {
    await restartedEmpty();
  });
  afterAll(async () => {
    await server.kill();
    await rm(folder, { recursive: true, force: true });
    await db.drop();
  });

  async function restartedEmpty(): Promise<void> {
    await server.kill();
    await rm(join(server.folder, 'dump.rdb'), { force: true });
    await server.start();
  }

  /** Commands as an operator would send them, on a connection of their own. */
  async function operate<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(server.url(), { maxRetriesPerRequest: 1 });
    redis.on('error', () => undefined); // the command's own failure is told
    try {
      return await use(redis);
    } finally {
      redis.disconnect();
    }
  }

  interface Scene {
    readonly load: Load;
    readonly readers: readonly Reader[];
  }

  /** Lets `fault` happen under load, then holds everything against the truth. */
  async function underLoad(
    fault: (scene: Scene) => Promise<void>,
    { padBytes = 0 } = {},
  ): Promise<Scene> {
    const urls = { ...db, redis: server.url() };
    const readers = [await startReader(urls, LOCAL), await startReader(urls, LOCAL)];
    const readables = readers.map((reader, index) => readable(`reader ${index}`, reader));
    const scene = { load: new Load({ a: db.a, readables, padBytes }), readers };
    onTestFinished(() => scene.load.stop());
    await scene.load.start();
    await redisServes(scene);
    await fault(scene);
    await scene.load.goesOn(50);
    await scene.load.stop();
    expect(scene.load.checker.violations).toEqual([]);
    await converged(scene);
    return scene;
  }

  /** Resolves when each reader gets answers from Redis. */
  async function redisServes({ load, readers }: Scene): Promise<void> {
    for (const reader of readers) {
      const before = await metricOf(reader, 'tidemark_reads_total', 'redis');
      await until('answers from Redis', async () => {
        for (const key of load.keys) await load.checker.read(readable('probe', reader), key);
        return (await metricOf(reader, 'tidemark_reads_total', 'redis')) > before;
      });
    }
  }

  async function converged(scene: Scene): Promise<void> {
    const head = await taken(db.a, scene.readers);
    for (const reader of scene.readers) {
      for (const key of scene.load.keys) {
        expect(await textOf(reader, key), key).toBe(scene.load.checker.truth(key).value);
      }
      const mark = () => reader.status().redis.marks[0]?.version;
      await until('the mark at the head', () => mark() === head);
    }
    await redisServes(scene);
    expect(scene.load.checker.violations).toEqual([]);
  }

  async function generations(readers: readonly Reader[]): Promise<number> {
    const each = readers.map((reader) => metricOf(reader, 'tidemark_redis_generations_total'));
    return (await Promise.all(each)).reduce((sum, count) => sum + count, 0);
  }

  test('when Redis is flushed, again and again', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      for (let round = 0; round < 5; round++) {
        await operate((redis) => redis.flushall());
        await load.goesOn(20);
      }
    });
    expect(await generations(readers)).toBeLessThanOrEqual(1 + 5);
  });

  test('when Redis is killed, is away, and comes back empty', async () => {
    await underLoad(async ({ load }) => {
      await server.kill();
      await load.goesOn(100);
      await restartedEmpty();
    });
  });

  test('when Redis comes back with an older snapshot, and catches it up from its mark', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      await operate((redis) => redis.save());
      await load.goesOn(100);
      await server.kill();
      await load.goesOn(20);
      await server.start();
    });
    expect(await generations(readers)).toBe(1);
  });

  test('when the log no longer covers the older snapshot that Redis comes back with', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      await operate((redis) => redis.save());
      await load.goesOn(100);
      await server.kill();
      await query(db.a, `DELETE FROM config_changes WHERE version < ${await headOf(db.a)}`);
      await load.goesOn(20);
      await server.start();
    });
    expect(await generations(readers)).toBe(2);
  });

  test('when Redis evicts what it likes, the mark too', async () => {
    await underLoad(
      async ({ load }) => {
        await operate(async (redis) => {
          await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
          // What it uses comes and goes with its clients' buffers.
          await until('evictions', async () => {
            const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
            await redis.config('SET', 'maxmemory', used - 30_000);
            await load.goesOn(20);
            return /evicted_keys:[1-9]/.test(await redis.info('stats'));
          });
          await load.goesOn(200);
          await redis.del(MARK);
        });
        await load.goesOn(50);
      },
      { padBytes: 4_000 },
    );
  });

  test('when Redis is full and refuses writes', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      await operate((redis) => redis.config('SET', 'maxmemory', 1));
      await load.goesOn(100);
      await operate((redis) => redis.config('SET', 'maxmemory', 0));
    });
    for (const reader of readers) {
      expect(await metricOf(reader, 'tidemark_redis_faults_total')).toBeGreaterThan(0);
    }
  });

  test('when Redis stalls: the breaker opens, and closes when Redis goes on', async () => {
    await underLoad(async ({ load, readers }) => {
      server.pause();
      try {
        for (const reader of readers) {
          await until('an open breaker', () => reader.status().redis.breaker === 'open');
        }
        await load.goesOn(100);
      } finally {
        server.resume();
      }
      for (const reader of readers) {
        await until('a closed breaker', () => reader.status().redis.breaker === 'closed');
      }
    });
  });

  test('when a stalled Redis is asked only now and then, whatever the number of reads', async () => {
    const redis = new Redis(server.url(), { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    redis.on('error', () => undefined);
    onTestFinished(() => redis.disconnect());
    await until('a connection', () => redis.status === 'ready');
    const reader = await startReader({ ...db, redis: '' }, { redis, redisTimeoutMs: 50 });
    await until('a warm Redis', () => reader.ready);
    server.pause();
    try {
      await until('an open breaker', () => reader.status().redis.breaker === 'open');
      const asked = vi.spyOn(redis, 'mgetBuffer');
      for (let read = 0; read < 200; read++) {
        expect((await reader.get(`absent/${read}`)).tier).toBe('mysql');
      }
      expect(asked.mock.calls.length).toBeLessThan(100);
    } finally {
      server.resume();
    }
  });

  test('when Redis asks for a password that the readers do not have', async () => {
    await underLoad(async ({ load }) => {
      await operate(async (redis) => {
        await redis.config('SET', 'requirepass', 'secret');
        await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await load.goesOn(100);
        await redis.config('SET', 'requirepass', '');
      });
    });
  });

  test('when the password for Redis is wrong from the start, without printing it', async () => {
    await operate((redis) => redis.config('SET', 'requirepass', 'secret'));
    const printed: unknown[] = [];
    const print = (...args: unknown[]) => void printed.push(args);
    const logger = { ...SILENT, debug: print, info: print, warn: print };
    const url = server.url().replace('redis://', 'redis://:not-the-one@');
    const reader = await startReader({ ...db, redis: url }, { logger });
    const load = new Load({ a: db.a, readables: [readable('reader', reader)] });
    onTestFinished(() => load.stop());
    await load.start();
    await load.goesOn(50);
    await load.stop();
    expect(load.checker.violations).toEqual([]);
    await until('to be ready without Redis', () => reader.ready);
    expect(JSON.stringify(printed)).toMatch(/Redis/);
    expect(JSON.stringify(printed)).not.toContain('not-the-one');
  });

  test('when Redis forgets the scripts', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      for (let round = 0; round < 5; round++) {
        await operate((redis) => redis.script('FLUSH'));
        await load.goesOn(20);
      }
    });
    expect(await generations(readers)).toBe(1);
  });

  test('when Redis closes all connections', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      for (let round = 0; round < 5; round++) {
        await operate((redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
        await load.goesOn(20);
      }
    });
    expect(await generations(readers)).toBe(1);
  });

  test('when entries and marks are overwritten by something else all the time', async () => {
    const { readers } = await underLoad(async ({ load }) => {
      for (let round = 0; round < 20; round++) {
        await operate(async (redis) => {
          const names = await redis.keys('tidemark:*');
          for (const [index, name] of names.entries()) {
            if (name !== MARK) await corrupt(redis, name, CORRUPTIONS[index % CORRUPTIONS.length]);
          }
          if (round % 5 === 4) await corrupt(redis, MARK, CORRUPTIONS[round % 2]);
        });
        await load.goesOn(10);
      }
    });
    let corruptEntries = 0;
    for (const reader of readers) {
      corruptEntries += await metricOf(reader, 'tidemark_redis_corrupt_entries_total');
    }
    expect(corruptEntries).toBeGreaterThan(0);
    expect(await generations(readers)).toBeLessThanOrEqual(1 + 4);
  });

  test.each(CORRUPTIONS)(
    'when an entry is $what: a miss, counted, repaired',
    async (corruption) => {
      const urls = { ...db, redis: server.url() };
      const [one, other] = [await startReader(urls), await startReader(urls)];
      await query(
        db.a,
        "REPLACE INTO configs (config_key, config_value) VALUES ('k', '\"right\"')",
      );
      const head = await taken(db.a, [one, other]);
      const [name = ''] = await operate(async (redis) => {
        await until('the mark at the head', () => one.status().redis.marks[0]?.version === head);
        await one.refresh('k');
        return await until('the entry in Redis', async () => {
          const found = await redis.keys('*:k');
          return found.length > 0 && found;
        });
      });
      await operate((redis) => corrupt(redis, name, corruption));

      const reading = await other.get('k');
      expect(reading.tier).toBe('mysql');
      expect(reading.value?.toString()).toBe('"right"');
      const counted = () => metricOf(other, 'tidemark_redis_corrupt_entries_total');
      await until('it to be counted', async () => (await counted()) === 1);

      const third = await startReader(urls);
      await until('the entry to be right again', async () => {
        await third.invalidate('(another)');
        return (await operate((redis) => redis.getBuffer(name)))?.includes('"right"');
      });
      await until('a warm Redis', () => third.ready);
      expect((await third.get('k')).tier).toBe('redis');
      expect(await textOf(third, 'k')).toBe('"right"');
    },
  );

  test.each(MARK_CORRUPTIONS)('when the mark is $what: a new generation', async (corruption) => {
    const { readers } = await underLoad(async ({ load }) => {
      await operate((redis) => corrupt(redis, MARK, corruption));
      await load.goesOn(20);
    });
    expect(await generations(readers)).toBe(2);
  });
});

interface Corruption {
  readonly what: string;
  readonly change: (bytes: Buffer) => Buffer | 'list';
}

const CORRUPTIONS: readonly Corruption[] = [
  { what: 'some other text', change: () => Buffer.from('garbage') },
  { what: 'a list', change: () => 'list' },
  { what: 'empty', change: () => Buffer.alloc(0) },
  { what: 'cut short', change: (bytes) => bytes.subarray(0, bytes.length - 2) },
  { what: 'longer', change: (bytes) => Buffer.concat([bytes, bytes]) },
  { what: 'one bit off in its value', change: (bytes) => flipped(bytes, bytes.length - 2) },
  { what: 'one bit off in its head', change: (bytes) => flipped(bytes, 0) },
];
const MARK_CORRUPTIONS: readonly Corruption[] = [
  ...CORRUPTIONS.slice(0, 3),
  { what: 'one bit off in its version', change: (bytes) => flipped(bytes, bytes.indexOf(' ') + 1) },
];

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

async function corrupt(redis: Redis, name: string, corruption?: Corruption): Promise<void> {
  if (corruption === undefined) return;
  const type = await redis.type(name);
  const bytes = type === 'string' ? await redis.getBuffer(name) : null;
  const changed = corruption.change(bytes ?? Buffer.from('x'.repeat(40)));
  if (changed === 'list') await redis.multi().del(name).rpush(name, 'a', 'list').exec();
  else await redis.set(name, changed);
}
