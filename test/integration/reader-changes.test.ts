/**
 * Every kind of change that plain SQL can make in data center A, as two readers in B serve it: the
 * changed keys tell the truth, all the others stay local hits.
 */
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Reader } from '../../src/index.js';
import type { TestDatabase } from '../support/data-centers.js';
import { connected, createDatabase, flavors, query } from '../support/data-centers.js';
import { headOf, startReader, taken, textOf } from '../support/readers.js';

interface Change {
  readonly what: string;
  /** One transaction, or one each with `autocommit`. */
  readonly sql: readonly string[];
  readonly autocommit?: boolean;
  /** The keys the log names, whether or not they changed. */
  readonly touched: readonly string[];
  /** What the SQL is meant to bring about; a key that is not here is as before. */
  readonly brings: Readonly<Record<string, string | undefined>>;
}

const INSERT = 'INSERT INTO configs (config_key, config_value)';
const CHANGES: readonly Change[] = [
  { what: 'INSERT', sql: [`${INSERT} VALUES ('d', '4')`], touched: ['d'], brings: { d: '4' } },
  {
    what: 'INSERT of several rows',
    sql: [`${INSERT} VALUES ('d', '4'), ('e', '5')`],
    touched: ['d', 'e'],
    brings: { d: '4', e: '5' },
  },
  {
    what: 'INSERT ... SELECT',
    sql: [`${INSERT} SELECT 'd', CONCAT(config_value, '0') FROM configs WHERE config_key = 'b'`],
    touched: ['d'],
    brings: { d: '20' },
  },
  {
    what: 'UPDATE',
    sql: ["UPDATE configs SET config_value = '10' WHERE config_key = 'a'"],
    touched: ['a'],
    brings: { a: '10' },
  },
  {
    what: 'UPDATE of several rows',
    sql: ["UPDATE configs SET config_value = CONCAT(config_value, '0') WHERE config_key < 'c'"],
    touched: ['a', 'b'],
    brings: { a: '10', b: '20' },
  },
  {
    what: 'UPDATE to the same value',
    sql: ["UPDATE configs SET config_value = config_value WHERE config_key = 'a'"],
    touched: ['a'],
    brings: {},
  },
  {
    what: 'DELETE',
    sql: ["DELETE FROM configs WHERE config_key = 'a'"],
    touched: ['a'],
    brings: { a: undefined },
  },
  {
    what: 'REPLACE of a row that is there',
    sql: ["REPLACE INTO configs (config_key, config_value) VALUES ('a', '10')"],
    touched: ['a'],
    brings: { a: '10' },
  },
  {
    what: 'REPLACE of a row that is not there',
    sql: ["REPLACE INTO configs (config_key, config_value) VALUES ('d', '4')"],
    touched: ['d'],
    brings: { d: '4' },
  },
  {
    what: 'ON DUPLICATE KEY UPDATE of a row that is there',
    sql: [`${INSERT} VALUES ('a', '0') ON DUPLICATE KEY UPDATE config_value = '10'`],
    touched: ['a'],
    brings: { a: '10' },
  },
  {
    what: 'ON DUPLICATE KEY UPDATE of a row that is not there',
    sql: [`${INSERT} VALUES ('d', '4') ON DUPLICATE KEY UPDATE config_value = '0'`],
    touched: ['d'],
    brings: { d: '4' },
  },
  {
    what: 'INSERT IGNORE of a row that is there',
    sql: [`INSERT IGNORE INTO configs (config_key, config_value) VALUES ('a', '0')`],
    touched: ['a'],
    brings: {},
  },
  {
    what: 'INSERT IGNORE of a row that is not there',
    sql: [`INSERT IGNORE INTO configs (config_key, config_value) VALUES ('d', '4')`],
    touched: ['d'],
    brings: { d: '4' },
  },
  {
    what: 'rename of a key',
    sql: ["UPDATE configs SET config_key = 'd' WHERE config_key = 'a'"],
    touched: ['a', 'd'],
    brings: { a: undefined, d: '1' },
  },
  {
    what: 'swap of two keys',
    sql: [
      "UPDATE configs SET config_key = 'tmp' WHERE config_key = 'a'",
      "UPDATE configs SET config_key = 'a' WHERE config_key = 'b'",
      "UPDATE configs SET config_key = 'b' WHERE config_key = 'tmp'",
    ],
    touched: ['a', 'b'],
    brings: { a: '2', b: '1' },
  },
  {
    what: 'delete and recreate in one transaction',
    sql: ["DELETE FROM configs WHERE config_key = 'a'", `${INSERT} VALUES ('a', '10')`],
    touched: ['a'],
    brings: { a: '10' },
  },
  {
    what: 'delete, then recreate',
    sql: ["DELETE FROM configs WHERE config_key = 'a'", `${INSERT} VALUES ('a', '10')`],
    autocommit: true,
    touched: ['a'],
    brings: { a: '10' },
  },
  {
    what: 'ROLLBACK',
    sql: ["UPDATE configs SET config_value = '0'", 'DELETE FROM configs', 'ROLLBACK'],
    touched: [],
    brings: {},
  },
  {
    what: 'ROLLBACK TO SAVEPOINT',
    sql: [
      "UPDATE configs SET config_value = '10' WHERE config_key = 'a'",
      'SAVEPOINT here',
      "DELETE FROM configs WHERE config_key = 'b'",
      'ROLLBACK TO SAVEPOINT here',
    ],
    touched: ['a'],
    brings: { a: '10' },
  },
];

const BEFORE = { a: '1', b: '2', c: '3', x: '"x"', y: '"y"' };
const KEYS = ['a', 'b', 'c', 'd', 'e', 'x', 'y', 'absent'];

describe.each(flavors)('two readers on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  /** The table as `BEFORE` says; every key of `KEYS` held locally by both readers. */
  async function prepare(): Promise<[Reader, Reader]> {
    await connected(db.a, async (connection) => {
      await connection.query('DELETE FROM configs');
      await connection.query(`${INSERT} VALUES ?`, [Object.entries(BEFORE)]);
    });
    await db.caughtUp();
    const readers: [Reader, Reader] = [await startReader(db), await startReader(db)];
    for (const reader of readers) {
      await taken(db.a, [reader]);
      await reader.getMany(KEYS);
    }
    return readers;
  }

  test.each(CHANGES)('serve the truth after $what, and keep what it did not touch', async (one) => {
    const readers = await prepare();
    const headBefore = await headOf(db.a);
    await connected(db.a, async (connection) => {
      if (!one.autocommit) await connection.query('BEGIN');
      for (const sql of one.sql) await connection.query(sql);
      if (!one.autocommit) await connection.query('COMMIT');
    });
    const head = await taken(db.a, readers);
    expect(head > headBefore).toBe(one.touched.length > 0);

    const truth: Record<string, string | undefined> = { ...BEFORE, ...one.brings };
    for (const reader of readers) {
      for (const key of KEYS.filter((each) => !one.touched.includes(each))) {
        expect(reader.peek(key)?.tier, `${key} is still held`).toBe('local');
      }
      for (const key of KEYS) {
        const reading = await reader.get(key);
        expect(reading.value?.toString(), key).toBe(truth[key]);
        expect(reading.asOf, key).toBeGreaterThanOrEqual(head);
      }
    }
    await expectLogWithoutGaps();
  });

  test('serve the truth after 10,000 rows in one transaction', async () => {
    const readers = await prepare();
    const rows = Array.from({ length: 10_000 }, (_, index) => [`many/${index}`, `${index}`]);
    await connected(db.a, async (connection) => {
      await connection.query('BEGIN');
      await connection.query(`${INSERT} VALUES ?`, [rows]);
      await connection.query("UPDATE configs SET config_value = '10' WHERE config_key = 'a'");
      await connection.query('COMMIT');
    });
    const head = await taken(db.a, readers);
    for (const reader of readers) {
      expect(reader.peek('b')?.tier).toBe('local');
      expect(await textOf(reader, 'a')).toBe('10');
      const found = await reader.getMany(rows.map(([key = '']) => key));
      expect([...found].map(([key, reading]) => [key, reading.value?.toString()])).toEqual(rows);
      for (const reading of found.values()) expect(reading.asOf).toBeGreaterThanOrEqual(head);
    }
    await expectLogWithoutGaps();
  });

  test('serve the truth of transactions that commit in the opposite order of their start', async () => {
    const readers = await prepare();
    const first = await createConnection(db.a);
    const second = await createConnection(db.a);
    try {
      await first.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
      await second.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
      await second.query("UPDATE configs SET config_value = '20' WHERE config_key = 'b'");
      // Waits for the log's row, which the second one holds to its commit.
      const waiting = first.query("UPDATE configs SET config_value = '10' WHERE config_key = 'a'");
      await second.query('COMMIT');
      await taken(db.a, readers);
      for (const reader of readers) {
        expect(await textOf(reader, 'b')).toBe('20');
        expect(await textOf(reader, 'a'), 'not committed yet').toBe('1');
      }
      await waiting;
      await first.query('COMMIT');
    } finally {
      await first.end();
      await second.end();
    }
    await taken(db.a, readers);
    for (const reader of readers) {
      expect(await textOf(reader, 'a')).toBe('10');
      expect(await textOf(reader, 'b')).toBe('20');
    }
    await expectLogWithoutGaps();
  });

  test('never mix up keys that look alike', async () => {
    const alike = ['k', 'K', 'k ', 'ḱ', '😀', '😁', '__proto__', 'constructor', 'a/b', '%2F', '*'];
    const readers = await prepare();
    for (const reader of readers) await reader.getMany(alike);
    const expected = new Map<string, string>();
    for (const [index, key] of alike.entries()) {
      await query(db.a, `${INSERT} VALUES (?, ?)`, [key, `${index}`]);
      expected.set(key, `${index}`);
      await taken(db.a, readers);
      for (const reader of readers) {
        for (const other of alike) {
          expect(await textOf(reader, other), `${other} after ${key}`).toBe(expected.get(other));
        }
      }
    }
  });

  async function expectLogWithoutGaps(): Promise<void> {
    const [log] = await query(
      db.a,
      'SELECT COUNT(*) AS held, MIN(version) AS oldest, MAX(version) AS newest FROM config_changes',
    );
    expect(Number(log?.held)).toBe(Number(log?.newest) - Number(log?.oldest) + 1);
    expect(Number(log?.newest)).toBe(await headOf(db.a));
  }
});
