/**
 * The log, as it is on B after changes by plain SQL in A: the versions are 1 to head without a gap,
 * every changed key is named in it, in the order of commits, and the client notices nothing.
 */
import type { Connection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';

const EMOJI = '\u{1F9ED}'; // outside the Basic Multilingual Plane

describe.each(flavors)('the log on %s', (flavor) => {
  let database: TestDatabase;
  /** The head before the test. */
  let before: number;

  beforeAll(async () => {
    database = await createDatabase(flavor);
  });

  afterAll(async () => {
    await database.drop();
  });

  beforeEach(async () => {
    await query(database.a, 'DELETE FROM configs');
    await put('k', '0');
    before = Number((await query(database.a, 'SELECT head FROM config_stream'))[0]?.head);
  });

  async function run(sql: string): Promise<void> {
    await query(database.a, sql);
  }

  async function put(key: string, value: string): Promise<void> {
    await query(database.a, 'INSERT INTO configs (config_key, config_value) VALUES (?, ?)', [
      key,
      value,
    ]);
  }

  /** `<op> <key>` of each change since the test began, on B; the whole log has no gap. */
  async function changes(): Promise<string[]> {
    await database.caughtUp();
    const log = await query(
      database.b,
      'SELECT version, table_name, row_key, op, changed_at FROM config_changes ORDER BY version',
    );
    const [stream] = await query(database.b, 'SELECT head FROM config_stream');
    expect(stream?.head).toBe(log.length);
    expect(log.map(({ version }) => version)).toEqual(log.map((_, index) => index + 1));
    expect(log[0]).toMatchObject({ op: 'start', table_name: '', row_key: '' });
    const since = log.slice(before);
    expect(new Set(since.map((row) => row.table_name))).toEqual(
      new Set(since.length > 0 ? ['configs'] : []),
    );
    return since.map((row) => `${row.op} ${row.row_key}`);
  }

  /** Every row of B, and the version of each is that of the last change of its key. */
  async function rows(): Promise<Record<string, string>> {
    const all = await query(database.b, 'SELECT config_key, config_value, version FROM configs');
    for (const { config_key: key, version } of all) {
      const [last] = await query(
        database.b,
        `SELECT MAX(version) AS version FROM config_changes
         WHERE row_key = ? AND op IN ('insert', 'update')`,
        [key],
      );
      expect(version, `the version of ${key}`).toBe(last?.version);
    }
    return Object.fromEntries(all.map((row) => [row.config_key, row.config_value]));
  }

  test('INSERT, UPDATE and DELETE', async () => {
    await put('a', '1');
    await run("UPDATE configs SET config_value = '2' WHERE config_key = 'a'");
    await run("DELETE FROM configs WHERE config_key = 'k'");
    expect(await changes()).toEqual(['insert a', 'update a', 'delete k']);
    expect(await rows()).toEqual({ a: '2' });
  });

  test('REPLACE of a row that exists, and of one that does not', async () => {
    await run("REPLACE INTO configs (config_key, config_value) VALUES ('k', '1'), ('a', '1')");
    expect(new Set(await changes())).toEqual(new Set(['insert k', 'delete k', 'insert a']));
    expect(await rows()).toEqual({ k: '1', a: '1' });
  });

  test('INSERT ... ON DUPLICATE KEY UPDATE', async () => {
    await run(
      `INSERT INTO configs (config_key, config_value) VALUES ('k', '1'), ('a', '1')
       ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`,
    );
    expect(await changes()).toEqual(['insert k', 'update k', 'insert a']);
    expect(await rows()).toEqual({ k: '1', a: '1' });
  });

  test('INSERT IGNORE leaves no gap where it inserts nothing', async () => {
    await run(
      "INSERT IGNORE INTO configs (config_key, config_value) VALUES ('k', '1'), ('a', '1')",
    );
    expect(await changes()).toEqual(['insert k', 'insert a']); // the first one is only a notice
    await database.caughtUp();
    expect(await query(database.b, 'SELECT config_key, config_value FROM configs')).toEqual([
      { config_key: 'a', config_value: '1' },
      { config_key: 'k', config_value: '0' },
    ]);
  });

  test('a statement that fails leaves nothing in the log', async () => {
    const sql = "INSERT INTO configs (config_key, config_value) VALUES ('a', '1'), ('k', '1')";
    await expect(run(sql)).rejects.toThrow(/Duplicate/);
    expect(await changes()).toEqual([]);
    expect(await rows()).toEqual({ k: '0' });
  });

  test('a renamed key is logged under its old and its new name', async () => {
    await run("UPDATE configs SET config_key = 'a' WHERE config_key = 'k'");
    expect(await changes()).toEqual(['delete k', 'update a']);
    expect(await rows()).toEqual({ a: '0' });
  });

  test.each(['K', 'k ', EMOJI])("a rename from 'k' to '%s' is a rename", async (key) => {
    await query(database.a, "UPDATE configs SET config_key = ? WHERE config_key = 'k'", [key]);
    expect(await changes()).toEqual(['delete k', `update ${key}`]);
    expect(await rows()).toEqual({ [key]: '0' });
  });

  test('keys that differ in case, trailing spaces or an accent are different keys', async () => {
    const keys = ['a', 'A', 'a ', 'a  ', 'e', 'é', 'e\u0301', 'ß', 'ss', EMOJI, '__proto__'];
    for (const key of keys) await put(key, JSON.stringify(key));
    expect(await changes()).toEqual(keys.map((key) => `insert ${key}`));
    for (const key of keys) {
      await query(database.a, 'DELETE FROM configs WHERE config_key = ?', [key]);
    }
    expect((await changes()).slice(keys.length)).toEqual(keys.map((key) => `delete ${key}`));
    expect(await rows()).toEqual({ k: '0' });
  });

  test('a key of 255 characters is logged whole', async () => {
    const key = EMOJI.repeat(255);
    await put(key, '1');
    expect(await changes()).toEqual([`insert ${key}`]);
  });

  test('one statement that changes many rows logs each', async () => {
    await run("INSERT INTO configs (config_key, config_value) VALUES ('a', '1'), ('b', '1')");
    await run("UPDATE configs SET config_value = '2' ORDER BY config_key");
    await run("DELETE FROM configs WHERE config_key <> 'k' ORDER BY config_key");
    expect(await changes()).toEqual([
      ...['insert a', 'insert b'],
      ...['update a', 'update b', 'update k'],
      ...['delete a', 'delete b'],
    ]);
    expect(await rows()).toEqual({ k: '2' });
  });

  test('a rollback leaves neither rows nor a gap', async () => {
    await connected(database.a, async (connection) => {
      await connection.beginTransaction();
      await connection.query("INSERT INTO configs (config_key, config_value) VALUES ('a', '1')");
      await connection.query('SAVEPOINT here');
      await connection.query("UPDATE configs SET config_value = '2'");
      await connection.query('ROLLBACK TO SAVEPOINT here');
      await connection.rollback();
    });
    await put('b', '1');
    expect(await changes()).toEqual(['insert b']);
  });

  test('a rollback to a savepoint takes back what came after it', async () => {
    await connected(database.a, async (connection) => {
      await connection.beginTransaction();
      await connection.query("INSERT INTO configs (config_key, config_value) VALUES ('a', '1')");
      await connection.query('SAVEPOINT here');
      await connection.query("UPDATE configs SET config_value = '2'");
      await connection.query('ROLLBACK TO SAVEPOINT here');
      await connection.commit();
    });
    expect(await changes()).toEqual(['insert a']);
    expect(await rows()).toEqual({ a: '1', k: '0' });
  });

  test('a key that is deleted and made again in one transaction', async () => {
    await connected(database.a, async (connection) => {
      await connection.beginTransaction();
      await connection.query("DELETE FROM configs WHERE config_key = 'k'");
      await connection.query("INSERT INTO configs (config_key, config_value) VALUES ('k', '1')");
      await connection.commit();
    });
    expect(await changes()).toEqual(['delete k', 'insert k']);
    expect(await rows()).toEqual({ k: '1' });
  });

  test('10,000 rows in one transaction are there all at once, in order', async () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => `key-${index}`);
    await connected(database.a, async (connection) => {
      await connection.beginTransaction();
      for (let from = 0; from < keys.length; from += 1000) {
        const values = keys.slice(from, from + 1000).map((key) => [key, '1']);
        await connection.query('INSERT INTO configs (config_key, config_value) VALUES ?', [values]);
      }
      const [stream] = await query(database.b, 'SELECT head FROM config_stream');
      expect(stream?.head).toBe(before);
      await connection.commit();
    });
    expect(await changes()).toEqual(keys.map((key) => `insert ${key}`));
  });

  // first:  BEGIN, SELECT ................ INSERT 'late' (waits) ........ COMMIT
  // second: ........ BEGIN, INSERT 'early' ............... COMMIT
  test('of two concurrent transactions, the one that commits first has the lower version', async () => {
    await connected(database.a, async (first) => {
      await connected(database.a, async (second) => {
        await first.beginTransaction();
        await first.query('SELECT * FROM configs');
        await second.beginTransaction();
        await second.query(insert('early'));
        const late = first.query(insert('late'));
        await expect.poll(() => isRunning(database.a, first), { timeout: 10_000 }).toBe(true);
        await second.commit();
        await late;
        await first.commit();
      });
    });
    expect(await changes()).toEqual(['insert early', 'insert late']);
    expect(await rows()).toEqual({ k: '0', early: '1', late: '1' });
  });

  test('the triggers do not disturb the LAST_INSERT_ID of the client', async () => {
    await run('CREATE TABLE other (id BIGINT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 777');
    await connected(database.a, async (connection) => {
      await connection.query('INSERT INTO other VALUES ()');
      const [result] = await connection.query<ResultSetHeader>(
        "INSERT INTO configs (config_key, config_value) VALUES ('a', '1')",
      );
      expect(result.insertId).toBe(0);
      await connection.query("UPDATE configs SET config_value = '2'");
      await connection.query("DELETE FROM configs WHERE config_key = 'a'");
      const [rows] = await connection.query<RowDataPacket[]>('SELECT LAST_INSERT_ID() AS id');
      expect(rows).toEqual([{ id: 777 }]);
    });
    await run('DROP TABLE other');
  });

  test('a stream that has lost its row refuses changes, rather than not to log them', async () => {
    await run('DELETE FROM config_stream');
    try {
      await expect(put('a', '1')).rejects.toThrow(/config_stream has lost its row/);
      await expect(run("UPDATE configs SET config_value = '1'")).rejects.toThrow(
        /has lost its row/,
      );
      await expect(run("UPDATE configs SET config_key = 'x'")).rejects.toThrow(/lost|Duplicate/);
      await expect(run('DELETE FROM configs')).rejects.toThrow(/has lost its row/);
    } finally {
      await query(database.a, 'INSERT INTO config_stream VALUES (1, ?, UTC_TIMESTAMP(6))', [
        before,
      ]);
    }
    expect(await changes()).toEqual([]);
    expect(await rows()).toEqual({ k: '0' });
  });
});

function insert(key: string): string {
  return `INSERT INTO configs (config_key, config_value) VALUES ('${key}', '1')`;
}

/** Whether a statement of `connection` runs: here it can only be waiting for the stream's row. */
async function isRunning(url: string, { threadId }: Connection): Promise<boolean> {
  const running = await query(
    url,
    'SELECT 1 FROM information_schema.processlist WHERE id = ? AND info IS NOT NULL',
    [threadId],
  );
  return running.length > 0;
}
