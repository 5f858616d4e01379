/**
 * The writer before tables and servers that are not as they should be: it says what to do, and
 * nothing is lost.
 */
import { describe, expect, test } from 'vitest';
import {
  AccessDeniedError,
  InvalidKeyError,
  InvalidOptionsError,
  SchemaError,
  UnavailableError,
  ValueTooLargeError,
} from '../../src/errors.js';
import { openPool } from '../../src/mysql/pool.js';
import { KeyCollisionError } from '../../src/writer/write-errors.js';
import { Writer } from '../../src/writer/writer.js';
import { connected, createDatabase, flavors, query } from '../support/data-centers.js';
import { WriterFixture } from '../support/writer-fixture.js';

describe.each(flavors)('the writer before trouble, on %s', (flavor) => {
  const fixture = new WriterFixture(flavor);
  describe('a table that is not as it should be', () => {
    test('without the migration: says which command to run', async () => {
      const bare = await createDatabase(flavor, { migrated: false });
      const one = fixture.open({ mysql: bare.a });
      await expect(one.put('a', '1')).rejects.toThrow(/tidemark migrate/);
      await expect(one.head()).rejects.toThrow(SchemaError);
      await one.close();
      await bare.drop();
    });

    test('with another name, or another column: says so', async () => {
      const denied = /SchemaError|AccessDeniedError|Expected/; // an account with few rights is not told that there is none
      await expect(fixture.open({ names: { table: 'nope' } }).head()).rejects.toThrow(denied);
      await expect(fixture.open({ names: { valueColumn: 'nope' } }).head()).rejects.toThrow(
        SchemaError,
      );
      expect(() => fixture.open({ names: { table: 'a.b' } })).toThrow(InvalidOptionsError);
    });

    test('without its triggers: refuses rather than write what no reader will see', async () => {
      await fixture.writer.put('a', '1');
      await fixture.run('DROP TRIGGER configs_tidemark_update');
      try {
        await expect(fixture.writer.put('a', '2')).rejects.toThrow(SchemaError);
      } finally {
        await createUpdateTrigger();
      }
      expect(await fixture.stored()).toEqual({ a: '1' });
    });

    test('whose collation is blind to case: refuses a key rather than overwrite another', async () => {
      const other = await createDatabase(flavor);
      const sql = (text: string) => query(other.a, text);
      await sql(
        'ALTER TABLE configs MODIFY config_key VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL',
      );
      const one = fixture.open({ mysql: other.a });
      await one.put('a', '1');
      const { version } = await one.put('b', '1');
      for (const key of ['A', 'á', 'a ']) {
        await expect(one.put(key, '2')).rejects.toThrow(KeyCollisionError);
        await expect(one.put(key, '2', { ifAbsent: true })).rejects.toThrow(KeyCollisionError);
        expect(await one.delete(key)).toEqual({ key, version, deleted: false });
      }
      await expect(one.batch({ put: { c: '1', C: '2' } })).rejects.toThrow(KeyCollisionError);
      await expect(one.batch({ put: { c: '1', A: '2' }, delete: ['q'] })).rejects.toThrow(
        KeyCollisionError,
      );
      await one.put('a', '3');
      expect(await sql('SELECT config_key, config_value FROM configs ORDER BY 1')).toEqual([
        { config_key: 'a', config_value: '3' },
        { config_key: 'b', config_value: '1' },
      ]);
      await one.close();
      await other.drop();
    });

    test('whose columns are too narrow: refuses rather than cut', async () => {
      const other = await createDatabase(flavor);
      await query(
        other.a,
        'ALTER TABLE configs MODIFY config_key VARCHAR(10) NOT NULL, MODIFY config_value TINYTEXT NOT NULL',
      );
      const one = fixture.open({ mysql: other.a });
      await expect(one.put('x'.repeat(11), '1')).rejects.toThrow(InvalidKeyError);
      await expect(one.put('x', `"${'x'.repeat(300)}"`)).rejects.toThrow(ValueTooLargeError);
      // The same through a pool of the caller's, whose sessions cut silently.
      const lax = openPool(other.a, { connectionLimit: 1 });
      await lax.query("SET SESSION sql_mode = ''");
      const other_ = fixture.open({ mysql: lax });
      await expect(other_.put('x'.repeat(11), '1')).rejects.toThrow(SchemaError);
      await expect(other_.put('x', `"${'x'.repeat(300)}"`)).rejects.toThrow(SchemaError);
      expect(await query(other.a, 'SELECT * FROM configs')).toEqual([]);
      await lax.end();
      await one.close();
      await other.drop();
    });

    test('with names of its own', async () => {
      const other = await createDatabase(flavor);
      await query(other.a, 'ALTER TABLE configs RENAME COLUMN config_value TO `the ``value`');
      const one = fixture.open({ mysql: other.a, names: { valueColumn: 'the `value' } });
      await one.put('a', '1');
      await one.put('a', '2');
      expect(await query(other.a, 'SELECT * FROM configs')).toMatchObject([{ 'the `value': '2' }]);
      await one.close();
      await other.drop();
    });
  });

  describe('a server that does not answer', () => {
    test('nobody listens there: unavailable, at once, and the URL is not told', async () => {
      const one = fixture.open({ mysql: 'mysql://app:hunter2@127.0.0.1:1/app' });
      const error: unknown = await one.put('a', '1').catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UnavailableError);
      expect(String(error)).not.toContain('hunter2');
    });

    test('a wrong password: access denied', async () => {
      const url = new URL(fixture.database.a);
      url.password = 'hunter2';
      const error: unknown = await fixture
        .open({ mysql: url.href })
        .head()
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(AccessDeniedError);
      expect(String(error)).not.toContain('hunter2');
    });

    test('a row that another transaction keeps: unavailable within its time', async () => {
      await fixture.writer.put('a', '1');
      const one = fixture.open({ timeoutMs: 300 });
      await connected(fixture.database.a, async (them) => {
        await them.beginTransaction();
        await them.query("SELECT * FROM configs WHERE config_key = 'a' FOR UPDATE");
        await expect(one.put('a', '2')).rejects.toThrow(UnavailableError);
        await them.rollback();
      });
      expect(await fixture.stored()).toEqual({ a: '1' });
    });

    test('a pool that was passed in stays open', async () => {
      const pool = openPool(fixture.database.a, { connectionLimit: 1 });
      const one = new Writer({ mysql: pool });
      await one.put('a', '1');
      await one.close();
      await pool.query('SELECT 1');
      await pool.end();
    });
  });

  async function createUpdateTrigger(): Promise<void> {
    await fixture.run(`CREATE TRIGGER configs_tidemark_update BEFORE UPDATE ON configs FOR EACH ROW
      BEGIN
        UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;
        INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
        VALUES (LAST_INSERT_ID(), 'configs', NEW.config_key, 'update', UTC_TIMESTAMP(6));
        SET NEW.version = LAST_INSERT_ID();
      END`);
  }
});
