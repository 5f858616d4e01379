/** What the triggers of `tidemark track` write to the log, statement by statement, on real servers. */
import type { ResultSetHeader } from 'mysql2/promise';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connected, createDatabase, flavors, query } from '../support/data-centers.js';
import { migrateAt } from '../support/migrations.js';
import { headOf } from '../support/readers.js';
import {
  CORE_CONFIG_DATA,
  OC_APPCONFIG,
  OPTIONS_BY_ID,
  OPTIONS_BY_NAME,
} from '../support/sample-tables.js';
import { logAfter, ownFolder, type Tracking, tracked, written } from '../support/tracking.js';

describe.each(flavors)('a tracked table on %s', (flavor) => {
  /** A database with the table; `logs` is what a statement adds to the log. */
  async function scene(table: Tracking & { readonly create: string }) {
    const database = await createDatabase(flavor);
    onTestFinished(() => database.drop());
    const { a } = database;
    await tracked(a, table);
    const logs = async (...statements: string[]) => {
      const before = await headOf(a);
      for (const statement of statements) await query(a, statement);
      return await logAfter(a, before);
    };
    const versionOf = async (where: string) => {
      const [row] = await query(a, `SELECT version FROM ${table.table} WHERE ${where}`);
      return row?.version;
    };
    return { a, logs, versionOf };
  }

  test('with an AUTO_INCREMENT key logs the key that a row gets', async () => {
    const { a, logs, versionOf } = await scene(OPTIONS_BY_ID);
    const insert = 'INSERT INTO wp_options (option_name, option_value) VALUES';
    expect(await logs(`${insert} ('a', '1'), ('b', '2')`)).toEqual(['insert 1', 'insert 2']);
    expect(await versionOf('option_id = 2')).toBe(await headOf(a));
    const added = await connected(a, async (connection) => {
      const [result] = await connection.query<ResultSetHeader>(`${insert} ('c', '3')`);
      return result.insertId;
    });
    expect(added).toBe(3); // the log has not changed what the client is told
    expect(await logs('UPDATE wp_options SET option_id = 9 WHERE option_id = 3')).toEqual([
      'delete 3',
      'update 9',
    ]);
    expect(await logs('DELETE FROM wp_options WHERE option_id = 9')).toEqual(['delete 9']);
  });

  test('logs nothing of what an insert leaves out, and all of what it changes', async () => {
    const { a, logs, versionOf } = await scene(OPTIONS_BY_ID);
    const insert = 'INTO wp_options (option_name, option_value) VALUES';
    await logs(`INSERT ${insert} ('a', '1')`);
    expect(await logs(`INSERT IGNORE ${insert} ('a', '2')`)).toEqual([]);
    const upsert = `INSERT ${insert} ('a', '3') ON DUPLICATE KEY UPDATE option_value = '3'`;
    expect(await logs(upsert)).toEqual(['update 1']);
    expect(await logs(upsert)).toEqual([]); // it is so already
    expect(await query(a, 'SELECT option_id FROM wp_options')).toEqual([{ option_id: 1 }]);
    const replaced = await logs(`REPLACE ${insert} ('a', '4')`);
    expect(replaced).toEqual(['delete 1', expect.stringMatching(/^insert \d+$/)]);
    expect(await versionOf("option_name = 'a'")).toBeGreaterThanOrEqual((await headOf(a)) - 1);
    await expect(logs(`INSERT ${insert} ('a', '5')`)).rejects.toThrow(/Duplicate/);
    expect(await logs()).toEqual([]);
    expect(await gaps(a)).toBe(0);
  });

  test('takes no version for what changes nothing that is tracked', async () => {
    const { a, logs, versionOf } = await scene(OPTIONS_BY_NAME);
    await logs("INSERT INTO wp_options (option_name, option_value) VALUES ('a', 'x')");
    const version = await versionOf("option_name = 'a'");
    expect(
      await logs(
        "UPDATE wp_options SET autoload = 'no'",
        "UPDATE wp_options SET option_value = 'x'",
        'UPDATE wp_options SET version = 99', // which is not theirs to set
        'UPDATE wp_options SET option_id = 77',
      ),
    ).toEqual([]);
    expect(await versionOf("option_name = 'a'")).toBe(version);
    // The collation takes these for the same; they are other bytes.
    expect(await logs("UPDATE wp_options SET option_value = 'X'")).toEqual(['update a']);
    expect(await logs("UPDATE wp_options SET option_value = 'X '")).toEqual(['update a']);
    expect(await versionOf("option_name = 'a'")).toBe(await headOf(a));
  });

  test('with a utf8mb4_general_ci key logs both spellings of a key that changes its case', async () => {
    const { logs } = await scene(OPTIONS_BY_NAME);
    await logs("INSERT INTO wp_options (option_name, option_value) VALUES ('a', '1')");
    for (const [from, to] of [
      ['a', 'A'],
      ['A', 'Á'],
      ['Á', 'Á '],
    ]) {
      expect(await logs(`UPDATE wp_options SET option_name = '${to}'`)).toEqual([
        `delete ${from}`,
        `update ${to}`,
      ]);
    }
  });

  test('with a key of several columns logs their texts, escaped', async () => {
    const { logs } = await scene(CORE_CONFIG_DATA);
    const insert = 'INSERT INTO core_config_data (scope, scope_id, path, value) VALUES';
    expect(
      await logs(`${insert} ('default', 0, 'web/100%', '1'), ('stores', -3, '', NULL)`),
    ).toEqual(['insert default/0/web%2F100%25', 'insert stores/-3/']);
    expect(await logs('UPDATE core_config_data SET scope_id = 4 WHERE scope_id = -3')).toEqual([
      'delete stores/-3/',
      'update stores/4/',
    ]);
    const longest = `'${'/'.repeat(255)}'`;
    const [long = ''] = await logs(`${insert} ('x', 0, ${longest}, '1')`);
    expect(long).toHaveLength('insert '.length + 768); // no write fails because of its key
  });

  test('compares JSON and NULL as they are served', async () => {
    const create = `CREATE TABLE t (id INT PRIMARY KEY, value JSON, n DECIMAL(5,2), e ENUM('a', 'b'),
      note TEXT) DEFAULT CHARACTER SET utf8mb4`;
    const { logs } = await scene({ table: 't', create, value: ['value', 'n', 'e'] });
    const set = (what: string) => logs(`UPDATE t SET ${what}`);
    await logs('INSERT INTO t (id) VALUES (1)');
    expect(await set('value = NULL, n = NULL, note = 1')).toEqual([]);
    expect(await set(`value = '{"a": 1}'`)).toEqual(['update 1']);
    expect(await set(`value = '{"a": 1}', note = 2`)).toEqual([]);
    expect(await set(`value = '{"a": 1.0}'`)).toEqual(['update 1']);
    expect(await set('n = 1')).toEqual(['update 1']);
    expect(await set('n = 1.00')).toEqual([]);
    expect(await set("e = 'b'")).toEqual(['update 1']);
    expect(await set('e = NULL')).toEqual(['update 1']);
    expect(await set('value = NULL')).toEqual(['update 1']);
  });

  test('takes each update for a change where the server sets a value after the triggers', async () => {
    const create = `CREATE TABLE t (id INT PRIMARY KEY, n INT, value INT AS (n * 2) STORED,
      at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)`;
    const { logs } = await scene({ table: 't', create, value: ['value', 'at'] });
    expect(await logs('INSERT INTO t (id, n) VALUES (1, 1)', 'UPDATE t SET n = 2')).toEqual([
      'insert 1',
      'update 1',
    ]);
  });

  describe('with triggers of its own', () => {
    /** They write the key in lower case, and keep a count of what changes elsewhere. */
    const own = [
      `CREATE TRIGGER own_insert BEFORE INSERT ON oc_appconfig FOR EACH ROW
         SET NEW.configkey = LOWER(NEW.configkey)`,
      `CREATE TRIGGER own_update BEFORE UPDATE ON oc_appconfig FOR EACH ROW
         SET NEW.configkey = LOWER(NEW.configkey), NEW.configvalue = TRIM(NEW.configvalue)`,
      `CREATE TRIGGER own_audit AFTER UPDATE ON oc_appconfig FOR EACH ROW
         UPDATE audit SET changes = changes + 1`,
      `CREATE TRIGGER own_delete BEFORE DELETE ON oc_appconfig FOR EACH ROW
         UPDATE audit SET changes = changes + 1`,
    ];

    test('sees what they make of a row, and they go on', async () => {
      const database = await createDatabase(flavor);
      onTestFinished(() => database.drop());
      const { a } = database;
      await query(a, OC_APPCONFIG.create);
      await query(a, 'CREATE TABLE audit AS SELECT 0 AS changes');
      for (const trigger of own) await query(a, trigger);
      await tracked(a, { ...OC_APPCONFIG, create: 'DO 0' });
      const logs = async (statement: string) => {
        const before = await headOf(a);
        await query(a, statement);
        return await logAfter(a, before);
      };
      const set = (what: string) => logs(`UPDATE oc_appconfig SET ${what}`);
      expect(
        await logs(
          "INSERT INTO oc_appconfig (appid, configkey, configvalue) VALUES ('a', 'K', '1')",
        ),
      ).toEqual(['insert a/k']);
      expect(await set("configvalue = ' 1 '")).toEqual([]); // trimmed, it is what it was
      expect(await set("configkey = 'K'")).toEqual([]);
      expect(await set("configvalue = ' 2 '")).toEqual(['update a/k']);
      expect(await set("configkey = 'L'")).toEqual(['delete a/k', 'update a/l']);
      expect(await logs('DELETE FROM oc_appconfig')).toEqual(['delete a/l']);
      expect(await query(a, 'SELECT changes FROM audit')).toEqual([{ changes: 5 }]);
    });

    test('is refused by the server when they are gone before it is applied', async () => {
      const database = await createDatabase(flavor);
      onTestFinished(() => database.drop());
      const { a } = database;
      await query(a, OC_APPCONFIG.create);
      await query(a, own[1] ?? '');
      const out = await ownFolder();
      await written(a, out, OC_APPCONFIG);
      await query(a, 'DROP TRIGGER own_update');
      await expect(migrateAt(a, { dir: out })).rejects.toThrow(/run `tidemark track` again/);
      await migrateAt(a, { dir: out, to: 1000 });
      expect(await query(a, 'SHOW TRIGGERS LIKE "oc_%"')).toEqual([]);
    });
  });

  test('a transaction that is rolled back leaves no trace and no gap', async () => {
    const { a, logs } = await scene(OPTIONS_BY_ID);
    await connected(a, async (connection) => {
      await connection.beginTransaction();
      await connection.query("INSERT INTO wp_options (option_name, option_value) VALUES ('x', '')");
      await connection.query('DELETE FROM wp_options');
      await connection.rollback();
    });
    expect(await logs()).toEqual([]);
    await logs("INSERT INTO wp_options (option_name, option_value) VALUES ('y', '')");
    expect(await gaps(a)).toBe(0);
  });

  test('cannot be written without the log', async () => {
    const { a, logs } = await scene(OPTIONS_BY_ID);
    await logs("INSERT INTO wp_options (option_name, option_value) VALUES ('x', '')");
    await query(a, 'DELETE FROM config_stream');
    onTestFinished(async () => {
      await query(
        a,
        `INSERT INTO config_stream (id, head, beat_at)
         SELECT 1, MAX(version), UTC_TIMESTAMP(6) FROM config_changes`,
      );
    });
    for (const statement of [
      "INSERT INTO wp_options (option_name, option_value) VALUES ('y', '')",
      "UPDATE wp_options SET option_value = 'z'",
      'DELETE FROM wp_options',
    ]) {
      await expect(query(a, statement)).rejects.toThrow(/config_stream has lost its row/);
    }
  });
});

/** How many versions the log lacks. */
async function gaps(url: string): Promise<number> {
  const [row] = await query(
    url,
    'SELECT (SELECT head FROM config_stream) - COUNT(*) AS gaps FROM config_changes',
  );
  return Number(row?.gaps);
}
