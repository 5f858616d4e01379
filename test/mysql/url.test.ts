import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InvalidOptionsError } from '../../src/errors.js';
import { openPool } from '../../src/mysql/pool.js';
import { mysqlUrlFaults, parseMysqlUrl, urlsByHost } from '../../src/mysql/url.js';
import { makeCertificates } from '../support/certificates.js';

const faultsOf = (url: string) => mysqlUrlFaults(url, 'several');

describe('hosts', () => {
  test('are one with its port, or several in their order', () => {
    expect(parseMysqlUrl('mysql://u:p%40%2C@db-b/app')).toEqual({
      ...{ user: 'u', password: 'p@,', database: 'app' },
      addresses: [{ host: 'db-b', port: 3306 }],
    });
    const several = 'mysql://u:p,w@one:3307,[::1]:3308,10.0.0.3/app';
    expect(parseMysqlUrl(several)).toMatchObject({
      password: 'p,w',
      addresses: [
        { host: 'one', port: 3307 },
        { host: '::1', port: 3308 },
        { host: '10.0.0.3', port: 3306 },
      ],
    });
  });

  test('are told apart in a URL whose password has an @ or a comma', () => {
    const rest = 'app?ssl-mode=REQUIRED';
    expect(urlsByHost(`mysql://u:a@b,c@one,two:3307/${rest}`)).toEqual([
      `mysql://u:a@b,c@one/${rest}`,
      `mysql://u:a@b,c@two:3307/${rest}`,
    ]);
    expect(urlsByHost(`mysql://u:a@b,c@one/${rest}`)).toHaveLength(1);
  });

  test.each(['one,', ',two', 'one,,two', 'one,two:99999', 'one:x,two'])('refuse %s', (hosts) => {
    expect(faultsOf(`mysql://u:hunter2@${hosts}/app`)).toHaveLength(1);
    expect(faultsOf(`mysql://u:hunter2@${hosts}/app`).join()).not.toContain('hunter2');
  });

  test('are several for readers only, and not with a socket', () => {
    const url = 'mysql://u:p@one,two/app';
    expect(faultsOf(url)).toEqual([]);
    expect(mysqlUrlFaults(url, 'one').join()).toMatch(/one host.*all writes go to one source/);
    expect(() => openPool(url, { connectionLimit: 1 })).toThrow(InvalidOptionsError);
    expect(faultsOf(`${url}?socket=/run/mysqld.sock`).join()).toMatch(/one host with a socket/);
  });
});

describe('TLS', () => {
  let folder: string;
  let files: Record<'ca' | 'cert' | 'key', string>;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
    files = makeCertificates(folder, 'DNS:db-b');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const urlWith = (query: Record<string, string>, host = 'db-b') =>
    `mysql://u:p@${host}/app?${new URLSearchParams(query)}`;

  test('is off unless a mode or a file asks for it', () => {
    expect(parseMysqlUrl(urlWith({})).ssl).toBe(undefined);
    expect(parseMysqlUrl(urlWith({ 'ssl-mode': 'disabled' })).ssl).toBe(undefined);
    const byFile = { rejectUnauthorized: true, verifyIdentity: false };
    expect(parseMysqlUrl(urlWith({ 'ssl-ca': files.ca })).ssl).toMatchObject(byFile);
  });

  test.each([
    ['REQUIRED', { rejectUnauthorized: false, verifyIdentity: false }],
    ['VERIFY_CA', { rejectUnauthorized: true, verifyIdentity: false }],
    ['VERIFY_IDENTITY', { rejectUnauthorized: true, verifyIdentity: true }],
  ])('checks what %s asks for', (mode, expected) => {
    expect(parseMysqlUrl(urlWith({ 'ssl-mode': mode })).ssl).toEqual(expected);
  });

  test('brings the files', () => {
    const query = { 'ssl-ca': files.ca, 'ssl-cert': files.cert, 'ssl-key': files.key };
    expect(parseMysqlUrl(urlWith(query)).ssl).toMatchObject({
      ca: expect.stringContaining('BEGIN CERTIFICATE'),
      cert: expect.stringContaining('BEGIN CERTIFICATE'),
      key: expect.stringContaining('PRIVATE KEY'),
    });
  });

  test('names files that are missing, are not PEM, or do not fit', () => {
    const text = join(folder, 'text');
    writeFileSync(text, 'hunter2');
    expect(faultsOf(urlWith({ 'ssl-ca': '/hunter2' }))).toEqual([
      'Expected ssl-ca to name a file that can be read, in PEM',
    ]);
    expect(faultsOf(urlWith({ 'ssl-ca': text }))).toHaveLength(1);
    expect(faultsOf(urlWith({ 'ssl-cert': files.cert }))).toEqual([
      'Expected ssl-cert and ssl-key together',
    ]);
    const other = makeCertificates(join(folder, 'other'), 'DNS:db-b');
    expect(faultsOf(urlWith({ 'ssl-cert': files.cert, 'ssl-key': other.key })).join()).toMatch(
      /ssl-key the key of the first one/,
    );
  });

  test('does not pretend to check the name of an IP address', () => {
    for (const host of ['127.0.0.1', '[::1]', 'db-b,127.0.0.1']) {
      const url = urlWith({ 'ssl-mode': 'VERIFY_IDENTITY' }, host);
      expect(faultsOf(url).join(), host).toMatch(/names of hosts/);
      expect(faultsOf(urlWith({ 'ssl-mode': 'VERIFY_CA' }, host)), host).toEqual([]);
    }
  });
});
