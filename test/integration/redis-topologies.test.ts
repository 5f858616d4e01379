/**
 * Readers on Redis with Sentinel and on a cluster, while their masters die, stall and lose what they
 * acknowledged: no answer is wrong, none goes back, none fails, and soon after the failover Redis is
 * used again, before anybody repairs anything.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Reader } from '../../src/index.js';
import { openRedis } from '../../src/redis/client.js';
import { FaultProxy } from '../chaos/proxy.js';
import {
  type RedisTopology,
  type RedisTopologyKind,
  startRedisTopology,
  type TlsFiles,
} from '../chaos/redis-topology.js';
import { rightsIn } from '../support/acl.js';
import { makeCertificates } from '../support/certificates.js';
import { readable } from '../support/checker.js';
import { createDatabase, flavors, type TestDatabase } from '../support/data-centers.js';
import { Load } from '../support/load.js';
import { headOf, metricOf, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

/** Enough for each of three masters to have some. */
const BUCKETS = 8;
const markOf = (bucket: number) => `tidemark:{configs:${bucket}/${BUCKETS}}:mark`;
/** Fewer local entries than the load has keys, so that reads need Redis all the time. */
const OPTIONS = {
  localMaxEntries: 8,
  negativeMaxEntries: 2,
  redisTimeoutMs: 200,
  redisBuckets: BUCKETS,
};
/** From the promotion on: a stalled connection is given up, the breaker tries again, a turn comes. */
const RECOVERY_MS = 10_000;

// What Redis does has nothing to do with the flavor of the database: one is enough.
const [flavor = 'mysql'] = flavors;
/** For a test that starts servers of its own. */
const PATIENT_MS = 120_000;

let folder: string;
let db: TestDatabase;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
  db = await createDatabase(flavor);
});
afterAll(async () => {
  await db.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Scene {
  readonly load: Load;
  readonly readers: readonly Reader[];
}

/** Lets `fault` happen under load, then waits for Redis to be of use again, and holds everything
 * against the truth. */
async function underLoad(url: string, fault: (scene: Scene) => Promise<unknown>): Promise<Scene> {
  const urls = { ...db, redis: url };
  const readers = [await startReader(urls, OPTIONS), await startReader(urls, OPTIONS)];
  const readables = readers.map((reader, index) => readable(`reader ${index}`, reader));
  const scene = { load: new Load({ a: db.a, readables }), readers };
  onTestFinished(() => scene.load.stop());
  await scene.load.start();
  await marksMove(readers);
  await redisServes(scene);
  await fault(scene);
  await recovers(scene);
  await scene.load.stop();
  await converged(scene);
  return scene;
}

/** Redis is soon of full use again. */
async function recovers(scene: Scene): Promise<void> {
  const startMs = performance.now();
  await marksMove(scene.readers);
  await redisServes(scene);
  expect(performance.now() - startMs).toBeLessThan(RECOVERY_MS);
}

/** Resolves when every bucket has been brought to what is now the head. */
async function marksMove(readers: readonly Reader[]): Promise<void> {
  const head = await headOf(db.a);
  for (const reader of readers) {
    await until('all marks to reach the head', () =>
      reader.status().redis.marks.every(({ version }) => (version ?? 0) >= head),
    );
  }
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
  await taken(db.a, scene.readers);
  for (const reader of scene.readers) {
    for (const key of scene.load.keys) {
      expect(await textOf(reader, key), key).toBe(scene.load.checker.truth(key).value);
    }
  }
  await marksMove(scene.readers);
  await redisServes(scene);
  expect(scene.load.checker.violations).toEqual([]);
}

async function generations(readers: readonly Reader[]): Promise<number> {
  const each = readers.map((reader) => metricOf(reader, 'tidemark_redis_generations_total'));
  return (await Promise.all(each)).reduce((sum, count) => sum + count, 0);
}

describe.each<RedisTopologyKind>(['sentinel', 'cluster'])('on %s, readers go on', (kind) => {
  let redis: RedisTopology;
  beforeAll(async () => {
    redis = await startRedisTopology({ kind, folder: join(folder, kind) });
  });
  afterAll(() => redis?.stop());

  test('when the master is killed, and comes back as a replica', async () => {
    await underLoad(redis.url(), async (scene) => {
      await redis.failover(markOf(0));
      await recovers(scene);
      await redis.restore();
    });
  });

  test('when the master stalls, is replaced, and wakes up', async () => {
    await underLoad(redis.url(), async (scene) => {
      await redis.failover(markOf(1), 'pause');
      await recovers(scene);
      for (const node of redis.servers) node.resume();
      await scene.load.goesOn(50);
      await redis.restore();
    });
  });

  test('when the new master lacks what the old one acknowledged', async () => {
    await underLoad(redis.url(), async (scene) => {
      await redis.staleFailover(() => scene.load.goesOn(100), markOf(2));
      await recovers(scene);
      await redis.restore();
    });
  });

  test('when all nodes forget the scripts', async () => {
    await underLoad(redis.url(), async ({ load, readers }) => {
      const before = await generations(readers);
      for (let round = 0; round < 5; round++) {
        for (const node of redis.servers) await node.call('SCRIPT', 'FLUSH');
        await load.goesOn(20);
      }
      expect(await generations(readers)).toBe(before);
    });
  });
});

test('a node of a cluster that knows nothing of its successor is left', async () => {
  const redis = await startRedisTopology({ kind: 'cluster', folder: join(folder, 'cut-off') });
  onTestFinished(() => redis.stop());
  await underLoad(redis.url(), async (scene) => {
    const old = await redis.master(markOf(0));
    const replicas = await Promise.all(
      redis.servers.map(async (node) => {
        const [role, , port] = (await node.call('ROLE')) as unknown[]; // Redis's own shape
        return role === 'slave' && port === old.announcedPort ? [node] : [];
      }),
    );
    // As if the network between the nodes were cut: its clients hear no MOVED, only CLUSTERDOWN.
    for (const line of String(await old.call('CLUSTER', 'NODES'))
      .trim()
      .split('\n')) {
      const [id = '', , flags = ''] = line.split(' ');
      if (!flags.includes('myself')) await old.call('CLUSTER', 'FORGET', id);
    }
    await replicas.flat()[0]?.call('CLUSTER', 'FAILOVER', 'TAKEOVER');
    await until('an old master without a cluster', async () => {
      return String(await old.call('CLUSTER', 'INFO')).includes('cluster_state:fail');
    });
    await recovers(scene);
  });
});

test('a server that has become a replica is left for the one behind the same address', async () => {
  const redis = await startRedisTopology({ kind: 'standalone', folder: join(folder, 'demoted') });
  onTestFinished(() => redis.stop());
  const [main, other] = redis.servers;
  if (main === undefined || other === undefined) throw new Error('Expected two servers');
  let master = main;
  const proxy = await FaultProxy.start({ target: () => master.port, random: Math.random });
  onTestFinished(() => proxy.close());
  await underLoad(`redis://127.0.0.1:${proxy.port}`, async (scene) => {
    master = other; // open connections stay where they are
    await other.call('REPLICAOF', 'NO', 'ONE');
    await main.call('REPLICAOF', '127.0.0.1', other.port);
    await recovers(scene);
    const head = await headOf(db.a);
    await until('the new master to be written to', async () => {
      const [, version] = String(await other.call('GET', markOf(0))).split(' ');
      return Number(version) >= head;
    });
  });
});

describe('with TLS, and users that have no more rights than the files in ops/ give', () => {
  const password = 'p@ss: /+';
  let tls: TlsFiles;
  beforeAll(() => {
    tls = makeCertificates(join(folder, 'certificates'), 'IP:127.0.0.1');
  });

  async function started(kind: RedisTopologyKind): Promise<RedisTopology> {
    const args = ['--user', ...(await rightsIn('redis-readers.acl', password))];
    const secured = { kind, folder: join(folder, `${kind}-secured`), args, tls };
    const redis = await startRedisTopology({ ...secured, sentinelPassword: 'operator' });
    onTestFinished(() => redis.stop());
    const rights = await rightsIn('redis-sentinels.acl', password);
    for (const sentinel of redis.sentinels) await sentinel.call('ACL', 'SETUSER', ...rights);
    return redis;
  }

  function urlFor(redis: RedisTopology): string {
    const files = { 'ssl-ca': tls.ca, 'ssl-cert': tls.cert, 'ssl-key': tls.key };
    const watcher = { 'sentinel-user': 'tidemark_reader', 'sentinel-password': password };
    const query = { ...files, ...(redis.sentinels.length > 0 && watcher) };
    return redis.url({ user: 'tidemark_reader', password, query });
  }

  test.each<RedisTopologyKind>(['standalone', 'sentinel', 'cluster'])(
    'readers use %s, and its next master',
    async (kind) => {
      const redis = await started(kind);
      await underLoad(urlFor(redis), async (scene) => {
        await redis.failover(markOf(0));
        await recovers(scene);
        await redis.restore();
      });
      for (const node of [...redis.servers, ...redis.sentinels]) {
        expect(await node.call('ACL', 'LOG'), node.name).toEqual([]);
      }
    },
    PATIENT_MS,
  );

  test('a certificate is checked as the URL asks for', async () => {
    const elsewhere = makeCertificates(join(folder, 'elsewhere'), 'DNS:elsewhere');
    const redis = await startRedisTopology({
      kind: 'standalone',
      folder: join(folder, 'elsewhere-redis'),
      tls: elsewhere,
    });
    onTestFinished(() => redis.stop());
    const own = { 'ssl-cert': elsewhere.cert, 'ssl-key': elsewhere.key };
    const known = { ...own, 'ssl-ca': elsewhere.ca };
    const connects = (query: Record<string, string>) => connectsTo(redis.url({ query }));
    expect(await connects({ ...known, 'ssl-mode': 'VERIFY_CA' })).toBe('connected');
    expect(await connects({ ...own, 'ssl-mode': 'REQUIRED' })).toBe('connected');
    expect(await connects(known)).toMatch(/does not match certificate's altnames/);
    const others = { ...own, 'ssl-ca': tls.ca };
    expect(await connects({ ...others, 'ssl-mode': 'VERIFY_CA' })).toMatch(/certificate|signature/);
    expect(await connects(own)).toMatch(/certificate/);
  });
});

/** 'connected', or why not. */
async function connectsTo(url: string): Promise<string> {
  const faults: string[] = [];
  const client = openRedis(url, ({ message }) => void faults.push(message));
  try {
    return await until('an outcome', () => (client.status === 'ready' ? 'connected' : faults[0]));
  } finally {
    client.disconnect();
  }
}
