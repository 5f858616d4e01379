/** `tidemark status`, `verify`, `rebase` and `prune` on real servers, with readers that run. */
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Entry, encodeEntry } from '../../src/core/entry.js';
import { decodeMark } from '../../src/core/mark.js';
import { type Reader, Writer } from '../../src/index.js';
import { openRedis } from '../../src/redis/client.js';
import { Roster } from '../../src/redis/roster.js';
import type { RedisClient } from '../../src/redis/tier.js';
import { ANNOUNCEMENT } from '../http/fake-reader.js';
import { tidemark } from '../support/cli.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { startFleet } from '../support/fleet.js';
import { headOf, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const KEYS = 450;
const ODD_KEYS = ['b,c', 'd"e', 'é/ü', '.', '..', '%2C', 'E', '𝕏'];

describe.each(flavors)('on %s', { timeout: 240_000 }, (flavor) => {
  let db: TestDatabase;
  let env: Record<string, string>;
  beforeEach(async () => {
    db = await createDatabase(flavor);
    env = { MYSQL_A_URL: db.a, MYSQL_B_URL: db.b, REDIS_URL: db.redis };
    const rows = Array.from({ length: KEYS }, (_, number) => `('k/${number}', '{"n": ${number}}')`);
    await query(db.a, `INSERT INTO configs (config_key, config_value) VALUES ${rows.join(', ')}`);
    for (const key of ODD_KEYS) {
      await query(db.a, 'INSERT INTO configs (config_key, config_value) VALUES (?, ?)', [
        key,
        'no JSON',
      ]);
    }
    await query(db.a, "DELETE FROM configs WHERE config_key IN ('k/0', 'k/1')");
  });
  afterEach(() => db.drop());

  async function redis(): Promise<RedisClient> {
    const client = openRedis(db.redis, () => undefined);
    onTestFinished(() => client.disconnect());
    await until('a connection', () => client.status === 'ready');
    return client;
  }

  /** Every key is in each reader's memory, and in Redis. */
  async function warm(fleet: readonly Reader[]): Promise<void> {
    const keys = [...Array.from({ length: KEYS }, (_, number) => `k/${number}`), ...ODD_KEYS];
    for (const reader of fleet) await reader.getMany(keys);
  }

  async function verified(...args: string[]) {
    const { exitCode, stdout, stderr } = await tidemark(env, 'verify', '--json', ...args);
    expect(stderr).toBe('');
    return { exitCode, ...JSON.parse(stdout) };
  }

  test('status shows the readers, and how far they are', async () => {
    await startFleet(db, 2);
    const head = await headOf(db.a);
    const { stdout, exitCode } = await tidemark(env, 'status', '--json');
    expect(exitCode).toBe(0);
    const { readers, ...top } = JSON.parse(stdout);
    expect(top).toEqual({ table: 'configs', head });
    expect(readers).toHaveLength(2);
    expect(readers[0]).toMatchObject({ lag: 0, url: expect.stringMatching(/^http:/) });
    const text = (await tidemark({ ...env, MYSQL_B_URL: '' }, 'status')).stdout.split('\n');
    expect(text[0]).toBe('2 readers of configs');
    expect(text[2]).toMatch(new RegExp(`:${process.pid} +${head} +0 `));
  });

  test('verify finds nothing wrong with a sound system, and says what it covers', async () => {
    const fleet = await startFleet(db, 2, {}, ['a-token']);
    await warm(fleet);
    const sound = await verified('--read-tokens', 'a-token');
    expect(sound).toMatchObject({
      exitCode: 0,
      sound: true,
      asOf: await headOf(db.a),
      keys: KEYS - 2 + ODD_KEYS.length,
      unreadable: 0,
      redis: { missing: 0, mismatches: 0, unsettled: 0 },
      absences: { log: 2 },
      mismatches: [],
    });
    // `taken` asks for one, too, perhaps before Redis is used.
    expect(sound.absences.redis).toBeGreaterThanOrEqual(2);
    expect(sound.redis.checked).toBe(sound.keys);
    expect(sound.readers).toHaveLength(2);
    for (const reader of sound.readers) {
      expect(reader).toMatchObject({ mismatches: 0, failure: null });
      expect(reader.checked).toBeGreaterThan(sound.keys);
    }
    const denied = await verified();
    expect(denied.readers[0]).toMatchObject({ checked: 0, failure: 'it answers 401' });
    const text = await tidemark({ ...env, READ_TOKENS: 'a-token' }, 'verify');
    expect(text.stdout).toMatch(/456 keys of configs in MySQL-B, as of version \d+/);
    expect(text.stdout).toMatch(/redis: 456 entries compared, 0 keys without one, 0 mismatches/);
  });

  test('verify raises no alarm while everything changes', async () => {
    const fleet = await startFleet(db, 2, { onChange: 'refresh' });
    await warm(fleet);
    const writer = new Writer({ mysql: db.a });
    let isWriting = true;
    let writes = 0;
    const writing = (async () => {
      for (; isWriting; writes++) {
        const key = `k/${writes % 60}`;
        if (writes % 7 === 0) await writer.delete(key);
        else await writer.put(key, String(writes));
      }
    })();
    try {
      await until('some writes', () => writes > 20);
      const busy = await verified();
      expect(busy).toMatchObject({ exitCode: 0, sound: true, mismatches: [] });
      expect(busy.asOf).toBeLessThan(await headOf(db.a));
    } finally {
      isWriting = false;
      await writing;
      await writer.close();
    }
  });

  test('verify finds a reader that cannot be asked, and one that is gone', async () => {
    await startFleet(db, 1, { advertiseUrl: undefined });
    const client = await redis();
    const roster = new Roster({ client, prefix: 'tidemark' });
    await roster.announce({ ...ANNOUNCEMENT, id: 'gone:1:a', url: 'http://127.0.0.1:9' });
    const { exitCode, readers } = await verified();
    expect(exitCode).toBe(0);
    const failures = readers.map(({ failure }: { failure: string }) => failure).toSorted();
    expect(failures[0]).toMatch(/it does not answer/);
    expect(failures[1]).toMatch(/ADVERTISE_URL/);
  });

  test('verify finds an entry in Redis that is not what MySQL-B says', async () => {
    const fleet = await startFleet(db, 1);
    await warm(fleet);
    const client = await redis();
    const mark = decodeMark((await client.mget('tidemark:{configs:0}:mark'))[0] ?? '');
    const bytes = encodeEntry(new Entry({ version: 1, fingerprint: '' }, 9, Buffer.from('"x"')));
    await client.set(`tidemark:{configs:0}:${mark?.generation}:k/7`, bytes);
    await client.set(`tidemark:{configs:0}:${mark?.generation}:k/8`, 'no entry of ours');
    const { exitCode, sound, redis: inRedis, readers, mismatches } = await verified();
    expect([exitCode, sound, inRedis.mismatches]).toEqual([1, false, 1]);
    expect(readers[0].mismatches).toBe(0);
    expect(mismatches).toEqual([
      { where: 'redis', key: 'k/7', expected: expect.any(Number), got: 9 },
    ]);
  });

  // A change without its trigger ---- verify sees it ---- rebase ---- verify sees it no more
  test('rebase makes every reader start again, after changes that fired no trigger', async () => {
    const fleet = await startFleet(db, 3);
    await warm(fleet);
    const told: string[] = [];
    for (const reader of fleet) reader.on('rebase', ({ reason }) => told.push(reason));
    await query(db.a, 'DROP TRIGGER configs_tidemark_update');
    await query(db.a, 'DROP TRIGGER configs_tidemark_delete');
    await query(db.a, `UPDATE configs SET config_value = '"slipped"' WHERE config_key = 'k/5'`);
    await query(db.a, `DELETE FROM configs WHERE config_key = 'k/6'`);
    await db.caughtUp();
    const head = await headOf(db.a);
    const wrong = await verified();
    expect(wrong).toMatchObject({ exitCode: 1, sound: false, redis: { mismatches: 2 } });
    for (const { mismatches } of wrong.readers) expect(mismatches).toBe(2);
    expect(wrong.mismatches).toContainEqual({
      where: 'redis',
      key: 'k/6',
      expected: null,
      got: expect.any(Number),
    });

    const { exitCode, stdout } = await tidemark(env, 'rebase', '--yes', '--json');
    expect(exitCode).toBe(0);
    const asked = JSON.parse(stdout);
    expect(asked).toMatchObject({ buckets: 1, begun: 1 });
    expect(asked.readers.map(({ followed }: { followed: boolean }) => followed)).toEqual([
      true,
      true,
      true,
    ]);
    expect(told).toEqual(['asked', 'asked', 'asked']);
    for (const reader of fleet) {
      expect(await textOf(reader, 'k/5')).toBe('"slipped"');
      expect(await textOf(reader, 'k/6')).toBeUndefined();
      expect(reader.status().applied).toBe(head);
    }
    expect(await verified()).toMatchObject({ exitCode: 0, sound: true });
    const again = await tidemark(env, 'rebase', '--yes');
    expect(again.stdout).toBe(
      'Redis: a new generation of configs in 1 of 1 bucket.\nReaders: 3 of 3 have started again.\n',
    );
  });

  test('rebase says that no reader has run', async () => {
    const { exitCode, stderr } = await tidemark({ ...env, TABLE: 'others' }, 'rebase', '--yes');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/Expected a mark of readers in Redis, got none/);
  });

  describe('prune', () => {
    const oldest = async () =>
      Number((await query(db.a, 'SELECT MIN(version) AS oldest FROM config_changes'))[0]?.oldest);
    const pruned = async (...args: string[]) => {
      const { exitCode, stdout, stderr } = await tidemark(env, 'prune', '--json', ...args);
      return { exitCode, stderr, ...(stdout === '' ? {} : JSON.parse(stdout)) };
    };

    test('keeps so many, in batches, and readers go on', async () => {
      const [reader] = await startFleet(db, 1);
      const head = await headOf(db.a);
      const dry = await pruned('--keep-versions', '10', '--dry-run');
      expect(dry).toMatchObject({
        exitCode: 0,
        dryRun: true,
        boundary: head - 9,
        removed: head - 10,
      });
      expect(await oldest()).toBe(1);
      expect(await pruned('--keep-versions', '10')).toMatchObject({
        exitCode: 0,
        removed: head - 10,
      });
      expect(await oldest()).toBe(head - 9);
      expect(await pruned('--keep-versions', '10')).toMatchObject({ removed: 0 });
      expect(await pruned('--keep-versions', '9999999')).toMatchObject({ removed: 0 });
      expect(await pruned('--keep-versions', '1')).toMatchObject({ boundary: head, removed: 9 });
      await db.caughtUp();
      const told: string[] = [];
      reader?.on('rebase', ({ reason }) => told.push(reason));
      await query(db.a, "UPDATE configs SET config_value = '1' WHERE config_key = 'k/9'");
      if (reader !== undefined) await taken(db.a, [reader]);
      expect(told).toEqual([]);
    });

    test('removes what is older, never the newest', async () => {
      await query(
        db.a,
        'UPDATE config_changes SET changed_at = UTC_TIMESTAMP(6) - INTERVAL 3 HOUR WHERE version < 100',
      );
      expect(await pruned('--older-than-hours', '4')).toMatchObject({ removed: 0 });
      expect(await pruned('--older-than-hours', '2')).toMatchObject({ removed: 99, boundary: 100 });
      expect(await oldest()).toBe(100);
      await query(
        db.a,
        'UPDATE config_changes SET changed_at = UTC_TIMESTAMP(6) - INTERVAL 3 HOUR',
      );
      const head = await headOf(db.a);
      const all = await pruned('--older-than-hours', '0.5');
      expect(all).toMatchObject({ boundary: head, removed: head - 100, slowest: null, readers: 0 });
    });

    test('refuses what the slowest reader still needs', async () => {
      await startFleet(db, 1);
      const roster = new Roster({ client: await redis(), prefix: 'tidemark' });
      const head = await headOf(db.a);
      // Of another table: it follows the same log.
      await roster.announce({
        ...ANNOUNCEMENT,
        id: 'slow:1:a',
        table: 'others',
        applied: head - 5,
      });
      const refused = await pruned('--keep-versions', '3');
      expect(refused.exitCode).toBe(1);
      expect(refused.stderr).toMatch(/got slow:1:a at version \d+\. Wait for it/);
      expect(await oldest()).toBe(1);
      expect(await pruned('--keep-versions', '6')).toMatchObject({
        exitCode: 0,
        boundary: head - 5,
        slowest: { id: 'slow:1:a', applied: head - 5 },
      });
      expect(await pruned('--keep-versions', '3', '--force')).toMatchObject({ removed: 3 });
      expect(
        await tidemark({ ...env, REDIS_URL: '' }, 'prune', '--keep-versions', '2'),
      ).toMatchObject({
        exitCode: 0,
        stdout: `1 change removed; the log begins at version ${head - 1}; no reader was asked: there is no REDIS_URL.\n`,
      });
    });
  });

  test('migrate tells what it applied as JSON', async () => {
    const migrated = async (...args: string[]) =>
      JSON.parse((await tidemark(env, 'migrate', '--json', ...args)).stdout);
    expect(await migrated()).toEqual({ dryRun: false, applied: [], takenDown: [], recognised: [] });
    expect(await migrated('--to', '2')).toMatchObject({ takenDown: ['0003_triggers'] });
    expect(await migrated('--dry-run')).toMatchObject({ dryRun: true, applied: ['0003_triggers'] });
    expect(await migrated()).toMatchObject({ applied: ['0003_triggers'] });
  });
});
