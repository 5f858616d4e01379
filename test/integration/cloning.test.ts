/**
 * "Cloning MySQL-B anew" of docs/operations.md: somebody wrote on B, replication has stopped, and B
 * gets a fresh copy, by a dump with the runbook's own words, or by a copy of A's disk. Readers, which
 * have seen what never was in A, answer what A has from then on, and Redis is not touched.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { Database } from '../../src/demo/database-server.js';
import { mariadbKind } from '../../src/demo/mariadb.js';
import { mysqlKind } from '../../src/demo/mysql.js';
import { findMySQL, required } from '../../src/demo/programs.js';
import { REPLICATION_USER } from '../../src/demo/server-kind.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import type { Reader } from '../../src/index.js';
import { migrate } from '../../src/mysql/migrate.js';
import { FaultProxy } from '../chaos/proxy.js';
import { tidemark } from '../support/cli.js';
import { applyGrants, connected, flavors, query, urlAs } from '../support/data-centers.js';
import { SETTINGS } from '../support/doctor-scene.js';
import { plainClient } from '../support/plain-client.js';
import { startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const RUNBOOK = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const SECTION = RUNBOOK.slice(RUNBOOK.indexOf('## Cloning MySQL-B anew'));
const PASSWORD = 'secret';
const KEYS = Array.from({ length: 20 }, (_, number) => `k/${number}`);
const SET = 'UPDATE configs SET config_value = ? WHERE config_key = ?';

/** All of A, as the runbook dumps it. */
async function dumpOf({ endpoint }: DataCenters['a']): Promise<string> {
  const [, words = ''] = /mysqldump -h mysql-a ([^>]*)>/.exec(SECTION) ?? [];
  const args = words.replaceAll('\\', ' ').split(/\s+/).filter(Boolean);
  expect(args).toContain('--all-databases');
  const { client } = required(findMySQL(), 'MySQL');
  const asDump = (path: string) => path.replace(/\/mysql$/, '/mysqldump');
  const where = [`--host=${endpoint.host}`, `--port=${endpoint.port}`, `--user=${endpoint.user}`];
  const { stdout } = await promisify(execFile)(
    asDump(client.command),
    [...client.args.map(asDump), ...where, '--get-server-public-key', ...args],
    { env: { ...process.env, MYSQL_PWD: endpoint.password }, maxBuffer: 256 * 1024 * 1024 },
  );
  return stdout;
}

/** A server that is no replica yet; those of A can get in, once it has their accounts. */
async function emptyServer(centers: DataCenters, role: 'source' | 'replica'): Promise<Database> {
  const { password, database } = centers.a.endpoint;
  const server = await Database.create(
    centers.flavor === 'mysql' ? mysqlKind() : mariadbKind(),
    role,
    {
      ...{ folder: join(centers.folder, 'b-anew'), database, password, serverId: 22 },
      replicationPassword: PASSWORD,
    },
  );
  onTestFinished(() => server.kill());
  return server;
}

async function cloneByDump(centers: DataCenters): Promise<Database> {
  const server = await emptyServer(centers, 'source'); // not read-only while it is loaded
  await plainClient(centers.flavor, server.url('mysql'), await dumpOf(centers.a));
  const { host, port } = centers.a.endpoint;
  const [, statements = ''] = /-e "(CHANGE REPLICATION[^"]*)"/.exec(SECTION) ?? [];
  const [follow = '', ...others] = statements.split(';');
  const place = `'${host}', SOURCE_PORT = ${port}, GET_SOURCE_PUBLIC_KEY = 1`;
  await server.query(
    follow
      .replace("'mysql-a'", place)
      .replace("SOURCE_USER = '...'", `SOURCE_USER = '${REPLICATION_USER}'`)
      .replace("SOURCE_PASSWORD = '...'", `SOURCE_PASSWORD = '${PASSWORD}'`),
    [],
    '',
  );
  await server.stop();
  await server.start();
  // Not before, as the runbook has it: servers of tests read no file of settings, nor what is persisted.
  for (const sql of others) await server.query(sql, [], '');
  return server;
}

async function cloneByDisk(centers: DataCenters): Promise<Database> {
  const server = await emptyServer(centers, 'replica');
  await server.stop();
  await rm(server.dataFolder, { recursive: true });
  await centers.a.stop();
  await cp(join(centers.folder, 'a', 'data'), server.dataFolder, {
    recursive: true,
    filter: (source) => !source.endsWith('/auto.cnf'),
  });
  await Promise.all([centers.a.start(), server.start()]);
  const kind = centers.flavor === 'mysql' ? mysqlKind() : mariadbKind();
  await server.connected(async (connection) => {
    const [, position = ''] = /`(SET GLOBAL gtid_slave_pos = @@[^`]*)`/.exec(SECTION) ?? [];
    if (centers.flavor === 'mariadb') await connection.query(position);
    await kind.follow(connection, { ...centers.a.endpoint, password: PASSWORD });
  });
  return server;
}

const WAYS = {
  'a dump': { clone: cloneByDump, flavors: ['mysql'] },
  "a copy of A's disk": { clone: cloneByDisk, flavors: ['mysql', 'mariadb'] },
} as const;

describe.each(flavors)('MySQL-B is cloned anew on %s', { timeout: 240_000 }, (flavor) => {
  const ways = Object.entries(WAYS).filter(([, way]) => [...way.flavors].includes(flavor as never));

  test.each(ways)('from %s: readers answer what A has', async (_, { clone }) => {
    const centers = await startDataCenters({ flavor });
    onTestFinished(() => centers.stop());
    const a = centers.a.url();
    await connected(a, async (connection) => {
      await migrate(connection);
      await connection.query(`CREATE USER tidemark_reader@'%' IDENTIFIED BY '${PASSWORD}'`);
      await applyGrants(connection, 'grant_reader');
      const rows = KEYS.map((key) => [key, '"first"']);
      await connection.query('INSERT INTO configs (config_key, config_value) VALUES ?', [rows]);
    });
    await centers.caughtUp();
    let port = centers.b.endpoint.port;
    const name = await FaultProxy.start({ target: () => port, random: Math.random });
    onTestFinished(() => name.close());
    const b = urlAs(`mysql://127.0.0.1:${name.port}/tidemark`, 'tidemark_reader', PASSWORD);
    const urls = { b, redis: centers.redis.url() };
    const readers = [await startReader(urls), await startReader(urls, { localMaxEntries: 2 })];
    const values = async (reader: Reader) => Promise.all(KEYS.map((key) => textOf(reader, key)));
    await taken(a, readers);
    for (const reader of readers) await values(reader);

    await connected(centers.b.url(), async (onB) => {
      if (flavor === 'mysql') await onB.query('SET GLOBAL super_read_only = 0');
      await onB.query('SET GLOBAL read_only = 0');
      await onB.query(SET, ['"of B alone"', 'k/1']);
    });
    for (const reader of readers) {
      await until('what B has', async () => (await textOf(reader, 'k/1')) === '"of B alone"');
    }
    await query(a, SET, ['"second"', 'k/2']);
    await until('replication to have stopped', async () => {
      const [status] = await query(
        centers.b.url(),
        flavor === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS',
      );
      return Number(status?.Last_SQL_Errno) === 1062;
    });

    name.set({ refuses: true });
    name.reset();
    await centers.b.stop();
    await query(a, SET, ['"third"', 'k/3']);
    expect(await textOf(readers[0] as Reader, 'k/0')).toBe('"first"'); // it was started above
    await query(a, `ALTER USER '${REPLICATION_USER}'@'%' IDENTIFIED BY '${PASSWORD}'`);
    const anew = await clone(centers);
    await query(a, SET, ['"fourth"', 'k/4']);
    if (flavor === 'mysql') await anew.query('START REPLICA', [], '');
    port = anew.endpoint.port;
    name.clear();

    await taken(a, readers);
    const expected = ['first', 'first', 'second', 'third', 'fourth'].map((word) => `"${word}"`);
    for (const reader of readers) {
      expect((await values(reader)).slice(0, 5)).toEqual(expected);
    }
    await query(a, 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
    const findings = await examineSystem({
      ...{ mysqlAUrl: a, mysqlBUrl: anew.url(), settings: SETTINGS, patienceMs: 10_000 },
    });
    const faults = findings.filter(
      ({ place, severity }) => /MySQL-B|A to B/.test(place) && severity === 'fault',
    );
    expect(faults).toEqual([]);
    const verified = await tidemark({ MYSQL_B_URL: b, REDIS_URL: urls.redis }, 'verify', '--json');
    expect(JSON.parse(verified.stdout)).toMatchObject({ sound: true, keys: KEYS.length });
  });
});
