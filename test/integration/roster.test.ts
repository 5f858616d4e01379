/** Readers find each other in each kind of Redis, by a user that has no more rights than ops/ lists. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Announcement } from '../../src/core/announcement.js';
import { openRedis } from '../../src/redis/client.js';
import { Roster } from '../../src/redis/roster.js';
import type { RedisClient } from '../../src/redis/tier.js';
import { type RedisTopologyKind, startRedisTopology } from '../chaos/redis-topology.js';
import { ANNOUNCEMENT } from '../http/fake-reader.js';
import { rightsIn } from '../support/acl.js';
import { createDatabase, flavors, type TestDatabase } from '../support/data-centers.js';
import { metricOf, startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

const PATIENT_MS = 120_000;
const LIST = 'tidemark:{readers}';

// What Redis does has nothing to do with the flavor of the database: one is enough.
const [flavor = 'mysql'] = flavors;

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

async function open(url: string): Promise<{ client: RedisClient; roster: Roster }> {
  const client = openRedis(url, () => undefined);
  onTestFinished(() => client.disconnect());
  await until('a connection', () => client.status === 'ready');
  return { client, roster: new Roster({ client, prefix: 'tidemark' }) };
}

function announcement(number: number): Announcement {
  return { ...ANNOUNCEMENT, id: `web-${number}:7:aa`, host: `web-${number}` };
}

describe('readers', () => {
  test.each<RedisTopologyKind>(['standalone', 'sentinel', 'cluster'])(
    'see each other on %s, also after a failover',
    async (kind) => {
      const args = ['--user', ...(await rightsIn('redis-readers.acl'))];
      const redis = await startRedisTopology({ kind, folder: join(folder, kind), args });
      onTestFinished(() => redis.stop());
      const url = redis.url({ user: 'tidemark_reader', password: 'secret' });
      const urls = { b: db.b, redis: url };
      const one = await startReader(urls, { advertiseUrl: 'http://one:8081' });
      const other = await startReader(urls);
      const foreign = await startReader(urls, {
        tableNames: { table: 'configs' },
        keyPrefix: 'tidemark:other',
      });
      const bothAreThere = async () => {
        const readers = await one.readers();
        return readers.length === 2 && readers;
      };
      const found = await until('both', bothAreThere);
      expect(await other.readers()).toEqual(found);
      expect(await until('itself', async () => (await foreign.readers())[1] === undefined)).toBe(
        true,
      );
      expect(found.map((reader) => reader.url).sort()).toEqual(['http://one:8081', undefined]);
      for (const reader of found) {
        expect(reader).toMatchObject({
          pid: process.pid,
          table: 'configs',
          software: expect.any(String),
        });
        expect(reader.id.startsWith(`${reader.host}:${process.pid}:`)).toBe(true);
      }
      await redis.failover(LIST);
      await until('both again', bothAreThere);
      await redis.restore();
      for (const node of redis.servers) {
        expect(await node.call('ACL', 'LOG'), node.name).toEqual([]);
      }
    },
    PATIENT_MS,
  );

  test('go when they stop, and say how they stand while they run', async () => {
    const one = await startReader(db);
    const other = await startReader(db);
    const head = await taken(db.a, [one, other]);
    const upToDate = async () =>
      (await one.readers()).filter(({ applied, ready }) => applied === head && ready).length === 2;
    await until('both at the head', upToDate); // within one period
    const [first] = await one.readers();
    expect(first).toMatchObject({ head, mark: head, generation: expect.any(String), asked: 0 });
    await other.stop();
    expect(await one.readers()).toHaveLength(1);
    await one.stop();
    await expect(one.readers()).rejects.toThrow(/reader that runs/);
  });

  test('work without Redis, and say that they cannot see the others', async () => {
    const reader = await startReader({ b: db.b, redis: 'redis://127.0.0.1:1' });
    await expect(reader.readers()).rejects.toThrow(/Expected Redis to say which readers/);
    await until('a failure that is counted', () =>
      metricOf(reader, 'tidemark_roster_failures_total'),
    );
    expect((await reader.get('nobody')).found).toBe(false);
  });
});

describe('the roster', () => {
  test('forgets those who are silent, and leaves nothing behind', async () => {
    const { client, roster } = await open(db.redis);
    await roster.announce(announcement(1));
    await roster.announce(announcement(2));
    expect(await client.mget(LIST)).toEqual(['web-1:7:aa web-2:7:aa']);
    expect(await client.pttl(LIST)).toBeGreaterThan(10_000);
    expect(await client.pttl(`${LIST}:web-1:7:aa`)).toBeGreaterThan(10_000);
    await client.del(`${LIST}:web-1:7:aa`); // as if its time had come
    expect((await roster.read()).map(({ host }) => host)).toEqual(['web-2']);
    await roster.announce(announcement(3));
    expect(await client.mget(LIST)).toEqual(['web-2:7:aa web-3:7:aa']);
  });

  test('takes all of many who come at once', async () => {
    const { roster } = await open(db.redis);
    const all = Array.from({ length: 30 }, (_, number) => announcement(100 + number));
    await until('all of them', async () => {
      await Promise.allSettled(all.map((each) => roster.announce(each)));
      const ids = (await roster.read()).map(({ id }) => id);
      return all.every(({ id }) => ids.includes(id));
    });
  });

  test('passes over what no reader wrote', async () => {
    const { client, roster } = await open(db.redis);
    await roster.announce(announcement(50));
    await client.set(`${LIST}:web-51:7:aa`, '{"id":"web-51:7:aa"}');
    await client.set(`${LIST}:web-52:7:aa`, JSON.stringify(announcement(53)));
    const [list = ''] = await client.mget(LIST);
    await client.set(LIST, `${list} web-51:7:aa web-52:7:aa \u0000 ${'x'.repeat(500)}`);
    const ids = (await roster.read()).map(({ id }) => id);
    expect(ids).toContain('web-50:7:aa');
    expect(ids).not.toContain('web-51:7:aa');
    expect(ids).not.toContain('web-53:7:aa');
    await client.del(LIST);
    await client.lpush(LIST, 'of another type');
    expect(await roster.read()).toEqual([]);
    await roster.announce(announcement(50));
    expect((await roster.read()).map(({ id }) => id)).toEqual(['web-50:7:aa']);
  });
});
