/**
 * MySQL over TLS: what each `ssl-mode` checks, client certificates, and accounts that the server lets
 * in over TLS only. With such an account everything that connects must use the URL's settings: the
 * reader's pool, its early wake, the writer, the doctor. Each flavor has data centers of its own here.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import { migrate } from '../../src/mysql/migrate.js';
import { openPool } from '../../src/mysql/pool.js';
import type { TlsFiles } from '../chaos/redis-topology.js';
import { makeCertificates } from '../support/certificates.js';
import { connected, flavors, query } from '../support/data-centers.js';
import { SETTINGS } from '../support/doctor-scene.js';
import { startReader, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const PUT = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';

describe.each(flavors)('TLS on %s', (flavor) => {
  let folder: string;
  let own: TlsFiles;
  let others: TlsFiles;
  let centers: DataCenters;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
    own = makeCertificates(join(folder, 'own'), 'DNS:localhost');
    others = makeCertificates(join(folder, 'others'), 'DNS:localhost');
    const replicaArgs = [`--ssl-ca=${own.ca}`, `--ssl-cert=${own.cert}`, `--ssl-key=${own.key}`];
    centers = await startDataCenters({ flavor, replicaArgs });
    await connected(centers.a.url(), async (connection) => {
      await migrate(connection);
      for (const [user, rule] of [
        ['plain', 'NONE'],
        ['over_tls', 'SSL'],
        ['with_certificate', 'X509'],
      ]) {
        await connection.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret' REQUIRE ${rule}`);
        await connection.query(`GRANT SELECT ON * TO '${user}'@'%'`);
      }
    });
    await centers.caughtUp();
  });
  afterAll(async () => {
    await centers?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function url(user: string, host: string, options: Record<string, string>): string {
    const { port, database } = centers.b.endpoint;
    const query = new URLSearchParams(options);
    return `mysql://${user}:secret@${host}:${port}/${database}?${query}`;
  }

  /** The cipher in use, or why there is no connection. */
  async function outcome(user: string, host: string, options: Record<string, string>) {
    const pool = openPool(url(user, host, options), { connectionLimit: 1 });
    onTestFinished(() => pool.end());
    try {
      const [rows] = await pool.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
      const [row] = rows as { Value: string }[]; // of SHOW STATUS
      return row?.Value === '' ? 'plain' : 'encrypted';
    } catch (error) {
      return String(error);
    }
  }

  test('each ssl-mode checks what it says', async () => {
    const ca = { 'ssl-ca': own.ca };
    const wrongCa = { 'ssl-ca': others.ca };
    const rows: [host: string, options: Record<string, string>, expected: string | RegExp][] = [
      ['127.0.0.1', {}, 'plain'],
      ['127.0.0.1', { 'ssl-mode': 'REQUIRED' }, 'encrypted'],
      ['127.0.0.1', { ...ca }, 'encrypted'], // VERIFY_CA
      ['127.0.0.1', { ...ca, 'ssl-mode': 'VERIFY_CA' }, 'encrypted'],
      ['127.0.0.1', { ...wrongCa, 'ssl-mode': 'REQUIRED' }, 'encrypted'],
      ['127.0.0.1', wrongCa, /certificate|signature/],
      ['127.0.0.1', { 'ssl-mode': 'VERIFY_CA' }, /certificate/], // not of the system's CAs
      ['localhost', { ...ca, 'ssl-mode': 'VERIFY_IDENTITY' }, 'encrypted'],
      ['localhost', { ...wrongCa, 'ssl-mode': 'VERIFY_IDENTITY' }, /certificate|signature/],
      ['127.0.0.1', { ...ca, 'ssl-mode': 'DISABLED' }, 'plain'],
    ];
    for (const [host, options, expected] of rows) {
      const got = await outcome('plain', host, options);
      expect(got, JSON.stringify([host, options])).toMatch(expected);
    }
  });

  test('a certificate with another name is refused by VERIFY_IDENTITY only', async () => {
    const elsewhere = makeCertificates(join(folder, 'elsewhere'), 'DNS:db-elsewhere');
    const args = [
      ...[`--ssl-ca=${elsewhere.ca}`, `--ssl-cert=${elsewhere.cert}`],
      `--ssl-key=${elsewhere.key}`,
    ];
    const misnamed = await startDataCenters({ flavor, replicaArgs: args, redis: false });
    onTestFinished(() => misnamed.stop());
    const { user, password, port, database } = misnamed.b.endpoint;
    const connects = async (mode: string) => {
      const options = new URLSearchParams({ 'ssl-ca': elsewhere.ca, 'ssl-mode': mode });
      const pool = openPool(
        `mysql://${user}:${password}@localhost:${port}/${database}?${options}`,
        {
          connectionLimit: 1,
        },
      );
      onTestFinished(() => pool.end());
      return await pool.query('SELECT 1').then(() => 'connected', String);
    };
    expect(await connects('VERIFY_CA')).toBe('connected');
    expect(await connects('VERIFY_IDENTITY')).toMatch(/does not match certificate's altnames/);
  });

  test('accounts that need TLS, or a certificate of the client, get in with it only', async () => {
    const ca = { 'ssl-ca': own.ca };
    const certificate = { 'ssl-cert': own.cert, 'ssl-key': own.key };
    const unknown = { 'ssl-cert': others.cert, 'ssl-key': others.key };
    expect(await outcome('over_tls', '127.0.0.1', {})).toMatch(/denied/);
    expect(await outcome('over_tls', '127.0.0.1', ca)).toBe('encrypted');
    expect(await outcome('with_certificate', '127.0.0.1', ca)).toMatch(/denied/);
    expect(await outcome('with_certificate', '127.0.0.1', { ...ca, ...certificate })).toBe(
      'encrypted',
    );
    expect(await outcome('with_certificate', '127.0.0.1', { ...ca, ...unknown })).toMatch(/Error/);
  });

  const X509 = () => ({ 'ssl-ca': own.ca, 'ssl-cert': own.cert, 'ssl-key': own.key });

  test.each([
    ['one host', (port: number) => `localhost:${port}`],
    ['several hosts', (port: number) => `localhost:${port},localhost:${port}`],
  ])('a reader uses it on all its connections, early wake included: %s', async (_, hosts) => {
    const { port, database } = centers.b.endpoint;
    const options = new URLSearchParams({ ...X509(), 'ssl-mode': 'VERIFY_IDENTITY' });
    const b = `mysql://with_certificate:secret@${hosts(port)}/${database}?${options}`;
    const reader = await startReader({ b, redis: centers.redis.url() }, { pollIntervalMs: 60_000 });
    await reader.get('a');
    await until('a wait', async () => {
      const [row] = await query(
        centers.b.url(''),
        `SELECT COUNT(*) AS n FROM information_schema.processlist
         WHERE user = 'with_certificate' AND info LIKE '%GTID%'`,
      );
      return Number(row?.n) > 0;
    });
    const value = JSON.stringify(hosts(port));
    await query(centers.a.url(), PUT, ['a', value]);
    await until('the change, by a wake', async () => (await textOf(reader, 'a')) === value);
  });

  test('doctor uses it', async () => {
    const b = url('with_certificate', 'localhost', { ...X509(), 'ssl-mode': 'VERIFY_IDENTITY' });
    const findings = await examineSystem({ mysqlBUrl: b, settings: SETTINGS });
    const onB = findings.filter(({ place }) => place === 'MySQL-B');
    expect(onB.map(({ check }) => check)).not.toContain('connection');
    const refused = await examineSystem({
      mysqlBUrl: url('with_certificate', 'localhost', {}),
      settings: SETTINGS,
    });
    expect(refused.find(({ place }) => place === 'MySQL-B')).toMatchObject({
      check: 'connection',
      severity: 'fault',
    });
  });
});
