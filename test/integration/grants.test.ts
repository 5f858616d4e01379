/**
 * The least that each part may do: migrations/grant_*.sql, applied as a DBA does, with the plain
 * client. The readers and writers of all other tests run with them, too.
 */
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import { Maintenance, Writer } from '../../src/index.js';
import { ACCOUNT_PASSWORD, accountWith } from '../support/accounts.js';
import {
  createDatabase,
  flavors,
  query,
  type TestDatabase,
  urlAs,
} from '../support/data-centers.js';
import { migrateAt, migrationText } from '../support/migrations.js';
import { plainClient } from '../support/plain-client.js';
import { SILENT } from '../support/readers.js';
import { until } from '../support/until.js';

const TABLES = ['config_stream', 'config_changes', 'configs'];

describe.each(flavors)('on %s', (flavor) => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createDatabase(flavor);
  });
  afterEach(() => db.drop());

  test('a reader may read three tables, and nothing else', async () => {
    await plainClient(flavor, db.a, await migrationText('grant_reader')); // once more, and as a DBA
    const { username, password } = new URL(db.reader);
    const onA = urlAs(db.a, username, password);
    for (const table of TABLES) {
      await query(db.reader, `SELECT * FROM ${table}`);
      await expect(query(onA, `DELETE FROM ${table}`)).rejects.toThrow(/denied/);
    }
    const others = ['SELECT * FROM tidemark_migrations', 'SELECT * FROM mysql.user'];
    for (const sql of others) await expect(query(db.reader, sql)).rejects.toThrow(/denied/);
  });

  test('a writer may change rows, take versions, remove old changes, and nothing else', async () => {
    await plainClient(flavor, db.a, await migrationText('grant_writer'));
    const writer = new Writer({ mysql: db.writer });
    const registry = new Registry();
    const maintenance = new Maintenance({
      pool: writer.pool,
      logger: SILENT,
      retentionSeconds: 0.001,
      pruneCron: '* * * * * *',
      registry,
    });
    onTestFinished(async () => {
      await maintenance.stop();
      await writer.close();
    });
    await writer.put('a', '1');
    await writer.put('a', '2');
    await writer.batch({ put: { b: '3' }, delete: ['a'] });
    expect(await writer.delete('b')).toMatchObject({ deleted: true });
    maintenance.start();
    const pruned = registry.getSingleMetric('tidemark_pruned_changes_total');
    await until('old changes to be pruned', async () => (await pruned?.get())?.values[0]?.value);
    expect(maintenance.status()).toEqual({ running: true, leader: true, failing: null });
    for (const sql of [
      'DROP TABLE configs',
      "INSERT INTO config_changes VALUES (99, 'configs', 'k', 'insert', NOW(6))",
      'DELETE FROM config_stream',
      'SELECT * FROM tidemark_migrations',
    ]) {
      await expect(query(db.writer, sql), sql).rejects.toThrow(/denied/);
    }
  });

  test('a migrator may migrate, up and down', async () => {
    const user = await accountWith(db, 'migrator');
    const url = urlAs(db.a, user, ACCOUNT_PASSWORD);
    await migrateAt(url, { to: 0 });
    await migrateAt(url);
    await expect(query(url, 'SELECT * FROM mysql.user')).rejects.toThrow(/denied/);
  });

  test('a doctor sees all that there is to see, and may change nothing', async () => {
    const user = await accountWith(db, 'doctor');
    const [a, b] = [db.a, db.b].map((url) => urlAs(url, user, ACCOUNT_PASSWORD)) as [
      string,
      string,
    ];
    const findings = await examineSystem({
      mysqlAUrl: a,
      mysqlBUrl: b,
      settings: {
        collections: [DEFAULT_COLLECTION],
        keyPrefix: 'tidemark',
        redisBuckets: 1,
        staleAfterMs: 60_000,
        retentionHours: 24,
        earlyWake: 'auto',
      },
    });
    const unknown = findings.filter(
      ({ severity, place }) => severity === 'unknown' && place !== 'Redis',
    );
    expect(unknown).toEqual([]);
    for (const table of TABLES) {
      await expect(query(a, `DELETE FROM ${table}`)).rejects.toThrow(/denied/);
    }
  });
});
