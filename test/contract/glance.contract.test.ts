/** What a glance reads of tables with keys of all kinds, and how the servers find it. */
import type { Pool, RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Collection } from '../../src/core/collection.js';
import { type Glance, GlanceStatement } from '../../src/mysql/glance.js';
import { openPool } from '../../src/mysql/pool.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { glanceOn } from '../support/glance.js';

describe.each(flavors)('a glance at %s', (flavor) => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase(flavor);
  });
  afterEach(() => database.drop());

  /** A table as someone's own, and a change of it in the log. */
  async function changeOf(key: string, type: string, rowKey = key): Promise<Glance> {
    const { a, b } = database;
    await query(a, 'DROP TABLE IF EXISTS own');
    await query(
      a,
      `CREATE TABLE own (id ${type} PRIMARY KEY, text LONGTEXT, version BIGINT UNSIGNED)`,
    );
    await query(a, 'INSERT INTO own VALUES (?, ?, 7)', [rowKey, '"value"']);
    await query(a, 'UPDATE config_stream SET head = head + 1');
    await query(
      a,
      `INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
       SELECT head, 'own', ?, 'update', UTC_TIMESTAMP(6) FROM config_stream`,
      [key],
    );
    await database.caughtUp();
    return await glanceOn(openedOn(b), 1, OWN);
  }

  const OWN: Collection = {
    ...{ name: 'own', table: 'own', versionColumn: 'version' },
    ...{ keyColumns: ['id'], valueColumns: ['text'] },
  };

  test.each([
    ['VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci', 'Grüße/1 '],
    ['VARCHAR(100) CHARACTER SET latin1 COLLATE latin1_german1_ci', 'Grüße/2'],
    ['CHAR(20) CHARACTER SET ascii', 'plain'],
    ['VARCHAR(100) CHARACTER SET ucs2', 'Grüße/3'],
    ['VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', '😀'],
  ])('shows at a glance the value of a key that is %s', async (type, key) => {
    const { newest } = await changeOf(key, type);
    expect(newest?.key).toBe(key);
    expect([newest?.entry.version, newest?.entry.value?.toString()]).toEqual([7, '"value"']);
  });

  test('shows at a glance that the very key is absent, though another one is equal to it', async () => {
    const type = 'VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci';
    const { newest } = await changeOf('key', type, 'KEY');
    expect(newest).toMatchObject({ key: 'key', entry: { version: 0, value: null } });
  });

  test.each(['BIGINT', 'VARBINARY(100)'])('shows no value of a key that is %s', async (type) => {
    const { snapshot, newest } = await changeOf('12', type);
    expect(snapshot.rows.at(-1)).toMatchObject({ table: 'own', key: '12' });
    expect(newest).toBeUndefined();
  });

  test('shows at a glance no value of another table, and none that is large', async () => {
    await changeOf('a', 'VARCHAR(100)');
    const pool = openedOn(database.b);
    expect((await glanceOn(pool, 0)).newest).toBeUndefined();
    await query(database.a, 'UPDATE config_stream SET head = 1');
    await query(database.a, 'DELETE FROM config_changes WHERE version > 1');
    await query(database.a, 'INSERT INTO configs (config_key, config_value) VALUES (?, ?)', [
      'large',
      `"${'x'.repeat(65_534)}"`,
    ]);
    await database.caughtUp();
    expect((await glanceOn(pool, 0)).newest?.entry.value?.length).toBe(65_536);
    await query(database.a, "UPDATE configs SET config_value = CONCAT(config_value, ' ')");
    await database.caughtUp();
    expect(await glanceOn(pool, 0)).toMatchObject({ snapshot: { head: 3 }, newest: undefined });
  });

  test.each([
    'VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci',
    'VARCHAR(100) CHARACTER SET latin1',
  ])('finds the value of a glance by the index of a key that is %s', async (type) => {
    await changeOf('a', type);
    const many = Array.from({ length: 1_000 }, (_, index) => index + 3);
    const log = many.map((version) => `(${version}, 'own', 'a', 'update', UTC_TIMESTAMP(6))`);
    await query(database.a, `INSERT INTO config_changes VALUES ${log.join()}`);
    const rows = many.map((version) => `('${version}', '', 1)`);
    await query(database.a, `INSERT INTO own VALUES ${rows.join()}`);
    await query(database.a, 'UPDATE config_stream SET head = 1002');
    await database.caughtUp();
    const connection = await openedOn(database.b).getConnection();
    const { sql } = await GlanceStatement.prepare(connection, OWN);
    const explain = `EXPLAIN FORMAT = TRADITIONAL ${sql}`;
    const [plan] = await connection.query<RowDataPacket[]>(explain, [1]);
    connection.release();
    expect(plan.map(({ table, key }) => [table, key])).toEqual([
      ['s', 'PRIMARY'],
      ['c', 'PRIMARY'],
      ['p', 'PRIMARY'],
      ['t', 'PRIMARY'],
    ]);
  });

  test('says so when the collation of the key has changed under it', async () => {
    await changeOf('a', 'VARCHAR(100) CHARACTER SET latin1');
    const connection = await openedOn(database.b).getConnection();
    const statement = await GlanceStatement.prepare(connection, OWN);
    await query(database.a, 'ALTER TABLE own MODIFY id VARCHAR(100) COLLATE latin1_bin');
    await database.caughtUp();
    const [rows] = await connection.query<RowDataPacket[]>(statement.sql, [1]);
    connection.release();
    const read = () => statement.read(rows, { atMs: 1, clockMs: 2, seen: 1 });
    expect(read).toThrow('the collation of the key has changed');
  });

  /** A pool that ends with the test. */
  function openedOn(url: string): Pool {
    const pool = openPool(url, { connectionLimit: 1 });
    onTestFinished(() => pool.end());
    return pool;
  }
});
