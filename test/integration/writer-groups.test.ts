/**
 * Writes that share transactions: each keeps its own outcome, and one that must wait does not keep
 * the others waiting. What is called in one turn of the event loop goes into one group.
 */
import { describe, expect, test } from 'vitest';
import { Document } from '../../src/core/document.js';
import { DEFAULT_TABLE } from '../../src/core/table.js';
import {
  NotRunningError,
  PreconditionFailedError,
  SchemaError,
  UnavailableError,
  ValueTooLargeError,
} from '../../src/errors.js';
import { TrackedRows } from '../../src/mysql/tracked-rows.js';
import { Committer } from '../../src/writer/committer.js';
import { PendingWrite } from '../../src/writer/pending-write.js';
import { KeyCollisionError } from '../../src/writer/write-errors.js';
import { planPut } from '../../src/writer/write-plan.js';
import type { Writer } from '../../src/writer/writer.js';
import { createDatabase, flavors, query } from '../support/data-centers.js';
import { until } from '../support/until.js';
import { WriterFixture } from '../support/writer-fixture.js';

const LOCK_HEAD = 'SELECT head FROM config_stream WHERE id = 1 FOR UPDATE';

describe.each(flavors)('groups of writes on %s', (flavor) => {
  const fixture = new WriterFixture(flavor);
  const head = async () => Number((await fixture.run('SELECT head FROM config_stream'))[0]?.head);

  /** Groups that were committed, and the writes in them. */
  async function groups(of: Writer): Promise<{ count: number; writes: number }> {
    const [metric] = (await of.metrics.getMetricsAsJSON()).filter(
      ({ name }) => name === 'tidemark_write_group_size',
    );
    const values = (metric?.values ?? []) as { metricName?: string; value: number }[];
    const of_ = (end: string) => values.find((one) => one.metricName?.endsWith(end))?.value ?? 0;
    return { count: of_('_count'), writes: of_('_sum') };
  }

  async function queueLength(of: Writer): Promise<number> {
    const metrics = await of.metrics.getMetricsAsJSON();
    const gauge = metrics.find(({ name }) => name === 'tidemark_write_queue_length');
    return gauge?.values[0]?.value ?? 0;
  }

  const isPending = async (promise: Promise<unknown>) => {
    const nothing = Symbol();
    const first = await Promise.race([promise.catch(() => {}), Promise.resolve(nothing)]);
    return first === nothing;
  };

  describe('each its own outcome', () => {
    test('writes of one moment share a transaction, each with its own version', async () => {
      const { writer } = fixture;
      await writer.batch({ put: { k1: 'true', k3: 'true', k5: 'true' } });
      const [before, already] = [await head(), await groups(writer)];
      const keys = Array.from({ length: 12 }, (_, index) => `k${index}`);
      const results = await Promise.all([
        ...keys.map((key, index) => writer.put(key, `"${'é'.repeat(index)}"`)),
      ]);
      const after = await groups(writer);
      expect(after).toEqual({ count: already.count + 1, writes: already.writes + 12 });
      const rows = await fixture.run('SELECT config_key, version FROM configs');
      const stored = Object.fromEntries(rows.map((row) => [row.config_key, row.version]));
      for (const { key, version, etag, created } of results) {
        expect(version).toBe(stored[key]);
        expect(etag).toMatch(new RegExp(`^"${version}-`));
        expect(created).toBe(!['k1', 'k3', 'k5'].includes(key));
        await writer.put(key, '0', { ifMatch: etag });
      }
      const versions = results.map(({ version }) => version).sort((one, other) => one - other);
      expect(versions).toEqual(keys.map((_, index) => before + 1 + index));
    });

    test('deletes have the version that the log has for them', async () => {
      const { writer } = fixture;
      await writer.batch({ put: { a: '1', b: '1', c: '1' } });
      const before = await head();
      const [b, a, never, put] = await Promise.all([
        writer.delete('b'),
        writer.delete('a'),
        writer.delete('never'),
        writer.put('c', '2'),
      ]);
      const log = await fixture.run(
        'SELECT row_key, version FROM config_changes WHERE version > ?',
        [before],
      );
      const logged = Object.fromEntries(log.map((row) => [row.row_key, row.version]));
      expect(logged).toEqual({ a: a.version, b: b.version, c: put.version });
      expect([a.deleted, b.deleted]).toEqual([true, true]);
      expect(never).toEqual({ key: 'never', version: before, deleted: false });
    });

    test('a condition that does not hold fails only its own write', async () => {
      const { writer } = fixture;
      const { etag } = await writer.put('a', '1');
      await writer.put('a', '2');
      const before = await head();
      const settled = await Promise.allSettled([
        writer.put('b', '1'),
        writer.put('a', '3', { ifMatch: etag }),
        writer.delete('none', { ifMatch: '*' }),
        writer.put('c', '1', { ifAbsent: true }),
      ]);
      expect(settled.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'rejected',
        'fulfilled',
      ]);
      for (const one of [settled[1], settled[2]]) {
        expect(one).toMatchObject({ reason: expect.any(PreconditionFailedError) });
      }
      expect(await fixture.stored()).toEqual({ a: '2', b: '1', c: '1' });
      expect(await head()).toBe(before + 2);
    });

    test('what the server refuses fails alone, and leaves no gap in the log', async () => {
      const other = await createDatabase(flavor);
      await query(
        other.a,
        `ALTER TABLE configs MODIFY config_value TEXT NOT NULL, MODIFY config_key VARCHAR(255)
         CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL`,
      );
      await query(
        other.a,
        `CREATE TRIGGER refuse AFTER INSERT ON configs FOR EACH ROW
         IF NEW.config_value = '"refuse"' THEN SIGNAL SQLSTATE '45000'; END IF`,
      );
      const one = fixture.open({ mysql: other.a });
      await one.put('there', '1');
      const before = (await query(other.a, 'SELECT head FROM config_stream'))[0]?.head;
      const settled = await Promise.allSettled([
        one.put('a', '1'),
        one.put('b', `"${'x'.repeat(70_000)}"`),
        one.put('c', '1'),
        one.put('THERE', '2'),
        one.put('there', '2'),
        one.put('d', '"refuse"'),
        one.batch({ put: { e: '1', f: '"refuse"' } }),
        one.batch({ put: { g: '1', h: '1' } }),
        one.put('i', '1'),
      ]);
      const errors = settled.map((each) => (each.status === 'rejected' ? each.reason : undefined));
      expect(errors).toEqual([
        undefined,
        expect.any(ValueTooLargeError),
        undefined,
        expect.any(KeyCollisionError),
        undefined,
        expect.any(UnavailableError),
        expect.any(UnavailableError),
        undefined,
        undefined,
      ]);
      const rows = await query(other.a, 'SELECT config_key AS k, config_value AS v FROM configs');
      expect(Object.fromEntries(rows.map(({ k, v }) => [k, v]))).toEqual({
        there: '2',
        ...{ a: '1', c: '1', g: '1', h: '1', i: '1' },
      });
      const [log] = await query(
        other.a,
        'SELECT COUNT(*) AS n, MAX(version) AS newest, head FROM config_changes, config_stream GROUP BY head',
      );
      expect(log).toEqual({ n: before + 6, newest: before + 6, head: before + 6 });
      await one.close();
      await other.drop();
    });

    test('two new keys that the index takes for one: the first is written', async () => {
      const other = await createDatabase(flavor);
      await query(
        other.a,
        'ALTER TABLE configs MODIFY config_key VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL',
      );
      const one = fixture.open({ mysql: other.a });
      const settled = await Promise.allSettled(
        ['x', 'c', 'C', 'y'].map((key) => one.put(key, '1')),
      );
      expect(settled.map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      expect(settled[2]).toMatchObject({ reason: expect.any(KeyCollisionError) });
      await one.close();
      await other.drop();
    });

    test('without a trigger: all fail, nothing is written', async () => {
      const other = await createDatabase(flavor);
      const one = fixture.open({ mysql: other.a });
      await one.batch({ put: { a: '1', b: '1' } });
      for (const name of ['insert', 'update', 'delete']) {
        await query(other.a, `DROP TRIGGER configs_tidemark_${name}`);
      }
      const writes = [one.put('a', '2'), one.put('c', '2'), one.delete('b')];
      const settled = await Promise.allSettled([...writes, one.batch({ put: { d: '1' } })]);
      for (const each of settled) {
        expect(each).toMatchObject({ reason: expect.any(SchemaError) });
      }
      const rows = await query(other.a, 'SELECT config_key AS k, config_value AS v FROM configs');
      expect(rows).toEqual([
        { k: 'a', v: '1' },
        { k: 'b', v: '1' },
      ]);
      await one.close();
      await other.drop();
    });

    test('large values share a group without making too large a packet', async () => {
      const quotes = '\\"'.repeat(400_000);
      const values = Array.from({ length: 24 }, (_, n) => `"${quotes}${n}"`);
      await Promise.all(values.map((value, n) => fixture.writer.put(`k${n}`, value)));
      await Promise.all(values.map((value, n) => fixture.writer.put(`k${23 - n}`, value)));
      const rows = await fixture.run(
        'SELECT config_key AS k, SHA2(config_value, 256) AS d FROM configs',
      );
      const digests = Object.fromEntries(rows.map(({ k, d }) => [k, d]));
      for (const [n, value] of values.entries()) {
        expect(digests[`k${23 - n}`]).toBe(Document.from(value, 2_000_000).digest);
      }
    });
  });

  describe('order', () => {
    test('writes of one key happen in the order of their calls, each seeing the one before', async () => {
      const { writer } = fixture;
      const [first, second, refused, gone, again] = await Promise.allSettled([
        writer.put('k', '1', { ifAbsent: true }),
        writer.put('k', '2', { ifMatch: '*' }),
        writer.put('k', '3', { ifAbsent: true }),
        writer.delete('k'),
        writer.put('k', '4', { ifAbsent: true }),
        writer.put('other', '1'),
      ]);
      expect(first).toMatchObject({ value: { created: true } });
      expect(second).toMatchObject({ value: { created: false } });
      expect(refused).toMatchObject({ reason: expect.any(PreconditionFailedError) });
      expect(gone).toMatchObject({ value: { deleted: true } });
      expect(again).toMatchObject({ value: { created: true } });
      const versions = [first, second, gone, again].map((one) =>
        one.status === 'fulfilled' ? one.value.version : 0,
      );
      expect(versions).toEqual(versions.toSorted((one, other) => one - other));
      expect(await fixture.stored()).toEqual({ k: '4', other: '1' });
    });

    test('a batch keeps its place among the writes of its keys', async () => {
      const { writer } = fixture;
      await Promise.all([
        writer.put('a', '1'),
        writer.batch({ put: { a: '2', b: '2' } }),
        writer.put('b', '3'),
        writer.put('a', '4'),
        writer.batch({ put: { c: '5' }, delete: ['a'] }),
      ]);
      expect(await fixture.stored()).toEqual({ b: '3', c: '5' });
    });

    test('maxGroupRows of 1 keeps writes apart, and a batch whole', async () => {
      const one = fixture.open({ maxGroupRows: 1 });
      const puts = ['a', 'b', 'c'].map((key) => one.put(key, '1'));
      await Promise.all([...puts, one.batch({ put: { d: '1', e: '1' } })]);
      expect(await groups(one)).toEqual({ count: 4, writes: 4 });
    });
  });

  describe('a row that someone else has locked', () => {
    // A table this small is one that servers like to scan, past the locked row.
    test('makes its own write wait, and no other', async () => {
      const { writer } = fixture;
      await writer.batch({ put: { a: '0', b: '0', c: '0', d: '0' } });
      let first: Promise<unknown> | undefined;
      await fixture.locked("SELECT * FROM configs WHERE config_key = 'a' FOR UPDATE", async () => {
        first = writer.put('a', '1');
        const second = writer.put('a', '2', { ifMatch: '*' });
        const batch = writer.batch({ put: { a: '3', z: '3' } });
        await fixture.untilLockWait();
        await fixture.run(`${LOCK_HEAD} NOWAIT`); // it does not keep the log meanwhile
        for (let round = 0; round < 3; round += 1) {
          await Promise.all([
            writer.put('b', `${round}`),
            writer.put('c', `${round}`),
            writer.delete('d'),
            writer.delete('e'),
            writer.put('f', '1'),
          ]);
          await Promise.all([writer.put('d', '1'), writer.delete('f'), writer.put('e', '1')]);
        }
        for (const one of [first, second, batch]) expect(await isPending(one)).toBe(true);
      });
      await first;
      const last = await writer.put('z', '4', { ifMatch: '*' }); // comes after the batch
      expect(last.created).toBe(false);
      expect(await fixture.stored()).toEqual({
        ...{ a: '3', b: '2', c: '2' },
        ...{ d: '1', e: '1', z: '4' },
      });
    });

    test('so many rows that not all of their writes have a connection: others go on', async () => {
      const { writer } = fixture;
      const keys = Array.from({ length: 9 }, (_, index) => `locked${index}`);
      await writer.batch({ put: Object.fromEntries(keys.map((key) => [key, '0'])) });
      let waiting: Promise<unknown>[] = [];
      await fixture.locked(
        "SELECT * FROM configs WHERE config_key LIKE 'locked%' FOR UPDATE",
        async () => {
          waiting = keys.map((key) => writer.put(key, '1'));
          for (let round = 0; round < 3; round += 1) await writer.put('free', `${round}`);
          for (const one of waiting) expect(await isPending(one)).toBe(true);
          expect(await queueLength(writer)).toBe(5);
        },
      );
      await Promise.all(waiting);
      expect(new Set(Object.values(await fixture.stored()))).toEqual(new Set(['1', '2']));
    });
  });

  describe('back-pressure', () => {
    test('a full queue refuses at once, and the rest is written when the way is free', async () => {
      const writer = fixture.open({ maxQueuedWrites: 3 });
      let writes: Promise<unknown>[] = [];
      await fixture.locked(LOCK_HEAD, async () => {
        writes = [writer.put('a', '1')];
        await until('the first to be under way', async () => (await queueLength(writer)) === 0);
        writes.push(writer.put('b', '1'));
        await until('the second to be under way', async () => (await queueLength(writer)) === 0);
        writes.push(writer.put('c', '1'), writer.put('d', '1'), writer.delete('e'));
        const refused: unknown = await writer.put('f', '1').catch((error: unknown) => error);
        expect(refused).toBeInstanceOf(UnavailableError);
        expect(String(refused)).toContain('queue');
        expect(await queueLength(writer)).toBe(3);
      });
      await Promise.all(writes);
      await writer.put('g', '1');
      expect(Object.keys(await fixture.stored())).toEqual(['a', 'b', 'c', 'd', 'g']);
    });

    test('a queue is bounded in bytes, too, but takes one write of any size', async () => {
      const writer = fixture.open({ maxQueuedBytes: 1_000 });
      const large = `"${'x'.repeat(2_000)}"`;
      const [first, second] = await Promise.allSettled([
        writer.put('a', large),
        writer.put('b', '1'),
      ]);
      expect(first.status).toBe('fulfilled');
      expect(second).toMatchObject({ reason: expect.any(UnavailableError) });
      await writer.put('b', '1');
    });

    test('a write whose time is over leaves the queue, and is never written', async () => {
      const writer = fixture.open({ timeoutMs: 300 });
      await fixture.locked(LOCK_HEAD, async () => {
        const settled = await Promise.allSettled(
          Array.from({ length: 40 }, (_, index) => writer.put(`k${index}`, '1')),
        );
        for (const one of settled) {
          expect(one).toMatchObject({ reason: expect.any(UnavailableError) });
        }
        expect(await queueLength(writer)).toBe(0);
      });
      await writer.put('after', '1');
      expect(Object.keys(await fixture.stored())).toEqual(['after']);
    });

    test('a write whose time is over within its group is taken out before COMMIT', async () => {
      const { pool } = fixture.writer;
      const names = DEFAULT_TABLE;
      const committer = new Committer({
        ...{ pool, names, rows: new TrackedRows(names), session: 'own' },
        ...{ onRetry: () => {}, onCommit: () => {} },
      });
      const short = new PendingWrite(planPut('short', '1', {}, 100), 200);
      const long = new PendingWrite(planPut('long', '1', {}, 100), 10_000);
      let committing: Promise<unknown> | undefined;
      await fixture.locked(LOCK_HEAD, async () => {
        committing = committer.commit([short, long]);
        await expect(short.outcome).rejects.toThrow(UnavailableError);
      });
      await committing;
      expect((await long.outcome).version).toBe(await head());
      expect(await fixture.stored()).toEqual({ long: '1' });
    });

    test('close answers what was taken, and takes no more', async () => {
      const writer = fixture.open();
      const puts = Array.from({ length: 40 }, (_, n) => writer.put(`k${n % 20}`, `${n}`));
      const closing = writer.close();
      await expect(writer.put('late', '1')).rejects.toThrow(NotRunningError);
      await Promise.all([...puts, closing]);
      expect(Object.keys(await fixture.stored())).toHaveLength(20);
      await expect(writer.put('later', '1')).rejects.toThrow(NotRunningError);
    });
  });
});
