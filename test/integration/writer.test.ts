/**
 * The writer against real servers, beside plain SQL that knows nothing of it.
 */
import { describe, expect, test } from 'vitest';
import {
  InvalidKeyError,
  InvalidOptionsError,
  PreconditionFailedError,
  ValueTooLargeError,
} from '../../src/errors.js';
import { openPool } from '../../src/mysql/pool.js';
import { InvalidBatchError } from '../../src/writer/write-errors.js';
import type { Batch } from '../../src/writer/write-plan.js';
import type { Writer } from '../../src/writer/writer.js';
import { connected, flavors } from '../support/data-centers.js';
import { WriterFixture } from '../support/writer-fixture.js';

describe.each(flavors)('the writer on %s', (flavor) => {
  const fixture = new WriterFixture(flavor);
  async function head(): Promise<number> {
    return Number((await fixture.run('SELECT head FROM config_stream'))[0]?.head);
  }

  /** How many transactions were tried again, by the code of the fault. */
  async function retries(of: Writer = fixture.writer): Promise<Record<string, number>> {
    const metric = await of.metrics.getSingleMetric('tidemark_write_retries_total')?.get();
    const values = metric?.values ?? [];
    return Object.fromEntries(values.map(({ labels, value }) => [labels.reason, value]));
  }

  describe('one write', () => {
    test('answers the version and the tag under which the row and the log have it', async () => {
      const before = await head();
      const created = await fixture.writer.put('a', '{ "x": 1.0 }');
      expect(created).toMatchObject({ key: 'a', version: before + 1, created: true });
      const replaced = await fixture.writer.put('a', Buffer.from('[]'));
      expect(replaced).toMatchObject({ version: before + 2, created: false });
      expect(replaced.etag).not.toBe(created.etag);
      const [row] = await fixture.run(
        'SELECT version, config_value FROM configs WHERE config_key = ?',
        ['a'],
      );
      expect(row).toEqual({ version: before + 2, config_value: '[]' });
      const deleted = await fixture.writer.delete('a');
      expect(deleted).toEqual({ key: 'a', version: before + 3, deleted: true });
      expect(await fixture.writer.delete('a')).toEqual({
        key: 'a',
        version: before + 3,
        deleted: false,
      });
      expect(await head()).toBe(before + 3);
    });

    test.each([
      'null',
      '0',
      '""',
      '[]',
      '{"n":12345678901234567890}',
      ' {"a" : 1e400,\r\n\t"\u{1F9ED}é":"\\u00e9\\\\\' \\" ? $x"} ',
    ])('stores %s byte for byte', async (value) => {
      await fixture.writer.put('v', value);
      const [row] = await fixture.run('SELECT HEX(config_value) AS hex FROM configs');
      expect(row?.hex).toBe(Buffer.from(value).toString('hex').toUpperCase());
    });

    test('a write of the very same value is a change too', async () => {
      const { version } = await fixture.writer.put('a', '1');
      expect((await fixture.writer.put('a', '1')).version).toBe(version + 1);
    });

    test.each([
      ['a', 'A', 'a ', 'á', 'a/b', 'a%2Fb', '__proto__', 'constructor', "'; --", '\\', '`'],
      ['E', 'é', '\u{1F9ED}', '\u{1F9ED}'.repeat(255), 'x'.repeat(255), ' ', '?', '%', '_'],
    ])('keeps keys apart that look alike: %s ...', async (...keys) => {
      for (const [index, key] of keys.entries()) await fixture.writer.put(key, String(index));
      expect(await fixture.stored()).toEqual(
        Object.fromEntries(keys.map((key, index) => [key, String(index)])),
      );
      for (const key of keys) await fixture.writer.delete(key);
      expect(await fixture.stored()).toEqual({});
    });

    test('refuses what cannot be stored, and writes nothing', async () => {
      const before = await head();
      await expect(fixture.writer.put('', '1')).rejects.toThrow(InvalidKeyError);
      await expect(fixture.writer.put('x'.repeat(256), '1')).rejects.toThrow(InvalidKeyError);
      await expect(fixture.writer.put('a', '{')).rejects.toMatchObject({ code: 'invalid_value' });
      await expect(fixture.writer.put('a', `"${'x'.repeat(1_048_576)}"`)).rejects.toThrow(
        ValueTooLargeError,
      );
      await expect(fixture.writer.put('a', '1', { ifVersion: 1.5 })).rejects.toThrow(
        InvalidOptionsError,
      );
      expect(await head()).toBe(before);
    });

    test('stores a value of exactly the limit', async () => {
      await fixture.writer.put('a', `"${'x'.repeat(1_048_574)}"`);
      expect(
        (await fixture.run('SELECT LENGTH(config_value) AS bytes FROM configs'))[0]?.bytes,
      ).toBe(1_048_576);
    });
  });

  describe('a condition', () => {
    test('lets a write through when it holds, and nothing when it does not', async () => {
      const { etag, version } = await fixture.writer.put('a', '1');
      await fixture.writer.put('a', '2', { ifVersion: version });
      const refused = [
        () => fixture.writer.put('a', '3', { ifVersion: version }),
        () => fixture.writer.put('a', '3', { ifMatch: etag }),
        () => fixture.writer.put('a', '3', { ifAbsent: true }),
        () => fixture.writer.put('b', '3', { ifMatch: '*' }),
        () => fixture.writer.put('b', '3', { ifVersion: 0 }),
        () => fixture.writer.delete('a', { ifMatch: etag }),
        () => fixture.writer.delete('b', { ifMatch: '*' }),
      ];
      for (const write of refused) await expect(write()).rejects.toThrow(PreconditionFailedError);
      expect(await fixture.stored()).toEqual({ a: '2' });
      await fixture.writer.put('b', '3', { ifAbsent: true });
      await fixture.writer.put('a', '4', { ifMatch: '*' });
      await fixture.writer.delete('a', { ifVersion: await head() });
      expect(await fixture.stored()).toEqual({ b: '3' });
    });

    test('an entity tag covers the value too: a rewritten history does not match', async () => {
      const { etag, version } = await fixture.writer.put('a', '1');
      await fixture.run('DROP TRIGGER configs_tidemark_update');
      await fixture.run("UPDATE configs SET config_value = '2'");
      await createUpdateTrigger();
      expect((await fixture.run('SELECT version FROM configs'))[0]?.version).toBe(version);
      await expect(fixture.writer.put('a', '3', { ifMatch: etag })).rejects.toThrow(
        PreconditionFailedError,
      );
    });

    test('of many that race, exactly one wins', async () => {
      const { etag } = await fixture.writer.put('a', '0');
      const replace = (n: number) => fixture.writer.put('a', String(n), { ifMatch: etag });
      const create = (n: number) => fixture.writer.put('new', String(n), { ifAbsent: true });
      for (const write of [replace, create]) {
        const settled = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => write(n)));
        const lost = settled.filter(({ status }) => status === 'rejected');
        expect(lost).toHaveLength(19);
        for (const one of lost) {
          expect(one).toMatchObject({ reason: { code: 'precondition_failed' } });
        }
      }
    });
  });

  describe('a batch', () => {
    test('is in the log as a whole, and answers its last version', async () => {
      await fixture.writer.put('gone', '1');
      const before = await head();
      const put = new Map([
        ['a', '1'],
        ['__proto__', '2'],
      ]);
      expect(await fixture.writer.batch({ put, delete: ['gone', 'never'] })).toEqual({
        version: before + 3,
      });
      expect(await fixture.stored()).toEqual(Object.fromEntries(put));
      expect(await fixture.writer.batch({ put: { a: '3' } })).toEqual({ version: before + 4 });
      expect(await fixture.writer.batch({ delete: ['never'] })).toEqual({ version: before + 4 });
    });

    test('is nothing at all when one of its writes is refused', async () => {
      await fixture.writer.put('a', '1');
      const before = await head();
      await fixture.run(
        "CREATE TRIGGER refuse AFTER INSERT ON configs FOR EACH ROW IF NEW.config_key = 'z' THEN SIGNAL SQLSTATE '45000'; END IF",
      );
      try {
        await expect(fixture.writer.batch({ put: { a: '2', b: '3', z: '4' } })).rejects.toThrow();
      } finally {
        await fixture.run('DROP TRIGGER refuse');
      }
      expect([await fixture.stored(), await head()]).toEqual([{ a: '1' }, before]);
    });

    test('must say something, and not two things about one key', async () => {
      for (const batch of [
        {},
        { put: {}, delete: [] },
        { put: { a: '1' }, delete: ['a'] },
        { delete: ['a', 'a'] },
      ] as Batch[]) {
        await expect(fixture.writer.batch(batch)).rejects.toThrow(InvalidBatchError);
      }
      await expect(fixture.writer.batch({ put: { '': '1' } })).rejects.toThrow(InvalidKeyError);
    });

    test('takes 1,000 new keys, and replaces them', async () => {
      const put = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`k/${n}`, `${n}`]));
      const { version } = await fixture.writer.batch({ put });
      expect(await fixture.writer.batch({ put })).toEqual({ version: version + 1000 });
      expect(Object.keys(await fixture.stored())).toHaveLength(1000);
    });
  });

  describe('beside other writes', () => {
    test('writers and one-row statements of plain SQL never deadlock each other', async () => {
      const keys = ['k0', 'k1', 'k2'] as const;
      await fixture.writer.batch({ put: { k0: '0', k1: '0', k2: '0' } });
      const before = await head();
      const sql = openPool(fixture.database.a, { connectionLimit: 8 });
      const rounds = Array.from({ length: 25 }, (_, index) => index);
      const key = (n: number) => keys[n % 3] ?? 'k0';
      const each = (write: (n: number) => Promise<unknown>) => async () => {
        for (const n of rounds) await write(n);
      };
      const update = 'UPDATE configs SET config_value = ? WHERE config_key = ?';
      const jobs = [
        ...Array(8).fill(each((n) => sql.execute(update, [String(n), key(n)]))),
        ...Array(8).fill(each((n) => fixture.writer.put(key(n), String(n)))),
        ...Array(2).fill(each(() => fixture.writer.batch({ put: { k2: '2', k0: '0', k1: '1' } }))),
        ...Array(2).fill(each(() => fixture.writer.batch({ put: { k1: '1', k0: '0', k2: '2' } }))),
      ];
      try {
        await Promise.all(jobs.map((job) => job()));
      } finally {
        await sql.end();
      }
      expect(await retries()).toEqual({});
      expect(await head()).toBe(before + 25 * (8 + 8 + 4 * 3));
    });

    test('batches that create and delete the same keys all succeed', async () => {
      const jobs = Array.from({ length: 8 }, async (_, job) => {
        for (let round = 0; round < 10; round += 1) {
          const [one, other] = job % 2 === 0 ? ['x', 'y'] : ['y', 'x'];
          await fixture.writer.batch({ put: { [one]: `${job}`, z: '1' }, delete: [other] });
        }
      });
      await Promise.all(jobs);
      const [log] = await fixture.run(
        'SELECT COUNT(*) AS rows_, MAX(version) AS newest FROM config_changes',
      );
      expect(log?.rows_).toBe(log?.newest);
    });

    // them:   update a (locks a, then the head) ...................... update b, commit
    // us:     ................................... lock the head: waits, and holds nothing
    test('a larger transaction of plain SQL does not deadlock with a group', async () => {
      await fixture.writer.batch({ put: { a: '0', b: '0' } });
      await connected(fixture.database.a, async (them) => {
        await them.beginTransaction();
        await them.query("UPDATE configs SET config_value = '1' WHERE config_key = 'a'");
        const ours = fixture.writer.put('b', '2');
        await untilWaiting();
        await them.query("UPDATE configs SET config_value = '1' WHERE config_key = 'b'");
        await them.commit();
        await ours;
      });
      expect(await retries()).toEqual({});
      expect(await fixture.stored()).toEqual({ a: '1', b: '2' });
    });

    // other:  lock b ............................... rollback
    // us:     ...... in a group: b is locked; alone: wait for b .... lock b, wait for the head
    // them:   .................................. update a (head) ............................ update b
    test('a deadlock of a write that waited for its row is tried again', async () => {
      await fixture.writer.batch({ put: { a: '0', b: '0' } });
      await connected(fixture.database.a, async (other) => {
        await other.beginTransaction();
        await other.query("SELECT * FROM configs WHERE config_key = 'b' FOR UPDATE");
        const ours = fixture.writer.put('b', '2');
        await untilWaiting();
        await connected(fixture.database.a, async (them) => {
          await them.beginTransaction();
          await them.query("UPDATE configs SET config_value = '1' WHERE config_key = 'a'");
          await other.rollback();
          await untilWaiting();
          await them.query("UPDATE configs SET config_value = '1' WHERE config_key = 'b'");
          await them.commit();
        });
        await ours;
      });
      expect(await retries()).toEqual({ ER_LOCK_DEADLOCK: 1 });
      expect(await fixture.stored()).toEqual({ a: '1', b: '2' });
    });

    test('a connection that was killed while idle is no error', async () => {
      const one = fixture.open({ connectionLimit: 1 });
      await one.put('a', '1');
      const [row] = await one.pool
        .query('SELECT CONNECTION_ID() AS id')
        .then(([rows]) => rows as { id: number }[]);
      await fixture.run(`KILL ${row?.id}`);
      await one.put('a', '2');
      expect(await fixture.stored()).toEqual({ a: '2' });
    });

    // MariaDB refreshes innodb_trx only when nobody has looked for 100 ms.
    async function untilWaiting(): Promise<void> {
      await expect
        .poll(
          async () =>
            (
              await fixture.run(
                "SELECT COUNT(*) AS n FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
              )
            )[0]?.n,
          { timeout: 10_000, interval: 150 },
        )
        .toBeGreaterThan(0);
    }
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
