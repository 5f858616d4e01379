/** URLs of Redis: what they say, and that faults are told all at once without repeating the URL. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, Redis } from 'ioredis';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { readSettings } from '../../src/env.js';
import { createReader, InvalidOptionsError } from '../../src/index.js';
import { openRedis } from '../../src/redis/client.js';
import { parseRedisUrl, REDIS_URL_SHAPES, redisUrlFaults } from '../../src/redis/url.js';
import { until } from '../support/until.js';

const at = (host: string, port: number) => ({ host, port });

describe('a URL of Redis', () => {
  test.each(REDIS_URL_SHAPES)('has the shape %s, or the same with TLS', (url) => {
    expect(redisUrlFaults(url)).toEqual([]);
    expect(redisUrlFaults(url.replace('redis', 'rediss'))).toEqual([]);
  });

  test('names one server', () => {
    expect(parseRedisUrl('redis://cache-b')).toEqual({
      kind: 'server',
      addresses: [at('cache-b', 6379)],
      credentials: {},
      database: 0,
      master: '',
      sentinelCredentials: {},
      tls: undefined,
    });
    expect(parseRedisUrl('redis://ann:p%40ss%2F@[::1]:7/12')).toMatchObject({
      addresses: [at('::1', 7)],
      credentials: { username: 'ann', password: 'p@ss/' },
      database: 12,
    });
    expect(parseRedisUrl('redis://:pw@cache/').credentials).toEqual({ password: 'pw' });
  });

  test('names a master that sentinels know', () => {
    const url =
      'redis-sentinel://:pw@a,b:7/my%20master/3?sentinel-user=s&sentinel-password=a+b%20c';
    expect(parseRedisUrl(url)).toMatchObject({
      kind: 'sentinel',
      addresses: [at('a', 26_379), at('b', 7)],
      credentials: { password: 'pw' },
      sentinelCredentials: { username: 's', password: 'a+b c' },
      master: 'my master',
      database: 3,
    });
  });

  test('names nodes of a cluster', () => {
    expect(parseRedisUrl('redis-cluster://u:pw@a:1,[::1],c/')).toMatchObject({
      kind: 'cluster',
      addresses: [at('a', 1), at('::1', 6379), at('c', 6379)],
      credentials: { username: 'u', password: 'pw' },
    });
  });

  test('checks the certificate and the name on it unless told otherwise', () => {
    const tls = (query: string) => parseRedisUrl(`rediss://host${query}`).tls;
    expect(tls('')).toEqual({ rejectUnauthorized: true });
    expect(tls('?ssl-mode=verify_ca')?.rejectUnauthorized).toBe(true);
    expect(tls('?ssl-mode=verify_ca')?.checkServerIdentity).toBeDefined();
    expect(tls('?ssl-mode=REQUIRED')?.rejectUnauthorized).toBe(false);
  });

  const folder = mkdtempSync(join(tmpdir(), 'tidemark-'));
  const garbage = join(folder, 'garbage.pem');
  writeFileSync(garbage, '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n');

  test.each([
    ['hunter2', 1],
    ['http://u:hunter2@host', 1],
    ['redis://u:hunter2@', 1],
    ['redis://u:hunter2@host:0', 1],
    ['redis://u:hunter2@host:65536', 1],
    ['redis://u:hunter2@ho st', 1],
    ['redis://u:hunter2@a@host', 1],
    ['redis://u:hunter2@a,b', 1],
    ['redis://u:hunter2@host/x', 1],
    ['redis://u:hunter2@host/1/2', 1],
    ['redis://u:hunter2%zz@host', 1],
    ['redis://hunter2@host', 1],
    ['redis://host?hunter2=1', 1],
    ['redis://host?ssl-ca=/hunter2', 1],
    ['redis://host#hunter2', 1],
    ['rediss://host?ssl-mode=hunter2', 1],
    ['rediss://host?ssl-mode=disabled', 1],
    ['rediss://host?ssl-ca=/hunter2', 1],
    ['rediss://host?ssl-key=/hunter2', 2],
    [`rediss://host?ssl-cert=${garbage}&ssl-key=${garbage}`, 1],
    ['rediss://host?sentinel-password=hunter2', 1],
    ['redis-sentinel://u:hunter2@a,b', 1],
    ['redis-sentinel://u:hunter2@a,,b/m', 1],
    ['redis-sentinel://a/m?sentinel-user=hunter2', 1],
    ['redis-sentinel://a/%zzhunter2', 1],
    ['redis-cluster://u:hunter2@a,b/1', 1],
    ['redis-cluster://u:hunter2@a:0,b c/1?hunter2=1', 4],
  ])('is refused without repeating it: %s', (url, count) => {
    const faults = redisUrlFaults(url);
    expect(faults).toHaveLength(count);
    expect(faults.join()).not.toContain('hunter2');
    for (const fault of faults) expect(fault).toMatch(/^Expected /);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('is refused by a reader and by the settings alike', () => {
    const redis = 'redis-cluster://u:hunter2@a:0/1';
    const create = () => createReader({ mysql: 'mysql://u:p@127.0.0.1:1/d', redis });
    expect(create).toThrow(InvalidOptionsError);
    expect(create).toThrow('Expected ports from 1 to 65535');
    expect(create).toThrow('Expected no database, or 0');
    const settings = { MYSQL_B_URL: 'mysql://u:p@host/d', REDIS_URL: redis };
    expect(() => readSettings('read', settings)).toThrow(
      'REDIS_URL: Expected ports from 1 to 65535',
    );
  });
});

describe('a client of a Redis that is not there', () => {
  test.each([
    ['redis://127.0.0.1:1', Redis],
    ['redis-sentinel://127.0.0.1:1,127.0.0.1:2/mymaster', Redis],
    ['redis-cluster://127.0.0.1:1,127.0.0.1:2', Cluster],
  ])('fails each command at once, tells, and goes on trying: %s', async (url, One) => {
    let told = 0;
    const client = openRedis(url, () => {
      told += 1;
    });
    onTestFinished(() => client.disconnect());
    expect(client).toBeInstanceOf(One);
    const startMs = performance.now();
    await expect(client.mget('a')).rejects.toThrow();
    await until('three faults', () => told > 2);
    await expect(client.mget('a')).rejects.toThrow();
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});
