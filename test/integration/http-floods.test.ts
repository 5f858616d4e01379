/** Floods of reads on a real MySQL-B: what reaches it, and what is held in memory meanwhile. */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { NotFreshError, UnavailableError, Writer } from '../../src/index.js';
import { portOf } from '../http/fuzz-run.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { type HttpApps, startHttpApps } from '../support/http-apps.js';
import { metricOf, startReader } from '../support/readers.js';
import { until } from '../support/until.js';

describe.each(flavors)('floods, on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());
  beforeEach(async () => {
    await query(db.a, "REPLACE INTO configs (config_key, config_value) VALUES ('hot', '1')");
    await db.caughtUp();
  });

  /** Statements that MySQL-B has executed, of all its clients: the tests run one at a time. */
  async function executed(): Promise<number> {
    const [row] = await query(db.b, "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'");
    return Number(row?.Value);
  }

  async function connections(): Promise<number> {
    const [row] = await query(
      db.b,
      'SELECT COUNT(*) - 1 AS n FROM information_schema.processlist WHERE db = ?',
      [db.name],
    );
    return Number(row?.n);
  }

  test.each(['hot', 'absent'])('10,000 reads of the one key %s are one statement', async (key) => {
    const reader = await startReader(db, { pollIntervalMs: 60_000, earlyWake: 'off' });
    await until('a ready reader', () => reader.ready);
    const before = await executed();
    const readings = await Promise.all(Array.from({ length: 10_000 }, () => reader.get(key)));
    expect(new Set(readings.map(({ found }) => found))).toEqual(new Set([key === 'hot']));
    expect((await executed()) - before).toBeLessThanOrEqual(1);
  });

  test('20,000 misses at once: bounded in memory and on MySQL-B, and the polls go on', async () => {
    const reader = await startReader(db, {
      negativeMaxEntries: 500,
      mysqlConnections: 4,
      readTimeoutMs: 1_000,
      pollIntervalMs: 20,
      earlyWake: 'off', // a connection of its own, and statements of its own
    });
    const writer = new Writer({ mysql: db.writer });
    onTestFinished(() => writer.close());
    await writer.head(); // connected before the flood
    const before = await executed();
    const startMs = performance.now();
    const flood = Array.from({ length: 20_000 }, (_, index) => reader.get(`absent-${index}`));
    const settling = Promise.allSettled(flood);
    let inFlight = 0;
    let isSettled = false;
    const watching = (async () => {
      while (!isSettled) {
        inFlight = Math.max(inFlight, reader.status().local.fillsInFlight);
        await new Promise(setImmediate);
      }
    })();
    // A change that comes meanwhile is taken in all the same.
    const { version } = await writer.put('hot', '2');
    const most = await until('the change', async () => {
      const count = await connections();
      return reader.status().applied >= version && count;
    });
    expect(most).toBeLessThanOrEqual(4);
    const outcomes = await settling;
    const ms = Math.round(performance.now() - startMs);
    isSettled = true;
    await watching;
    expect(inFlight).toBeGreaterThan(1_000);
    expect(inFlight).toBeLessThanOrEqual(10_000);
    const failures = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(failures.filter((reason) => !(reason instanceof UnavailableError))).toEqual([]);
    expect(failures.length).toBeGreaterThanOrEqual(10_000);
    expect(await metricOf(reader, 'tidemark_refused_loads_total')).toBeGreaterThanOrEqual(10_000);
    await until('no loads', () => reader.status().local.fillsInFlight === 0);
    expect(reader.status().local.absences).toBeLessThanOrEqual(500);
    const statements = (await executed()) - before;
    console.log(`${failures.length} of 20,000 refused in ${ms} ms, ${statements} statements`);
    // 64 keys a statement, and a poll each 20 ms.
    const polls = (performance.now() - startMs) / 20;
    expect(statements).toBeLessThanOrEqual(20_000 / 64 + polls + 20);
    expect((await reader.get('hot')).json()).toBe(2);
  });

  test('20,000 misses of 500 keys: 64 of them a statement, and none while they are held', async () => {
    const reader = await startReader(db, {
      negativeMaxEntries: 500,
      pollIntervalMs: 60_000,
      earlyWake: 'off',
    });
    await until('a ready reader', () => reader.ready);
    const flood = () =>
      Promise.all(Array.from({ length: 20_000 }, (_, index) => reader.get(`gone-${index % 500}`)));
    const before = await executed();
    await flood();
    const afterFirst = await executed();
    expect(afterFirst - before).toBeGreaterThan(0);
    expect(afterFirst - before).toBeLessThanOrEqual(Math.ceil(500 / 64));
    expect(reader.status().local.absences).toBe(500);
    const tiers = new Set((await flood()).map(({ tier }) => tier));
    expect(tiers).toEqual(new Set(['local']));
    expect(await executed()).toBe(afterFirst);
  });

  test('10,000 that wait for a version cost no more polls than one, and one more is told', async () => {
    const reader = await startReader(db, {
      pollIntervalMs: 100,
      readTimeoutMs: 2_000,
      earlyWake: 'off',
    });
    await until('a ready reader', () => reader.ready);
    const before = await executed();
    const startMs = performance.now();
    const minVersion = Number.MAX_SAFE_INTEGER;
    const flood = Array.from({ length: 10_000 }, () => reader.get('hot', { minVersion }));
    const settling = Promise.allSettled(flood);
    await expect(reader.get('hot', { minVersion })).rejects.toThrow(UnavailableError);
    expect((await reader.get('hot')).found).toBe(true); // who demands nothing does not wait
    const outcomes = await settling;
    const reasons = outcomes.map((one) => (one.status === 'rejected' ? one.reason : 'an answer'));
    expect(reasons.filter((reason) => !(reason instanceof NotFreshError))).toEqual([]);
    const polls = (await executed()) - before;
    const seconds = (performance.now() - startMs) / 1_000;
    console.log(`${polls} statements in ${seconds.toFixed(1)} s while 10,000 waited`);
    expect(polls).toBeLessThan(20 + seconds * 12); // 10 a second, and the quick ones at first
  });

  test('over HTTP: 503 for what is too much, with when to come again; health answers', async () => {
    const apps: HttpApps = await startHttpApps(db, { reader: { readTimeoutMs: 3_000 } });
    try {
      const url = `http://127.0.0.1:${portOf(apps.reading)}`;
      const minVersion = Number.MAX_SAFE_INTEGER;
      const settling = Promise.allSettled(
        Array.from({ length: 10_000 }, () => apps.reader.get('hot', { minVersion })),
      );
      const headers = { 'tidemark-min-version': String(minVersion) };
      const refused = await fetch(`${url}/v1/configs/hot`, { headers });
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await refused.json()).toMatchObject({ code: 'unavailable' });
      expect((await fetch(`${url}/health/ready`)).status).toBe(200);
      expect((await fetch(`${url}/v1/configs/hot`)).status).toBe(200);
      await settling;
    } finally {
      await apps.close();
    }
  });
});
