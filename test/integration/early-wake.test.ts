/**
 * Early wake on real replicas. The readers' poll interval is longer than any test may take, so that
 * whatever arrives has come by a wake.
 */
import { randomUUID } from 'node:crypto';
import { createPool } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { startDataCenters } from '../../src/demo/data-centers.js';
import { type CreateReaderOptions, createReader, type Reader } from '../../src/index.js';
import { migrate } from '../../src/mysql/migrate.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import { metricOf, readerOptions, SILENT, startReader, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const FAR_OFF_MS = 600_000;
const PUT = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';
const HEARTBEAT = 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)';

describe.each(flavors)('early wake on %s', (flavor) => {
  let db: TestDatabase;
  // Each test has one: what a reader left behind waits on until the next transaction.
  beforeEach(async () => {
    db = await createDatabase(flavor);
    await query(db.a, PUT, ['a', '0']);
    await db.caughtUp();
  });
  afterEach(() => db.drop());

  /** A reader that holds 'a', and whose wake waits for what comes next. */
  async function waitingReader(options: Partial<CreateReaderOptions> = {}): Promise<Reader> {
    const reader = await startReader(db, { pollIntervalMs: FAR_OFF_MS, ...options });
    await reader.get('a');
    await until('a wait', async () => (await waits()).length > 0);
    return reader;
  }

  /** The connections that wait on B. */
  async function waits(): Promise<number[]> {
    const rows = await query(
      db.b,
      `SELECT id FROM information_schema.processlist
       WHERE db = ? AND id <> CONNECTION_ID() AND info LIKE '%GTID%'`,
      [db.name],
    );
    return rows.map(({ id, ID }) => Number(id ?? ID)); // MySQL says ID
  }

  /** Kills the connection of the reader that waits. */
  async function killWait(): Promise<number> {
    // Between the end of a wait and the next one there is none.
    const id = await until('a wait to kill', async () => (await waits())[0]);
    await query(db.b, `KILL ${id}`);
    return id;
  }

  async function expectWoken(reader: Reader, value: string): Promise<void> {
    await query(db.a, PUT, ['a', value]);
    await until(`the value ${value}`, async () => (await textOf(reader, 'a')) === value);
  }

  test('brings each change at once, without a poll', async () => {
    const reader = await waitingReader();
    const polls = await metricOf(reader, 'tidemark_polls_total');
    const update = 'UPDATE configs SET config_value = ? WHERE config_key = ?'; // REPLACE is two changes
    for (let value = 1; value <= 20; value++) {
      await query(db.a, update, [`${value}`, 'a']);
      await until(`the value ${value}`, async () => (await textOf(reader, 'a')) === `${value}`);
    }
    expect(await metricOf(reader, 'tidemark_early_wakes_total', 'news')).toBeGreaterThan(0);
    // One may come while a turn is under way, which is followed by a poll.
    expect((await metricOf(reader, 'tidemark_polls_total')) - polls).toBeLessThanOrEqual(10);
  });

  test('brings heartbeats', async () => {
    const reader = await waitingReader();
    await query(db.a, HEARTBEAT);
    await until('freshness', () => (reader.status().ageMs ?? FAR_OFF_MS) < 5_000);
    await query(db.a, HEARTBEAT);
    const demanded = reader.get('a', { maxStalenessMs: 5_000 });
    expect((await demanded).stale).toBe(false);
  });

  test('has a connection beside a pool that was passed in, and closes nothing but it', async () => {
    const options = { dateStrings: true, supportBigNumbers: true, timezone: 'Z' } as const;
    const pool = createPool({ uri: db.b, charset: 'utf8mb4', connectionLimit: 1, ...options });
    onTestFinished(() => pool.end());
    const reader = await waitingReader({ mysql: pool });
    await expectWoken(reader, '"beside a pool"');
    await reader.stop();
    await pool.query('SELECT 1');
  });

  test('comes back when its connection is killed', async () => {
    const reader = await waitingReader();
    const id = await killWait();
    await until('another wait', async () => (await waits()).some((other) => other !== id));
    await expectWoken(reader, '"after a kill"');
    expect(reader.status().pollFailures).toBe(0);
  });

  test('brings what was applied while its connection was gone', async () => {
    const reader = await waitingReader();
    await killWait();
    await expectWoken(reader, '"while it was gone"');
  });

  test('does not keep a reader from stopping', async () => {
    const reader = await waitingReader();
    await reader.stop();
  });

  test('follows a new source: another server id or uuid', { timeout: 120_000 }, async () => {
    // Each interval is longer than a thirtieth of what the test may take: without wakes it fails.
    const reader = await waitingReader({ pollIntervalMs: 8_000 });
    const uuid = randomUUID();
    await connected(db.a, async (connection) => {
      if (flavor === 'mariadb') await connection.query('SET SESSION server_id = 4711');
      for (let number = 1; number <= 30; number++) {
        if (flavor === 'mysql') await connection.query(`SET GTID_NEXT = '${uuid}:${number}'`);
        await connection.query(PUT, ['a', `"new ${number}"`]);
        const arrived = async () => (await textOf(reader, 'a')) === `"new ${number}"`;
        await until(`change ${number} of the new source`, arrived);
      }
      if (flavor === 'mysql') await connection.query("SET GTID_NEXT = 'AUTOMATIC'");
    });
  });

  test('polls little on a busy database, and still finds what changes', async () => {
    const reader = await waitingReader();
    await query(db.a, 'CREATE TABLE unrelated (id INT AUTO_INCREMENT PRIMARY KEY)');
    let isBusy = true;
    let writes = 0;
    const others = connected(db.a, async (connection) => {
      for (; isBusy; writes++) await connection.query('INSERT INTO unrelated VALUES ()');
    });
    await until('a busy database', () => writes > 100);
    const polls = await metricOf(reader, 'tidemark_polls_total');
    const writesBefore = writes;
    for (let value = 1; value <= 5; value++) {
      await expectWoken(reader, `"busy ${value}"`);
      const enough = writesBefore + value * 150;
      await until('more unrelated writes', () => writes > enough);
    }
    const polled = (await metricOf(reader, 'tidemark_polls_total')) - polls;
    isBusy = false;
    await others;
    expect(polled).toBeLessThanOrEqual(5 * 4); // none for what changes nothing
    expect(await metricOf(reader, 'tidemark_early_wakes_total', 'nothing')).toBeGreaterThan(0);
  });

  test('can be switched off', async () => {
    const reader = await startReader(db, { earlyWake: 'off' });
    await reader.get('a');
    await expectWoken(reader, '"by a poll"');
    expect(await waits()).toEqual([]);
    expect(await metricOf(reader, 'tidemark_early_wakes_total')).toBe(0);
  });
});

describe.each(flavors)("whatever the servers' defaults, on %s", (flavor) => {
  test('a wake sees what was committed', async () => {
    const centers = await startDataCenters({ flavor });
    onTestFinished(() => centers.stop());
    const urls = { a: centers.a.url(), b: centers.b.url(), redis: centers.redis.url() };
    await connected(urls.a, (connection) => migrate(connection));
    await query(urls.a, PUT, ['a', '0']);
    await centers.caughtUp();
    await query(urls.b, 'SET GLOBAL autocommit = 0'); // a session goes on seeing what it saw first
    const reader = createReader(readerOptions(urls, { pollIntervalMs: FAR_OFF_MS }));
    onTestFinished(() => reader.stop());
    await reader.start();
    for (let value = 1; value <= 5; value++) {
      await query(urls.a, PUT, ['a', `${value}`]);
      await until('the change', async () => (await textOf(reader, 'a')) === `${value}`);
    }
  });
});

describe.each(flavors)('without GTIDs on %s', (flavor) => {
  test('readers poll at their interval, and say so once', async () => {
    const centers = await startDataCenters({ flavor });
    onTestFinished(() => centers.stop());
    // A itself is the database of this reader: a MariaDB that replicates nothing, or a MySQL that
    // names its transactions no more.
    const urls = { b: centers.a.url(), redis: centers.redis.url() };
    await connected(urls.b, (connection) => migrate(connection));
    if (flavor === 'mysql') {
      await centers.stopReplication();
      for (const mode of ['ON_PERMISSIVE', 'OFF_PERMISSIVE', 'OFF']) {
        await query(urls.b, `SET GLOBAL gtid_mode = ${mode}`);
      }
    }
    const said: unknown[] = [];
    const logger = {
      ...SILENT,
      info: (fields: object, message: string) => void said.push({ ...fields, message }),
    };
    const reader = createReader(readerOptions(urls, { logger }));
    onTestFinished(() => reader.stop());
    await reader.start();
    for (let value = 1; value <= 5; value++) {
      await query(urls.b, PUT, ['a', `${value}`]);
      await until('the change', async () => (await textOf(reader, 'a')) === `${value}`);
    }
    const reason = /gtid_mode|master_use_gtid/;
    await until('the reason', () => said.some((one) => reason.test(JSON.stringify(one))));
    expect(said.filter((one) => reason.test(JSON.stringify(one)))).toHaveLength(1);
  });
});
