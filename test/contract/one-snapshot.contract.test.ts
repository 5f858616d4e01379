/**
 * Each answer of the log is one snapshot, whatever is committed while it is being put together.
 *
 *   the log:     statement ..................... (another statement?) ... answer
 *   a writer:                 commit, replicated
 */
import type { Pool, PoolConnection } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { MysqlLog } from '../../src/mysql/log.js';
import { openPool } from '../../src/mysql/pool.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';

describe.each(flavors)('between the statements of one answer, on %s', (flavor) => {
  let database: TestDatabase;
  let pool: Pool;
  let log: MysqlLog;
  let writes = 0;

  beforeEach(async () => {
    database = await createDatabase(flavor);
    pool = openPool(database.b, { connectionLimit: 2 });
    log = new MysqlLog(thatIsInterrupted(pool, write), DEFAULT_COLLECTION, 30_000);
    writes = 0;
    await write();
  });

  afterEach(async () => {
    await pool.end();
    await database.drop();
  });

  /** Version 2 makes key 'a', each later one changes it and makes another key. */
  async function write(): Promise<void> {
    writes += 1;
    const value = JSON.stringify(writes);
    const upsert = `INSERT INTO configs (config_key, config_value) VALUES ('a', ?)
      ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`;
    await query(database.a, upsert, [value]);
    await query(database.a, 'INSERT INTO configs (config_key, config_value) VALUES (?, 0)', [
      `b${writes}`,
    ]);
    await database.caughtUp();
  }

  test('fetch: no row is newer or older than the head it is stamped with', async () => {
    const entries = await log.fetch(['a', 'b1', 'b2']);
    const asOf = entries.get('a')?.asOf;
    expect([...entries.values()].map((entry) => entry.asOf)).toEqual([asOf, asOf, asOf]);
    const at = await stateAt(asOf ?? 0);
    expect(entries.get('a')?.version).toBe(at.newestOfA);
    expect(entries.get('b2')?.value === null).toBe(!at.keys.includes('b2'));
  });

  test('poll: rows up to the head, and none beyond it', async () => {
    const { head, rows } = await log.poll(1, 100);
    expect(rows.map(({ version }) => version)).toEqual(
      Array.from({ length: head }, (_, index) => index + 1),
    );
  });

  test('tip: the row of the head', async () => {
    const { head, rows } = await log.tip();
    expect(rows.map(({ version }) => version)).toEqual([head]);
  });

  test('list: the keys that there are as of its head', async () => {
    const { asOf, keys } = await log.list('', undefined, 100);
    expect(keys.map(({ key }) => key)).toEqual((await stateAt(asOf)).keys);
  });

  /** What the log says of `version`: the version of key 'a' then, and the keys that there were. */
  async function stateAt(version: number): Promise<{ newestOfA: number; keys: string[] }> {
    const rows = await query(
      database.a,
      "SELECT version, row_key FROM config_changes WHERE version <= ? AND op <> 'start'",
      [version],
    );
    const newestOfA = Math.max(
      ...rows.filter(({ row_key }) => row_key === 'a').map((row) => row.version),
    );
    return { newestOfA, keys: [...new Set(rows.map(({ row_key }) => String(row_key)))].sort() };
  }
});

/** The same pool; after each of its statements `interrupt` runs before anybody hears the answer. */
function thatIsInterrupted(pool: Pool, interrupt: () => Promise<void>): Pool {
  const wrap = (connection: PoolConnection): PoolConnection =>
    new Proxy(connection, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        if (name !== 'execute' && name !== 'query') return member.bind(target);
        return async (...args: unknown[]) => {
          const answer = await member.apply(target, args);
          await interrupt();
          return answer;
        };
      },
    });
  return new Proxy(pool, {
    get(target, name) {
      if (name === 'getConnection') return async () => wrap(await target.getConnection());
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}
