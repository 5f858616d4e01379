import type { Pool } from 'mysql2/promise';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openPool } from '../../src/mysql/pool.js';
import { Maintenance, type MaintenanceOptions } from '../../src/writer/maintenance.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';

const EACH_SECOND = '* * * * * *';
const DAY_S = 86_400;

describe.each(flavors)('maintenance on %s', (flavor) => {
  let database: TestDatabase;
  let pool: Pool;
  const warnings: object[] = [];
  const started: Maintenance[] = [];

  beforeEach(async () => {
    database = await createDatabase(flavor);
    pool = openPool(database.a, { connectionLimit: 4 });
    warnings.length = 0;
  });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((one) => one.stop()));
    await pool.end();
    await database.drop();
  });

  const run = (sql: string, values: (string | number)[] = []) => query(database.a, sql, values);
  const soon = { timeout: 15_000, interval: 50 };

  function start(options: Partial<MaintenanceOptions> = {}): Maintenance {
    const nothing = () => {};
    const warn = (fields: object) => warnings.push(fields);
    const logger = { debug: nothing, info: nothing, warn, error: nothing };
    const one = new Maintenance({ pool, logger, ...options });
    started.push(one);
    one.start();
    one.start();
    return one;
  }

  const beatAgeMs = async () => {
    const sql = 'SELECT TIMESTAMPDIFF(MICROSECOND, beat_at, UTC_TIMESTAMP(6)) / 1000 AS ms';
    return Number((await run(`${sql} FROM config_stream`))[0]?.ms);
  };

  /** Adds rows of this age to the log, as the triggers would have, after an older start. */
  async function addChanges(count: number, ageSeconds: number): Promise<void> {
    await run("UPDATE config_changes SET changed_at = '2020-01-01' WHERE version = 1");
    const [row] = await run('SELECT head FROM config_stream');
    const first = Number(row?.head) + 1;
    const rows = Array.from({ length: count }, (_, index) => first + index).map(
      (version) =>
        `(${version}, 'configs', 'k', 'update', UTC_TIMESTAMP(6) - INTERVAL ${ageSeconds} SECOND)`,
    );
    await run(`INSERT INTO config_changes VALUES ${rows.join(',')}`);
    await run('UPDATE config_stream SET head = ?', [first + count - 1]);
  }

  const versions = async () =>
    (await run('SELECT version FROM config_changes ORDER BY version')).map((row) => row.version);

  test('gives a heartbeat at once and each second, which replication carries', async () => {
    await run("UPDATE config_stream SET beat_at = '2020-01-01'");
    start();
    await expect.poll(beatAgeMs, soon).toBeLessThan(1_000);
    const first = (await run('SELECT beat_at FROM config_stream'))[0]?.beat_at;
    await expect
      .poll(async () => (await run('SELECT beat_at FROM config_stream'))[0]?.beat_at, soon)
      .not.toEqual(first);
    await database.caughtUp();
    const [b] = await query(database.b, 'SELECT beat_at > ? AS newer FROM config_stream', [
      '2026-01-01',
    ]);
    expect(b?.newer).toBe(1);
  });

  test('is done by one of two instances, and by the other once the first has gone', async () => {
    const one = start();
    await expect.poll(() => one.status().leader, soon).toBe(true);
    const registry = new Registry();
    const other = start({ registry });
    const otherBeats = async () =>
      (await registry.getSingleMetric('tidemark_heartbeats_total')?.get())?.values[0]?.value;
    const before = await run('SELECT beat_at FROM config_stream');
    await expect.poll(() => run('SELECT beat_at FROM config_stream'), soon).not.toEqual(before);
    expect(other.status()).toEqual({ running: true, leader: false, failing: null });
    expect(await otherBeats()).toBe(0);
    await one.stop();
    expect(one.status()).toEqual({ running: false, leader: false, failing: null });
    await expect.poll(otherBeats, soon).toBeGreaterThan(0);
    expect(other.status().leader).toBe(true);
  });

  test('two databases of one server have a leader each', async () => {
    const elsewhere = await createDatabase(flavor);
    const otherPool = openPool(elsewhere.a, { connectionLimit: 2 });
    const [one, other] = [start(), start({ pool: otherPool })];
    await expect.poll(() => one.status().leader && other.status().leader, soon).toBe(true);
    await other.stop();
    await otherPool.end();
    await elsewhere.drop();
  });

  test('goes on after its connection was killed', async () => {
    const one = start();
    await expect.poll(() => one.status().leader, soon).toBe(true);
    const lock = "IS_USED_LOCK(CONCAT('tidemark:', LEFT(SHA2(DATABASE(), 256), 24)))";
    const holder = async () => (await run(`SELECT ${lock} AS id`))[0]?.id;
    const killed = await holder();
    await run(`KILL ${killed}`);
    await run("UPDATE config_stream SET beat_at = '2020-01-01'");
    await expect.poll(beatAgeMs, soon).toBeLessThan(5_000);
    expect(await holder()).not.toBe(killed);
  });

  test('tells a failure once, counts each, and recovers', async () => {
    const registry = new Registry();
    await run('RENAME TABLE config_stream TO away');
    const one = start({ registry });
    const failures = async () =>
      (await registry.getSingleMetric('tidemark_maintenance_failures_total')?.get())?.values[0]
        ?.value;
    await expect.poll(failures, soon).toBeGreaterThan(1);
    expect(warnings).toEqual([
      { task: 'heartbeat', reason: expect.stringContaining('tidemark migrate') },
    ]);
    expect(one.status()).toMatchObject({ leader: false, failing: 'ER_NO_SUCH_TABLE' });
    await run('RENAME TABLE away TO config_stream');
    await expect.poll(() => one.status().failing, soon).toBeNull();
  });

  test('removes changes that are older than the retention, and keeps the others', async () => {
    await addChanges(2_500, 2 * DAY_S);
    await addChanges(3, 60);
    start({ pruneCron: EACH_SECOND, retentionSeconds: DAY_S });
    await expect.poll(versions, soon).toEqual([2502, 2503, 2504]);
  });

  test('never removes the newest change, however old it is', async () => {
    await addChanges(5, 400 * DAY_S);
    start({ pruneCron: EACH_SECOND, retentionSeconds: 1 });
    await expect.poll(versions, soon).toEqual([6]);
    await run("INSERT INTO configs (config_key, config_value) VALUES ('a', '1')");
    expect(await versions()).toContain(7);
  });

  // A transaction that appends stays open while the pruning goes on: neither waits for the other.
  test('prunes without locking the end of the log', async () => {
    await addChanges(1_500, 2 * DAY_S);
    const connection = await pool.getConnection();
    await connection.query('START TRANSACTION');
    await connection.query(
      "INSERT INTO config_changes VALUES (5000, 'configs', 'k', 'update', UTC_TIMESTAMP(6))",
    );
    start({ pruneCron: EACH_SECOND, retentionSeconds: DAY_S });
    await expect.poll(async () => (await versions()).length, soon).toBe(1);
    await connection.query('ROLLBACK');
    connection.release();
  });
});
