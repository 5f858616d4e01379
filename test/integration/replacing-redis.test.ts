/**
 * "Replacing Redis" of docs/operations.md: readers go over to another address one after the other, and
 * back to a Redis that has missed what happened since; and all of a Redis's entries are removed under
 * readers that run. (A Redis that dies and comes back at its address: redis-faults.test.ts.)
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { onPath } from '../../src/demo/programs.js';
import { createRedis, type RedisServer } from '../../src/demo/redis.js';
import type { Reader } from '../../src/index.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { headOf, metricOf, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const KEYS = Array.from({ length: 30 }, (_, number) => `k/${number}`);
/** So few that reads need Redis. */
const OPTIONS = { localMaxEntries: 2, negativeMaxEntries: 1 };

describe.each(flavors)('Redis is replaced, with %s', (flavor) => {
  let db: TestDatabase;
  let round = 0;
  beforeEach(async () => {
    db = await createDatabase(flavor);
    const rows = KEYS.map((key) => `('${key}', '0')`).join(', ');
    await query(db.a, `INSERT INTO configs (config_key, config_value) VALUES ${rows}`);
  });
  afterEach(() => db.drop());

  async function startRedis(): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
    const redis = await createRedis(folder);
    onTestFinished(async () => {
      await redis.kill();
      await rm(folder, { recursive: true, force: true });
    });
    await redis.start();
    return redis;
  }

  const readerOn = (redis: string) => startReader({ ...db, redis }, OPTIONS);

  /** Changes half of the keys; then all readers answer the truth for all, also by their Redis. */
  async function answerTheTruth(...readers: Reader[]): Promise<void> {
    round += 1;
    await query(
      db.a,
      `UPDATE configs SET config_value = '${round}' WHERE RAND() < 0.5 OR config_key = 'k/0'`,
    );
    await taken(db.a, readers);
    const rows = await query(db.a, 'SELECT config_key, config_value FROM configs');
    for (const reader of readers) {
      await until('the mark at the head', async () => {
        return reader.status().redis.marks[0]?.version === (await headOf(db.a));
      });
      const before = await metricOf(reader, 'tidemark_reads_total', 'redis');
      const wrong: unknown[] = []; // also what is right a moment later
      await until('answers from Redis', async () => {
        for (const { config_key, config_value } of rows) {
          const got = await textOf(reader, config_key);
          if (got !== config_value) wrong.push({ config_key, got, config_value });
        }
        return (
          wrong.length > 0 || (await metricOf(reader, 'tidemark_reads_total', 'redis')) > before
        );
      });
      expect(wrong).toEqual([]);
    }
  }

  // one:    old ---------> new ----------------> old, which has missed all since
  // other:  old ------------------> new -------> old
  test.each([
    ['and the log covers it', async () => undefined],
    [
      'and the log does not',
      async () => {
        await query(db.a, `DELETE FROM config_changes WHERE version < ${await headOf(db.a)}`);
        await db.caughtUp();
      },
    ],
  ])('by another address, and back: the old one is behind, %s', async (_, meanwhile) => {
    const [old, next] = [await startRedis(), await startRedis()];
    const [one, other] = [await readerOn(old.url()), await readerOn(old.url())];
    await answerTheTruth(one, other);
    await one.stop();
    const moved = await readerOn(next.url());
    await answerTheTruth(moved, other);
    await other.stop();
    const movedToo = await readerOn(next.url());
    await answerTheTruth(moved, movedToo);
    await meanwhile();
    await Promise.all([moved.stop(), movedToo.stop()]);
    await answerTheTruth(await readerOn(old.url()), await readerOn(old.url()));
  });

  test.skipIf(onPath('redis-cli') === undefined)(
    'by removing all that readers have in it, with the words of the runbook',
    async () => {
      const runbook = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
      const [command = ''] = /^redis-cli .*UNLINK$/m.exec(runbook) ?? [];
      const url = (await startRedis()).url();
      const redis = new Redis(url);
      onTestFinished(() => redis.disconnect());
      const readers = [await readerOn(url), await readerOn(url)];
      await answerTheTruth(...readers);
      await redis.set('of-others', 'kept');
      const before = (await redis.keys('tidemark:{configs*')).filter((name) => name.includes('k/'));
      expect(before.length).toBeGreaterThan(0);
      execFileSync('bash', ['-c', command], { env: { ...process.env, REDIS_URL: url } });
      await answerTheTruth(...readers);
      expect(await redis.exists(...before)).toBe(0); // a generation of another name has begun
      expect(await redis.get('of-others')).toBe('kept');
    },
  );
});
