/**
 * Two replicas of A in data center B, of which a reader uses one at a time: it leaves one that is
 * killed, hangs or lags, its reads go on, and no answer goes back. Each flavor has data centers of its
 * own here.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest';
import {
  type DatabaseServer,
  type DataCenters,
  startDataCenters,
} from '../../src/demo/data-centers.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import type { CreateReaderOptions, Reader } from '../../src/index.js';
import { migrate } from '../../src/mysql/migrate.js';
import { readable } from '../support/checker.js';
import { connected, flavors, query } from '../support/data-centers.js';
import { SETTINGS } from '../support/doctor-scene.js';
import { Load } from '../support/load.js';
import { headOf, metricOf, SILENT, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PUT = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';
const HEARTBEAT = 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)';
/** A statement on a host that hangs is given up soon, and most reads need MySQL-B. */
const OPTIONS = { readTimeoutMs: 1_000, localMaxEntries: 8, negativeMaxEntries: 2 };

describe.each(flavors)('several hosts of MySQL-B on %s', (flavor) => {
  let centers: DataCenters;
  let hosts: readonly [DatabaseServer, DatabaseServer];
  let a: string;
  /** Of both replicas. */
  let b: string;

  beforeAll(async () => {
    centers = await startDataCenters({ flavor, replicas: 2 });
    const [first, second] = centers.replicas;
    if (first === undefined || second === undefined) throw new Error('Expected two replicas');
    hosts = [first, second];
    a = centers.a.url();
    await connected(a, async (connection) => {
      await migrate(connection);
      // One account for both: those of the servers themselves differ.
      await connection.query("CREATE USER 'reader'@'%' IDENTIFIED BY 'secret'");
      await connection.query("GRANT ALL ON *.* TO 'reader'@'%'");
    });
    const [one, two] = hosts.map(({ endpoint }) => `${endpoint.host}:${endpoint.port}`);
    b = `mysql://reader:secret@${one},${two}/${first.endpoint.database}`;
    await centers.caughtUp();
  });
  afterAll(() => centers?.stop());
  beforeEach(async () => {
    await query(a, HEARTBEAT);
    await centers.caughtUp();
  });
  afterEach(async () => {
    for (const host of hosts) {
      host.resume();
      await host.start();
      await centers.startReplication(host);
    }
    await centers.caughtUp();
  });

  /** Redis is away, so that all that is not held comes from MySQL-B. */
  const start = (options: Partial<CreateReaderOptions> = {}) =>
    startReader({ b, redis: 'redis://127.0.0.1:1' }, { ...OPTIONS, ...options });

  /** How many connections of the reader a host has. */
  async function connections(host: DatabaseServer): Promise<number> {
    const count = "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'reader'";
    return Number((await query(host.url(''), count))[0]?.n);
  }

  async function underLoad(reader: Reader, fault: () => Promise<unknown>): Promise<Load> {
    const load = new Load({ a, readables: [readable('reader', reader)] });
    onTestFinished(() => load.stop());
    await load.start();
    await load.goesOn(50);
    await fault();
    await load.goesOn(50);
    await load.stop();
    return load;
  }

  test('only the first is used while it answers, early wake included', async () => {
    const reader = await start({ pollIntervalMs: 60_000 });
    await until('a wait', async () => (await connections(hosts[0])) >= 2);
    await query(a, PUT, ['a', '"woken"']);
    await until('the change', async () => (await textOf(reader, 'a')) === '"woken"');
    expect(await connections(hosts[1])).toBe(0);
  });

  test('reads go on when the first is killed, with no answer that is wrong or missing', async () => {
    const reader = await start();
    const load = await underLoad(reader, () => hosts[0].kill());
    expect(load.checker.violations).toEqual([]);
    await until('what is new', () => taken(a, [reader]));
    for (const key of load.keys) {
      expect(await textOf(reader, key), key).toBe(load.checker.truth(key).value);
    }
    // The wake has followed: it brings a change before the next poll.
    expect(await connections(hosts[1])).toBeGreaterThan(0);
  });

  test('early wake follows to the next host', async () => {
    const reader = await start({ pollIntervalMs: 5_000 });
    await until('a wait', async () => (await connections(hosts[0])) >= 2);
    await hosts[0].kill();
    await until('a wait there', async () => {
      const waits =
        "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE info LIKE '%GTID_%(%'";
      await reader.get(`any/${performance.now()}`).catch(() => undefined);
      return Number((await query(hosts[1].url(''), `${waits} AND id <> CONNECTION_ID()`))[0]?.n);
    });
    const before = await metricOf(reader, 'tidemark_early_wakes_total', 'news');
    for (let value = 1; value <= 5; value++) {
      await query(a, PUT, ['a', `"wake ${value}"`]);
      await until('it', async () => (await textOf(reader, 'a')) === `"wake ${value}"`);
    }
    expect(await metricOf(reader, 'tidemark_early_wakes_total', 'news')).toBeGreaterThan(before);
  });

  test('a host that hangs is left', async () => {
    const reader = await start();
    const load = await underLoad(reader, async () => {
      hosts[0].pause();
      await until('the next host', async () => (await connections(hosts[1])) > 0);
      await until('what is new', () => taken(a, [reader]));
    });
    const others = load.checker.violations.filter((one) => !one.startsWith('available'));
    expect(others).toEqual([]);
  });

  test('a host whose replication has stopped is left, and no answer goes back', async () => {
    const reader = await start({ staleAfterMs: 400 });
    const load = await underLoad(reader, async () => {
      await centers.stopReplication(hosts[0]);
      await until('the next host', async () => (await connections(hosts[1])) > 0);
      await until('what is new', () => taken(a, [reader]));
    });
    expect(load.checker.violations).toEqual([]);
  });

  test('what only a host that lags can say is not taken, for longer than a regression needs', async () => {
    await centers.stopReplication(hosts[1]);
    await query(a, PUT, ['held', '"newer"']);
    await until('it in the first', async () => {
      const [row] = await query(hosts[0].url(), 'SELECT head FROM config_stream');
      return Number(row?.head) === (await headOf(a));
    });
    const warnings: unknown[] = [];
    const logger = { ...SILENT, warn: (fields: unknown) => void warnings.push(fields) };
    const reader = await start({ logger, readTimeoutMs: 300 });
    expect(await textOf(reader, 'held')).toBe('"newer"');
    const { applied } = reader.status();
    await hosts[0].kill();
    const endMs = performance.now() + 4_500; // a head below is believed after 3 s of one host alone
    while (performance.now() < endMs) {
      expect(await textOf(reader, 'held')).toBe('"newer"');
      await reader.get('not held').catch(() => undefined);
    }
    expect(reader.status().applied).toBe(applied);
    expect(await metricOf(reader, 'tidemark_rebases_total', 'regressed')).toBe(0);
    expect(warnings).toContainEqual(expect.objectContaining({ reason: expect.any(String) }));
    await hosts[0].start();
    await query(a, PUT, ['held', '"after"']);
    await until('the change', async () => (await textOf(reader, 'held')) === '"after"');
  });

  test('doctor looks at each host', async () => {
    await centers.stopReplication(hosts[1]);
    const settings = { ...SETTINGS, staleAfterMs: 60_000 };
    const findings = await examineSystem({ mysqlAUrl: a, mysqlBUrl: b, settings });
    const replication = findings.filter(({ check }) => check === 'replication');
    const names = hosts.map(({ endpoint }) => `${endpoint.host}:${endpoint.port}`);
    expect(replication.map(({ host, severity }) => [host, severity])).toEqual([
      [names[0], 'ok'],
      [names[1], 'fault'],
    ]);
  });

  test('status and verify ask the first one that answers', async () => {
    await hosts[0].kill();
    onTestFinished(() => hosts[0].start());
    const env = { ...process.env, MYSQL_B_URL: b, REDIS_URL: centers.redis.url() };
    const run = promisify(execFile);
    const said = async (command: string) =>
      JSON.parse((await run(process.execPath, [MAIN, command, '--json'], { env })).stdout);
    expect(await said('status')).toMatchObject({ table: 'configs' });
    expect(await said('verify')).toMatchObject({ collection: 'configs', sound: true });
  });
});
