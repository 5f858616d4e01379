/** `tidemark doctor` on real Redis: what can be wrong with it is made wrong, and named. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import type { Finding, Severity } from '../../src/doctor/finding.js';
import {
  type RedisNode,
  type RedisTopology,
  type RedisTopologyKind,
  startRedisTopology,
} from '../chaos/redis-topology.js';
import { rightsIn } from '../support/acl.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

// What Redis does has nothing to do with the flavor of the database: one is enough.
const [flavor = 'mysql'] = flavors;

let folder: string;
let db: TestDatabase;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
  db = await createDatabase(flavor);
});
afterAll(async () => {
  await db.drop();
  await rm(folder, { recursive: true, force: true });
});

async function started(kind: RedisTopologyKind): Promise<RedisTopology> {
  number += 1;
  const redis = await startRedisTopology({ kind, folder: join(folder, String(number)) });
  onTestFinished(() => redis.stop());
  return redis;
}

function master(redis: RedisTopology): RedisNode {
  const [first] = redis.servers;
  if (first === undefined) throw new Error('Expected a server, got none');
  return first;
}

async function examine(redisUrl: string, redisBuckets = 1): Promise<Finding[]> {
  const settings = {
    collections: [DEFAULT_COLLECTION],
    keyPrefix: 'tidemark',
    redisBuckets,
    staleAfterMs: 5_000,
    retentionHours: 24,
    earlyWake: 'auto',
  } as const;
  const all = await examineSystem({ mysqlBUrl: db.b, redisUrl, settings, patienceMs: 10_000 });
  return all.filter(({ place }) => place === 'Redis');
}

function named(findings: Finding[], check: string, severity: Severity, text: RegExp): void {
  const found = findings.find((one) => one.check === check);
  expect([check, found?.severity]).toEqual([check, severity]);
  expect(`${found?.cause} -> ${found?.remedy}`).toMatch(text);
}

/** Each check's verdict, without those that are ok. */
function wrong(findings: Finding[]): string[] {
  return findings
    .filter(({ severity }) => severity !== 'ok')
    .map(({ check, severity }) => `${check}: ${severity}`);
}

test('one server that is full, that may evict marks, that is a replica', async () => {
  const redis = await started('standalone');
  const server = master(redis);
  expect(wrong(await examine(redis.url()))).toEqual(['marks: unknown', 'readers: unknown']);
  const policy = (name: string) => server.call('CONFIG', 'SET', 'maxmemory-policy', name);
  await policy('allkeys-lru');
  await server.call('CONFIG', 'SET', 'maxmemory', '1gb');
  named(await examine(redis.url()), 'eviction', 'warning', /can evict the marks.*volatile-lru/);
  await policy('noeviction');
  await server.call('CONFIG', 'SET', 'maxmemory', '1mb');
  const full = await examine(redis.url());
  named(full, 'commands', 'fault', /full and may evict nothing; it refuses SET.*volatile-lru/);
  named(full, 'memory', 'fault', /of 1\.0 MiB, with noeviction.*larger maxmemory/);
  named(full, 'eviction', 'warning', /noeviction/);
  await server.call('CONFIG', 'SET', 'maxmemory', '0');
  await server.call('REPLICAOF', '127.0.0.1', 1);
  const replica = await examine(redis.url());
  named(replica, 'role', 'fault', /is a replica.*REDIS_URL name the master/);
  named(replica, 'commands', 'fault', /it refuses SET/);
});

test("a user with too few rights, and with a reader's own", async () => {
  const redis = await started('standalone');
  const server = master(redis);
  const url = redis.url({ user: 'tidemark_reader', password: 'secret' });
  const rights = await rightsIn('redis-readers.acl');
  const without = (right: string) =>
    server.call('ACL', 'SETUSER', ...rights.filter((one) => one !== right));
  await server.call('ACL', 'SETUSER', ...rights);
  expect(wrong(await examine(url))).toEqual(['marks: unknown', 'readers: unknown']);
  expect(await server.call('ACL', 'LOG')).toEqual([]);
  await without('+eval');
  named(await examine(url), 'commands', 'fault', /ACL forbids EVAL.*ACL SETUSER/);
  await without('+scan');
  named(await examine(url), 'commands', 'warning', /ACL forbids SCAN: audits.*ACL SETUSER/);
  await without('+mget');
  const blind = await examine(url);
  named(blind, 'commands', 'fault', /ACL forbids MGET/);
  named(blind, 'marks', 'unknown', /commands/);
});

test('a wrong password, and no server at all', async () => {
  const redis = await started('standalone');
  await master(redis).call('CONFIG', 'SET', 'requirepass', 'right');
  const findings = await examine(redis.url({ password: 'hunter2' }));
  named(findings, 'connection', 'fault', /Redis \(REDIS_URL\) to answer, got WRONGPASS/);
  expect(JSON.stringify(findings)).not.toContain('hunter2');
  named(await examine('redis://127.0.0.1:1'), 'connection', 'fault', /ECONNREFUSED/);
});

test('a cluster: as it should be, with one bucket, taken for one server, without some slots', async () => {
  const redis = await started('cluster');
  const reader = await startReader({ b: db.b, redis: redis.url() }, { redisBuckets: 24 });
  await taken(db.a, [reader]);
  await until('a sound cluster', async () => {
    await query(db.a, 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)'); // else it is soon stale
    return wrong(await examine(redis.url(), 24)).length === 0;
  });
  named(
    await examine(redis.url()),
    'cluster',
    'warning',
    /3 masters, but one bucket.*REDIS_BUCKETS/,
  );
  const node = await redis.master();
  const alone = await examine(`redis://127.0.0.1:${node.announcedPort}`);
  named(alone, 'cluster', 'fault', /one node of a cluster.*redis-cluster:/);
  await reader.stop();
  await node.call('CLUSTER', 'DELSLOTS', 0);
  await until('the cluster to be down', async () => {
    return String(await node.call('CLUSTER', 'INFO')).includes('cluster_state:fail');
  });
  const down = await examine(redis.url(), 24);
  named(down, 'cluster', 'fault', /cluster_state is fail, \d+ of 16384 slots.*--cluster fix/);
});
