/**
 * Servers in both data centers that take connections over TLS only, with certificates of a CA that
 * no system knows: the apps and each command work with that CA, and without it, or under another
 * name, they say which part of the URL is to be set.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import {
  type DatabaseServer,
  type DataCenters,
  startDataCenters,
} from '../../src/demo/data-centers.js';
import type { Finding } from '../../src/doctor/finding.js';
import { openPool } from '../../src/mysql/pool.js';
import type { TlsFiles } from '../chaos/redis-topology.js';
import { makeCertificates } from '../support/certificates.js';
import { tidemark } from '../support/cli.js';
import { connected, flavors } from '../support/data-centers.js';
import { until } from '../support/until.js';

/** Each with the setting that names its server. The doctor has both. */
const COMMANDS: [setting: 'MYSQL_A_URL' | 'MYSQL_B_URL', ...args: string[]][] = [
  ['MYSQL_A_URL', 'migrate', '--json'],
  ['MYSQL_A_URL', 'track', 'settings', '--key', 'id', '--value', 'value', '--dry-run'],
  ['MYSQL_A_URL', 'prune', '--keep-versions', '1000', '--json'],
  ['MYSQL_B_URL', 'status', '--json'],
  ['MYSQL_B_URL', 'verify', '--json'],
];

describe.each(flavors)('TLS only on %s', { timeout: 120_000 }, (flavor) => {
  let folder: string;
  let own: TlsFiles;
  let others: TlsFiles;
  let centers: DataCenters;
  let identity: Record<string, string>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
    own = makeCertificates(join(folder, 'own'), 'DNS:localhost');
    others = makeCertificates(join(folder, 'others'), 'DNS:localhost');
    identity = { 'ssl-ca': own.ca, 'ssl-mode': 'VERIFY_IDENTITY' };
    const serverArgs = [`--ssl-ca=${own.ca}`, `--ssl-cert=${own.cert}`, `--ssl-key=${own.key}`];
    centers = await startDataCenters({ flavor, serverArgs });
    for (const server of [centers.a, centers.b]) {
      // From here on: B follows A on a connection that it has.
      await connected(server.url(), (one) => one.query('SET GLOBAL require_secure_transport = 1'));
    }
    await onA('CREATE TABLE settings (id INT PRIMARY KEY, value TEXT)');
    await tidemark(env(identity), 'migrate');
  });
  afterAll(async () => {
    await centers?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function onA(sql: string): Promise<void> {
    const pool = openPool(urlOf(centers.a, identity), { connectionLimit: 1 });
    await pool.query(sql).finally(() => pool.end());
  }

  function urlOf({ endpoint }: DatabaseServer, options: Record<string, string>): string {
    const { user, password, port, database } = endpoint;
    return `mysql://${user}:${password}@localhost:${port}/${database}?${new URLSearchParams(options)}`;
  }

  function env(options: Record<string, string>) {
    const { a, b, redis } = centers;
    const [MYSQL_A_URL, MYSQL_B_URL] = [urlOf(a, options), urlOf(b, options)];
    return { MYSQL_A_URL, MYSQL_B_URL, REDIS_URL: redis.url() };
  }

  /** What the doctor says of the connections to both servers. */
  async function connectionsSeen(options: Record<string, string>): Promise<Finding[]> {
    const { stdout, stderr } = await tidemark(env(options), 'doctor', '--json');
    expect(stderr).toBe('');
    return (JSON.parse(stdout).findings as Finding[]).filter(({ check }) => check === 'connection');
  }

  async function started(command: 'write' | 'read', options: Record<string, string>) {
    const app = await AppProcess.spawn({
      ...{ name: command, command },
      env: { ...process.env, ...env(options) },
    });
    onTestFinished(() => app.stop());
    return app;
  }

  /** Each command ends with one line that names its server and what to set. */
  async function allSay(options: Record<string, string>, code: string, remedy: string) {
    for (const [setting, ...args] of COMMANDS) {
      const { exitCode, stdout, stderr } = await tidemark(env(options), ...args);
      expect([exitCode, stdout], args[0]).toEqual([1, '']);
      expect(stderr.trim().split('\n'), args[0]).toHaveLength(1);
      for (const text of [setting, code, remedy]) expect(stderr, args[0]).toContain(text);
      expect(stderr).not.toContain(centers.a.endpoint.password);
    }
    const seen = await connectionsSeen(options);
    expect(seen.map(({ place, severity }) => [place, severity])).toEqual([
      ['MySQL-A', 'fault'],
      ['MySQL-B', 'fault'],
    ]);
    for (const { cause, remedy: said } of seen) {
      expect(cause).toContain(code);
      expect(said).toContain(remedy);
    }
  }

  test('each command works with the CA and the name', async () => {
    for (const [, ...args] of COMMANDS) {
      const { exitCode, stderr } = await tidemark(env(identity), ...args);
      expect([exitCode, stderr], args[0]).toEqual([0, '']);
    }
    expect(await connectionsSeen(identity)).toEqual([]);
  });

  test('what the write app writes, the read app reads', async () => {
    const [writing, reading] = await Promise.all([
      started('write', identity),
      started('read', identity),
    ]);
    const patience = AbortSignal.timeout(60_000);
    await Promise.all([writing.untilReady(patience), reading.untilReady(patience)]);
    const put = await fetch(`${writing.url}/v1/configs/k`, { method: 'PUT', body: '"safe"' });
    const { version } = (await put.json()) as { version: number };
    const headers = { 'Tidemark-Min-Version': String(version) };
    const got = await fetch(`${reading.url}/v1/configs/k`, { headers });
    expect([put.status, await got.text()]).toEqual([201, '"safe"']);
  });

  test('without TLS all are told to set ssl-ca and ssl-mode, and the apps end', async () => {
    // MariaDB has no error of its own for it.
    const code = flavor === 'mysql' ? 'ER_SECURE_TRANSPORT_REQUIRED' : 'ER_ACCESS_DENIED_ERROR';
    await allSay({}, code, 'ssl-ca and ssl-mode');
    for (const command of ['write', 'read'] as const) {
      const app = await started(command, {});
      expect(await app.ended).toBe('exit status 1');
      expect(app.tail).toMatch(new RegExp(`tidemark: .*${code}.*ssl-ca and ssl-mode`));
      expect(app.tail).not.toMatch(/\n\s+at /);
    }
  });

  test('with another CA, or none, all are told to check ssl-ca, and the apps wait', async () => {
    const wrong: Record<string, string>[] = [{ 'ssl-ca': others.ca }, { 'ssl-mode': 'VERIFY_CA' }];
    for (const options of wrong) {
      await allSay(options, 'HANDSHAKE_SSL_ERROR', 'ssl-ca in the URL');
    }
    for (const command of ['write', 'read'] as const) {
      const app = await started(command, { 'ssl-ca': others.ca });
      await until('a line that tells', () => /HANDSHAKE_SSL_ERROR.*ssl-ca/.test(app.tail));
      expect((await fetch(`${app.url}/health/ready`)).status).toBe(503);
      expect(app.tail).not.toMatch(/\bat .*\.js:\d/);
    }
  });

  // Servers take up new certificates while they run, clients when they connect.
  test('under a name that the certificate does not have, all are told that', async () => {
    const reload = flavor === 'mysql' ? 'ALTER INSTANCE RELOAD TLS' : 'FLUSH SSL';
    const pools = [centers.a, centers.b].map((one) =>
      openPool(urlOf(one, identity), { connectionLimit: 1 }),
    );
    onTestFinished(async () => void (await Promise.all(pools.map((pool) => pool.end()))));
    const connections = await Promise.all(pools.map((pool) => pool.getConnection()));
    makeCertificates(join(folder, 'own'), 'DNS:db-elsewhere');
    for (const connection of connections) {
      await connection.query(reload);
      connection.release();
    }
    await allSay(identity, 'HANDSHAKE_SSL_ERROR', 'as its certificate does');
    const { exitCode, stderr } = await tidemark(
      env({ ...identity, 'ssl-mode': 'VERIFY_CA' }),
      'status',
    );
    expect([exitCode, stderr]).toEqual([0, '']);
  });
});
