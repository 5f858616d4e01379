/**
 * All that looks into Redis, with no more rights than ops/ and docs/ give: readers with hints, their
 * roster, audits with repair, and the commands. On one server and on a cluster, whose nodes fail over
 * and whose slots move meanwhile. Nothing is refused (ACL LOG stays empty), and nothing is granted that
 * nobody uses (INFO commandstats). On MySQL they have the grants of migrations/.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Reader } from '../../src/index.js';
import {
  type RedisTopology,
  type RedisTopologyKind,
  startRedisTopology,
} from '../chaos/redis-topology.js';
import { ACCOUNT_PASSWORD, accountWith } from '../support/accounts.js';
import { hintRights, rightsIn } from '../support/acl.js';
import { tidemark } from '../support/cli.js';
import {
  createDatabase,
  flavors,
  query,
  type TestDatabase,
  urlAs,
} from '../support/data-centers.js';
import { startFleet } from '../support/fleet.js';
import { moveSlot } from '../support/moving-slot.js';
import { headOf, metricOf, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const BUCKETS = 8;
const MARK = `tidemark:{configs:0/${BUCKETS}}:mark`;
const KEYS = Array.from({ length: 40 }, (_, number) => `k/${number}`);
/** Granted, and used on one kind of Redis only. */
const OF_ONE_KIND: Readonly<Record<string, RedisTopologyKind>> = {
  select: 'standalone',
  'cluster|slots': 'cluster',
  'cluster|info': 'cluster',
  readonly: 'cluster',
  readwrite: 'cluster',
  asking: 'cluster',
};
/** What a failover, or slots that move, make a client say, and no operator says. */
const OF_CHANGES = ['readonly', 'readwrite', 'asking'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Which commands were carried out, inside of scripts too, since the last RESETSTAT. Replicas carry out
 * what their masters did: in a cluster that adds SELECT only, which no client can use there. */
async function usedOn({ kind, servers }: RedisTopology): Promise<Set<string>> {
  const used = new Set<string>();
  for (const node of kind === 'standalone' ? servers.slice(0, 1) : servers) {
    const stats = String(await node.call('INFO', 'commandstats'));
    for (const [, name = ''] of stats.matchAll(/^cmdstat_([^:]+):/gm)) used.add(name);
  }
  if (kind === 'cluster') used.delete('select');
  return used;
}

async function nothingRefused({ servers }: RedisTopology): Promise<void> {
  for (const node of servers) expect(await node.call('ACL', 'LOG'), node.name).toEqual([]);
}

describe.each(flavors)('with the least rights, on %s', { timeout: 240_000 }, (flavor) => {
  async function started(kind: RedisTopologyKind): Promise<RedisTopology> {
    const rights = [...(await rightsIn('redis-readers.acl')), ...(await hintRights())];
    const redis = await startRedisTopology({
      ...{ kind, folder: join(folder, `${flavor}-${kind}`), args: ['--user', ...rights] },
    });
    onTestFinished(() => redis.stop());
    for (const node of redis.servers) await node.call('CONFIG', 'RESETSTAT');
    return redis;
  }

  function urlFor(redis: RedisTopology): string {
    const url = redis.url({ user: 'tidemark_reader', password: 'secret' });
    return redis.kind === 'standalone' ? `${url}/1` : url;
  }

  /** A change of one row that the log does not have, in B when this resolves. */
  async function aroundTheLog(db: TestDatabase, key: string, value: string): Promise<void> {
    await query(db.a, 'UPDATE configs SET config_value = ? WHERE config_key = ?', [value, key]);
    await db.caughtUp();
  }

  test.each<RedisTopologyKind>(['standalone', 'cluster'])(
    'readers, audits, hints and commands work, and use all of it: %s',
    async (kind) => {
      const db = await createDatabase(flavor);
      onTestFinished(() => db.drop());
      const redis = await started(kind);
      const urls = { ...db, redis: urlFor(redis) };
      const rows = KEYS.map((key) => `('${key}', '"first"')`).join(', ');
      await query(db.a, `INSERT INTO configs (config_key, config_value) VALUES ${rows}`);
      const fleet = await startFleet(urls, 2, { redisBuckets: BUCKETS, redisHints: 'on' });
      const [one, other] = fleet as [Reader, Reader]; // two were asked for
      const warm = async () => {
        await until('Redis to be trusted', () =>
          fleet.every((reader) => reader.status().redis.marks.every((mark) => mark.generation)),
        );
        for (const reader of fleet) await reader.getMany([...KEYS, 'nobody']);
      };
      await warm();

      await until('a hint, of which the other reader hears', async () => {
        one.hint((await headOf(db.a)) + 1);
        return (await metricOf(other, 'tidemark_hints_total')) > 0;
      });

      const doctor = await accountWith(db, 'doctor');
      const env = {
        ...{ MYSQL_A_URL: db.writer, MYSQL_B_URL: db.reader, REDIS_URL: urls.redis },
        REDIS_BUCKETS: String(BUCKETS),
      };
      const succeeds = async (...args: string[]) => {
        const { exitCode, stdout, stderr } = await tidemark(env, ...args, '--json');
        expect([args[0], exitCode, stderr]).toEqual([args[0], 0, '']);
        return JSON.parse(stdout);
      };
      const sound = () => succeeds('verify');
      expect((await succeeds('status')).readers).toHaveLength(2);
      expect(await sound()).toMatchObject({ keys: KEYS.length, redis: { mismatches: 0 } });
      expect(await succeeds('prune', '--keep-versions', '10')).toMatchObject({ readers: 2 });
      const asDoctor = (url: string) => urlAs(url, doctor, ACCOUNT_PASSWORD);
      const examined = await tidemark(
        { ...env, MYSQL_A_URL: asDoctor(db.a), MYSQL_B_URL: asDoctor(db.b) },
        ...['doctor', '--json'],
      );
      const { findings } = JSON.parse(examined.stdout);
      expect(findings).toContainEqual(
        expect.objectContaining({ place: 'Redis', check: 'commands', severity: 'ok' }),
      );

      await query(db.a, 'DROP TRIGGER configs_tidemark_update');
      await aroundTheLog(db, 'k/3', '"second"');
      expect(await textOf(other, 'k/3')).toBe('"first"');
      expect(await one.audit()).not.toHaveProperty('fault');
      for (const reader of fleet) {
        await until('the repair', async () => (await textOf(reader, 'k/3')) === '"second"');
      }
      await warm();
      await sound();
      await aroundTheLog(db, 'k/4', '"third"');
      const asked = await succeeds('rebase', '--yes');
      expect(asked).toMatchObject({ buckets: BUCKETS, begun: BUCKETS });
      for (const reader of fleet) expect(await textOf(reader, 'k/4')).toBe('"third"');

      await nothingRefused(redis);
      const used = await usedOn(redis);
      await redis.failover(MARK);
      await redis.restore();
      await warm();
      if (kind === 'cluster') {
        await moveSlot(redis, MARK, async () => {
          await until('a client that asks', async () => {
            for (const reader of fleet) await reader.getMany(KEYS);
            return (await usedOn(redis)).has('asking');
          });
        });
      }
      await query(db.a, "INSERT INTO configs VALUES ('last', '1', 0, NOW(6))");
      await taken(db.a, fleet);
      await sound();
      for (const reader of fleet) await reader.stop();
      await nothingRefused(redis);
      const later = await usedOn(redis);
      for (const name of OF_CHANGES) if (later.has(name)) used.add(name);

      const rights = [...(await rightsIn('redis-readers.acl')), ...(await hintRights())];
      const granted = rights.flatMap((word) => (word.startsWith('+') ? [word.slice(1)] : []));
      const expected = granted.filter((name) => (OF_ONE_KIND[name] ?? kind) === kind);
      expect(granted.filter((name) => used.has(name)).toSorted()).toEqual(expected.toSorted());
    },
  );
});
