/**
 * The log fails its readers: pruned past one that was held up, with holes, rewritten. And readers
 * fail: paused, killed in the middle of a page. Answers stay right, and never go back as long as
 * history does not.
 */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Reader } from '../../src/index.js';
import { type Readable, readable } from '../support/checker.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import { Load } from '../support/load.js';
import { ReaderProcess } from '../support/reader-process.js';
import { headOf, metricOf, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const INSERT = 'INSERT INTO configs (config_key, config_value)';

describe.each(flavors)('readers on %s', (flavor) => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createDatabase(flavor);
  });
  afterEach(() => db.drop());

  const prune = async () => {
    const head = await headOf(db.a);
    await query(db.a, `DELETE FROM config_changes WHERE version < ${head}`);
    await db.caughtUp();
  };

  test.each([
    { others: 1, what: 'while another reader keeps Redis coherent' },
    { others: 0, what: 'and Redis was left behind, too' },
  ])('start again after a pause longer than the retention, $what', async ({ others }) => {
    const held = await ReaderProcess.start('held up', db);
    const running: Reader[] = [];
    if (others > 0) running.push(await startReader(db));
    const readables = [held, ...running.map((reader) => readable('running', reader))];
    const load = new Load({ a: db.a, readables });
    onTestFinished(() => load.stop());
    await load.start();
    for (let round = 0; round < 3; round++) {
      await load.goesOn(20);
      held.pause(); // its reads in flight are answered, late, after the pause
      const from = await headOf(db.a);
      await until('changes meanwhile', async () => (await headOf(db.a)) > from + 50);
      await prune();
      held.resume();
      await until('to start again', () => held.rebases.length > 1 + round);
    }
    await load.goesOn(20);
    await load.stop();
    expect(load.checker.violations).toEqual([]);
    expect(held.rebases).toEqual(['start', 'pruned', 'pruned', 'pruned']);
    const rebases = await held.metric('tidemark_rebases_total');
    expect(rebases).toMatchObject({ start: 1, pruned: 3 });
    expect(sum(rebases)).toBe(1 + 3);
    await expectTruth(load, [held, ...running.map((reader) => readable('running', reader))]);
    const begun = await held.metric('tidemark_redis_generations_total');
    expect(sum(begun)).toBeLessThanOrEqual(1 + 3);
  });

  test('pass over a hole in the log, and see what it hides', async () => {
    const readers = [await startReader(db), await startReader(db)];
    const readables = readers.map((reader, index) => readable(`reader ${index}`, reader));
    const load = new Load({ a: db.a, readables });
    onTestFinished(() => load.stop());
    await load.start();
    for (let round = 1; round <= 3; round++) {
      await load.goesOn(20);
      await connected(db.a, async (connection) => {
        await connection.query('BEGIN');
        await connection.query(`REPLACE INTO configs (config_key, config_value) VALUES
          ('hidden', '${round}'), ('after', '${round}')`);
        const [rows] = await connection.query<RowDataPacket[]>('SELECT head FROM config_stream');
        const head = Number(rows[0]?.head);
        await connection.query(
          "DELETE FROM config_changes WHERE row_key = 'hidden' AND version < ?",
          [head],
        );
        await connection.query('COMMIT');
      });
      await taken(db.a, readers);
      for (const reader of readers) {
        expect(await textOf(reader, 'hidden')).toBe(`${round}`);
        expect(await textOf(reader, 'after')).toBe(`${round}`);
      }
    }
    await load.stop();
    expect(load.checker.violations).toEqual([]);
    await expectTruth(load, readables);
    for (const reader of readers) {
      expect(await metricOf(reader, 'tidemark_rebases_total', 'gap')).toBe(3);
    }
    expect(await generations(readers)).toBeLessThanOrEqual(1 + 3);
    await expectNoMoreRebases(readers);
  });

  test('go on when the newest row of the log is the one that is missing', async () => {
    const readers = [await startReader(db), await startReader(db)];
    await query(db.a, `${INSERT} VALUES ('a', '1')`);
    await taken(db.a, readers);
    for (const reader of readers) expect(await textOf(reader, 'a')).toBe('1');
    await connected(db.a, async (connection) => {
      await connection.query('BEGIN');
      await connection.query("UPDATE configs SET config_value = '2' WHERE config_key = 'a'");
      await connection.query('DELETE FROM config_changes ORDER BY version DESC LIMIT 1');
      await connection.query('COMMIT');
    });
    await taken(db.a, readers);
    for (const reader of readers) expect(await textOf(reader, 'a')).toBe('2');
    await expectNoMoreRebases(readers);
    for (const reader of readers) {
      expect(await metricOf(reader, 'tidemark_rebases_total', 'gap')).toBe(1);
    }
  });

  /** A failover that lost the changes after `version`: the log, the head and the rows are as they
   * were then, and `after` may make another history in the same step. Done in A; replication does
   * the same to B. */
  async function rewriteAfter(
    version: number,
    rows: Record<string, string>,
    after: (connection: Connection) => Promise<unknown> = async () => undefined,
  ): Promise<void> {
    await connected(db.a, async (connection) => {
      const triggers: string[] = [];
      for (const event of ['insert', 'update', 'delete']) {
        const [shown] = await connection.query<RowDataPacket[]>(
          `SHOW CREATE TRIGGER configs_tidemark_${event}`,
        );
        triggers.push(String(shown[0]?.['SQL Original Statement']));
      }
      // Without triggers, so that rows can carry the versions that they had.
      for (const event of ['insert', 'update', 'delete']) {
        await connection.query(`DROP TRIGGER configs_tidemark_${event}`);
      }
      await connection.query('BEGIN');
      await connection.query('DELETE FROM configs');
      await connection.query(`${INSERT} VALUES ?`, [Object.entries(rows)]);
      await connection.query('UPDATE configs SET version = ?', [version]);
      await connection.query('DELETE FROM config_changes WHERE version > ?', [version]);
      await connection.query('UPDATE config_stream SET head = ?', [version]);
      await after(connection);
      await connection.query('COMMIT');
      for (const trigger of triggers) await connection.query(trigger);
    });
    await db.caughtUp();
  }

  /** Readers that hold keys a, b and c as of a head beyond the version that is returned. */
  async function readersWithATail(): Promise<{ readers: Reader[]; before: number }> {
    await query(db.a, `${INSERT} VALUES ('a', '1'), ('b', '2'), ('c', '3')`);
    const before = await headOf(db.a);
    const readers = [await startReader(db), await startReader(db)];
    await query(db.a, "UPDATE configs SET config_value = '10' WHERE config_key = 'a'");
    await query(db.a, "DELETE FROM configs WHERE config_key = 'b'");
    await query(db.a, `${INSERT} VALUES ('d', '4')`);
    await taken(db.a, readers);
    for (const reader of readers) {
      await until('a warm Redis', () => reader.ready);
      expect(await valuesOf(reader)).toEqual(['10', undefined, '3', '4']);
    }
    return { readers, before };
  }

  test.each([
    { beats: true, what: 'which the next heartbeat proves' },
    { beats: false, what: 'also without a heartbeat' },
  ])('give up a tail that history lost, $what', async ({ beats }) => {
    const { readers, before } = await readersWithATail();
    await rewriteAfter(before, { a: '1', b: '2', c: '3' }, async (connection) => {
      if (beats) await connection.query('UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
    });
    for (const reader of readers) {
      await until('the lost tail to be gone', () => reader.status().applied === before);
      expect(await valuesOf(reader)).toEqual(['1', '2', '3', undefined]);
      expect(await metricOf(reader, 'tidemark_rebases_total', 'regressed')).toBe(1);
    }
    await expectNewHistory(readers);
  });

  test.each([1, 3, 6])('follow another history that is %i changes long', async (length) => {
    const { readers, before } = await readersWithATail();
    const other = { a: '"other"', b: '2', c: '3' };
    await rewriteAfter(before, other, async (connection) => {
      for (let version = before + 1; version <= before + length; version++) {
        await connection.query(
          `INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
           VALUES (?, 'configs', 'a', 'update', UTC_TIMESTAMP(6))`,
          [version],
        );
      }
      await connection.query('UPDATE config_stream SET head = ?, beat_at = UTC_TIMESTAMP(6)', [
        before + length,
      ]);
      await connection.query("UPDATE configs SET version = ? WHERE config_key = 'a'", [
        before + length,
      ]);
    });
    for (const reader of readers) {
      await until('the other history', async () => (await textOf(reader, 'a')) === '"other"');
      await until('its head', () => reader.status().applied === before + length);
      expect(await valuesOf(reader)).toEqual(['"other"', '2', '3', undefined]);
    }
    await expectNewHistory(readers);
  });

  test('serve right values when history is rewritten again and again under load', async () => {
    const readers = [await startReader(db), await startReader(db)];
    const load = new Load({ a: db.a, readables: readers.map((r, i) => readable(`${i}`, r)) });
    onTestFinished(() => load.stop());
    for (let round = 0; round < 4; round++) {
      await load.start();
      await load.goesOn(20);
      await load.stop();
      const lost = 30 - 15 * (round % 2);
      const rows = Object.fromEntries(load.keys.map((key) => [key, `"${key} of round ${round}"`]));
      await rewriteAfter((await headOf(db.a)) - lost, rows, async (connection) => {
        await connection.query('UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
      });
      for (const reader of readers) {
        await until('the other history', async () => {
          const found = await reader.getMany(load.keys);
          return load.keys.every((key) => found.get(key)?.value?.toString() === rows[key]);
        });
      }
      const head = await headOf(db.a);
      load.checker.rewriteAfter(head);
      for (const key of load.keys) load.checker.record(key, head, rows[key]);
    }
    await load.start();
    await load.goesOn(20);
    await load.stop();
    expect(load.checker.violations).toEqual([]);
    await expectTruth(
      load,
      readers.map((reader, index) => readable(`${index}`, reader)),
    );
    await expectNoMoreRebases(readers);
  });

  test('find all in place after a reader was killed in the middle of 10,000 rows', async () => {
    const rows = Array.from({ length: 10_000 }, (_, index) => [`many/${index}`, '']);
    const keys = rows.map(([key = '']) => key);
    const options = { pageSize: 200 };
    for (const [round, pages] of [1, 5, 20].entries()) {
      const reader = await ReaderProcess.start(`to be killed ${round}`, db, options);
      await reader.getMany(keys.slice(0, 500));
      const from = (await reader.status()).applied;
      await connected(db.a, (connection) =>
        connection.query('REPLACE INTO configs (config_key, config_value) VALUES ?', [
          keys.map((key) => [key, `"${key} ${round}"`]),
        ]),
      );
      await until('the middle', () => reader.pages.length >= pages);
      await reader.kill();
      expect(reader.pages.at(-1)).toBeGreaterThan(from);

      const next = await ReaderProcess.start(`after it ${round}`, db, options);
      const head = await headOf(db.a);
      for (const { key, value, asOf } of await next.getMany(keys)) {
        if (value === `"${key} ${round}"`) continue;
        expect({ key, value, asOf }).toEqual({ key, value: `"${key} ${round}"`, asOf });
      }
      await until('the mark at the head', async () => {
        const { applied, redis } = await next.status();
        return applied >= head && redis.marks[0]?.version === applied;
      });
      await next.kill();
    }
  });

  async function valuesOf(reader: Reader): Promise<(string | undefined)[]> {
    const found = await reader.getMany(['a', 'b', 'c', 'd']);
    return [...found.values()].map((reading) => reading.value?.toString());
  }

  /** Changes of the new history, at versions that the old one had, are served as any others. */
  async function expectNewHistory(readers: readonly Reader[]): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await query(db.a, `REPLACE INTO configs (config_key, config_value) VALUES ('d', '${round}')`);
      await query(db.a, "DELETE FROM configs WHERE config_key = 'c'");
      await taken(db.a, readers);
      for (const reader of readers) {
        expect(await textOf(reader, 'd')).toBe(`${round}`);
        expect(await textOf(reader, 'c')).toBeUndefined();
      }
    }
    await expectNoMoreRebases(readers);
    const fresh = await startReader(db);
    for (const key of ['a', 'b', 'c', 'd']) {
      const [row] = await query(db.a, 'SELECT config_value FROM configs WHERE config_key = ?', [
        key,
      ]);
      expect(await textOf(fresh, key), key).toBe(row?.config_value);
    }
  }

  /** What went wrong once is mended once. */
  async function expectNoMoreRebases(readers: readonly Reader[]): Promise<void> {
    for (const reader of readers) await until('a warm Redis', () => reader.ready);
    const count = async () => {
      const each = readers.map((reader) => metricOf(reader, 'tidemark_rebases_total'));
      return [await generations(readers), ...(await Promise.all(each))];
    };
    const before = await count();
    expect(before[0]).toBeLessThanOrEqual(2 * Math.max(...before.slice(1)));
    for (let turn = 0; turn < 5; turn++) {
      await query(
        db.a,
        `REPLACE INTO configs (config_key, config_value) VALUES ('turn', '${turn}')`,
      );
      await taken(db.a, readers);
    }
    expect(await count()).toEqual(before);
  }

  async function generations(readers: readonly Reader[]): Promise<number> {
    const each = readers.map((reader) => metricOf(reader, 'tidemark_redis_generations_total'));
    return (await Promise.all(each)).reduce((total, count) => total + count, 0);
  }

  async function expectTruth(load: Load, from: readonly Readable[]): Promise<void> {
    const minVersion = await headOf(db.a);
    for (const each of from) {
      await each.get('(nobody)', { minVersion });
      for (const key of load.keys) {
        expect((await each.get(key)).value, key).toBe(load.checker.truth(key).value);
      }
    }
  }
});

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
