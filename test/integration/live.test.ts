/** Watches, long polls and hints on real servers, with real replication. */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { HintSender, UnavailableError, type Watch, Writer } from '../../src/index.js';
import { portOf } from '../http/fuzz-run.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { Events } from '../support/events.js';
import { type HttpAppsOptions, startHttpApps } from '../support/http-apps.js';
import { headOf, metricOf, startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

/** Only a hint makes such a reader look. */
const ASLEEP = { pollIntervalMs: 60_000, earlyWake: 'off' } as const;

describe.each(flavors)('following the log, on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  function writer(): Writer {
    const opened = new Writer({ mysql: db.writer });
    onTestFinished(() => opened.close());
    return opened;
  }

  /** So many changes of `<prefix>/0`, `<prefix>/1` ..., in a few transactions. */
  async function fill(prefix: string, count: number): Promise<void> {
    for (let start = 0; start < count; start += 200) {
      const keys = Array.from({ length: Math.min(200, count - start) }, (_, i) => start + i);
      const rows = keys.map((index) => `('${prefix}/${index}', '1')`).join();
      await query(db.a, `REPLACE INTO configs (config_key, config_value) VALUES ${rows}`);
    }
    await db.caughtUp();
  }

  /** What the log holds after a version, as `<version> <key>`. */
  async function logAfter(version: number, prefix = ''): Promise<string[]> {
    const rows = await query(
      db.b,
      'SELECT version, row_key FROM config_changes WHERE version > ? ORDER BY version',
      [version],
    );
    return rows
      .filter((row) => row.row_key.startsWith(prefix))
      .map((row) => `${row.version} ${row.row_key}`);
  }

  async function take(watch: Watch, count: number): Promise<string[]> {
    const changes: string[] = [];
    for (let event = await watch.next(); !event.done; event = await watch.next()) {
      const { value } = event;
      changes.push(value.kind === 'change' ? `${value.version} ${value.key}` : value.reason);
      if (changes.length === count) break;
    }
    return changes;
  }

  async function served(options?: HttpAppsOptions) {
    const apps = await startHttpApps(db, options);
    onTestFinished(() => apps.close());
    const url = (name: 'reading' | 'writing') => `http://127.0.0.1:${portOf(apps[name])}`;
    return { ...apps, reads: url('reading'), writes: url('writing') };
  }

  test('a watch has all changes of all writers in the order of the log, and none that a read does not see', async () => {
    const reader = await startReader(db, { pageSize: 7 });
    const start = await taken(db.a, [reader]);
    const watch = reader.watch('w/');
    const [one, other] = [writer(), writer()];
    const writing = Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        await one.put(`w/${index % 5}`, String(index));
        await other.batch({ put: { [`w/x${index}`]: 'null', out: '1' }, delete: [`w/${index}`] });
      }),
    );
    const seen: string[] = [];
    const last = writing.then(() => one.put('w/last', '1'));
    for await (const event of watch) {
      if (event.kind === 'reset') throw new Error(`Expected no reset, got ${event.reason}`);
      expect((await reader.get(event.key)).asOf).toBeGreaterThanOrEqual(event.version);
      seen.push(`${event.version} ${event.key}`);
      if (event.key === 'w/last') break;
    }
    await last;
    expect(seen).toEqual(await logAfter(start, 'w/'));
    expect(seen.length).toBeGreaterThan(120);
    expect(await metricOf(reader, 'tidemark_watchers')).toBe(0);
  });

  test('one that resumes has neither gap nor duplicate, while others write', async () => {
    await fill('r', 1_300);
    const start = (await headOf(db.a)) - 1_250;
    const reader = await startReader(db);
    const one = writer();
    let isOver = false;
    const writing = (async () => {
      for (let index = 0; !isOver; index += 1) await one.put(`r/${index % 3}`, String(index));
    })();
    // Ended again and again, at any place, and resumed where it was.
    const seen: string[] = [];
    let after: string | number = start;
    for (const count of [1, 499, 500, 3, 200, 100, 1, 20, 5]) {
      const watch = reader.watch('r/', { after });
      seen.push(...(await take(watch, count)));
      after = watch.id;
      await watch.return();
    }
    isOver = true;
    await writing;
    await db.caughtUp();
    expect(seen).toHaveLength(1_329);
    expect(seen).toEqual((await logAfter(start, 'r/')).slice(0, seen.length));
  });

  test('one that was pruned past is reset; so is one of another history, and goes on from there', async () => {
    await fill('p', 10);
    const reader = await startReader(db);
    const head = await taken(db.a, [reader]);
    const { id } = reader.watch('p/');
    await query(db.a, 'DELETE FROM config_changes WHERE version < ?', [head]);
    await db.caughtUp();
    expect(await take(reader.watch('', { after: head - 5 }), 1)).toEqual(['pruned']);
    const watch = reader.watch('p/', { after: id }); // the newest one, which is still there
    await fill('p', 1);
    const [change = ''] = await take(watch, 1);
    expect(change).toBe((await logAfter(head))[0]);

    // Another history has other rows at the same versions. The reader's own position is in it.
    const other = await startReader(db);
    const live = other.watch('');
    const resumable = live.id;
    await query(
      db.a,
      'UPDATE config_changes SET changed_at = changed_at + INTERVAL 1 SECOND WHERE version > ?',
      [head],
    );
    expect(await take(live, 1)).toEqual(['diverged']);
    expect(await take(other.watch('', { after: resumable }), 1)).toEqual(['diverged']);
    expect(await metricOf(other, 'tidemark_watch_resets_total', 'diverged')).toBe(2);
    await fill('p', 1);
    expect((await take(live, 1))[0]).toContain(' p/0');
  });

  test('over HTTP: events as they come, resumed by Last-Event-ID on another read app', async () => {
    const [one, other] = [await served(), await served()];
    const watch = await Events.open(`${one.reads}/v1/watch?prefix=h/`);
    onTestFinished(() => watch.close());
    const versions: number[] = [];
    for (const value of ['1', '2', '3']) {
      versions.push((await one.writer.put('h/a', value)).version);
    }
    expect(await watch.take(2)).toEqual(versions.slice(0, 2).map((version) => `${version} h/a`));
    watch.close();
    await until('no watcher', async () => !(await metricOf(one.reader, 'tidemark_watchers')));
    versions.push((await one.writer.delete('h/a')).version);
    const resumed = await Events.open(`${other.reads}/v1/watch?prefix=h/`, {
      'last-event-id': watch.lastId,
    });
    onTestFinished(() => resumed.close());
    expect(await resumed.take(2)).toEqual(versions.slice(2).map((version) => `${version} h/a`));
  });

  test('over HTTP: a long poll is answered by the change it waits for', async () => {
    const { reads, writer: put, reader } = await served();
    const waiters = () => metricOf(reader, 'tidemark_waiters');
    const url = `${reads}/v1/configs/l/a?wait=60s`;
    const coming = fetch(url);
    await until('a waiter', waiters);
    await put.put('l/b', '1');
    await put.put('l/a', '1');
    const first = await coming;
    expect([first.status, await first.text()]).toEqual([200, '1']);
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' };
    const changing = fetch(url, { headers });
    await until('a waiter', waiters);
    await put.put('l/a', '2');
    const second = await changing;
    expect([second.status, await second.text()]).toEqual([200, '2']);
    const going = fetch(url, { headers: { 'if-none-match': second.headers.get('etag') ?? '' } });
    await until('a waiter', waiters);
    await put.delete('l/a');
    expect((await going).status).toBe(404);
    expect(await waiters()).toBe(0);
  });

  test('a hint makes a reader that hardly polls see a change, also before it has come to MySQL-B', async () => {
    const { reads, reader, writer: put } = await served({ reader: ASLEEP });
    const hint = (version: number) =>
      fetch(`${reads}/v1/hint`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ version }),
      });
    await reader.get('hinted');
    const { version } = await put.put('hinted', '1');
    await db.caughtUp();
    expect((await reader.get('hinted')).found).toBe(false); // it polls once a minute
    expect(await (await hint(version)).json()).toEqual({ outcome: 'followed' });
    await until('the value', async () => (await reader.get('hinted')).json() === 1);
    // Whoever hints first and writes then is a write whose replication takes its time.
    expect((await hint(version + 1)).status).toBe(202);
    await until('a poll in vain', async () => (await metricOf(reader, 'tidemark_polls_total')) > 4);
    await put.put('hinted', '2');
    await until('the value', async () => (await reader.get('hinted')).json() === 2);
    expect(await (await hint(version)).json()).toEqual({ outcome: 'known' });
    expect(await metricOf(reader, 'tidemark_hints_total', 'followed')).toBe(2);
  });

  test('a write app hints one reader, and Redis tells the others', async () => {
    const options = { ...ASLEEP, redisHints: 'on' } as const;
    const apps = await served({ tokens: ['secret'], reader: options });
    const others = [await startReader(db, options), await startReader(db, options)];
    const deaf = await startReader(db, { ...options, redisHints: 'off' });
    const all = [apps.reader, ...others];
    await Promise.all([...all, deaf].map((reader) => reader.get('told')));
    const hints = new HintSender({ urls: [apps.reads], tokens: ['secret'] });
    const hinting = new Writer({ mysql: db.writer, hints });
    onTestFinished(async () => {
      hints.close();
      await hinting.close();
    });
    // Their subscriptions may not be there yet: a lost hint is followed by the next.
    await until('all to know', async () => {
      const { version } = await hinting.put('told', '1');
      await db.caughtUp();
      hints.send(version);
      for (let times = 0; times < 100; times += 1) {
        const know = all.filter((reader) => reader.status().applied >= version);
        if (know.length === all.length) return true;
        await turn();
      }
      return false;
    });
    for (const reader of all) expect((await reader.get('told')).json()).toBe(1);
    expect((await deaf.get('told')).found).toBe(false);
  });

  test('a flood of watches and waits is bounded in memory and in statements', async () => {
    await fill('f', 1_000);
    const head = await headOf(db.a);
    const reader = await startReader(db, { ...ASLEEP, maxWatchers: 2_000 });
    await until('a ready reader', () => reader.ready);
    const executed = async () => {
      const [row] = await query(db.b, "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'");
      return Number(row?.Value);
    };
    const before = await executed();
    const heapBefore = heapBytes();
    const watches = Array.from({ length: 1_000 }, (_, index) =>
      reader.watch(index % 2 === 0 ? 'f/9' : 'none/', { after: head - 900 }),
    );
    watches.push(...Array.from({ length: 1_000 }, () => reader.watch('')));
    expect(() => reader.watch('')).toThrow(UnavailableError);
    const waits = Array.from({ length: 2_000 }, (_, index) =>
      reader.changed(`f/${index % 100}`, { timeoutMs: 60_000 }),
    );
    expect(() => reader.changed('f/1', { timeoutMs: 60_000 })).toThrow(UnavailableError);
    const nexts = watches.map((watch) => watch.next());
    await until('all to be live', async () => {
      const early = await Promise.race([nexts[0], turn(undefined)]);
      return early !== undefined && watches.every((watch, index) => index % 2 === 0 || watch.live);
    });
    expect((await executed()) - before).toBeLessThan(20); // 3 pages of the log, shared by all
    expect((heapBytes() - heapBefore) / 2_000).toBeLessThan(16 * 1024);

    // One change wakes all, and all that then read it ask once.
    const { version } = await writer().put('f/1', '2');
    await db.caughtUp();
    const beforeChange = await executed();
    reader.hint(version);
    await until('the change', () => reader.status().applied >= version);
    await Promise.all(Array.from({ length: 2_000 }, () => reader.get('f/1')));
    expect((await executed()) - beforeChange).toBeLessThan(30); // polls, and one read
    expect(await nexts[1_500]).toMatchObject({ value: { version, key: 'f/1' } });
    await reader.stop();
    const outcomes = await Promise.all(waits);
    expect(outcomes.filter((changed) => changed)).toHaveLength(20);
    const last = await Promise.all(watches.map((watch) => watch.next()));
    expect(last.every(({ done }) => done)).toBe(true);
  });
});

/** After a full collection of garbage. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
