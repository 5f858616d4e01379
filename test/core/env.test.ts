import { describe, expect, test } from 'vitest';
import { environmentTable, readSettings, settingsFor } from '../../src/env.js';
import { InvalidOptionsError } from '../../src/errors.js';
import { SETTINGS } from '../../src/settings.js';

const A = { MYSQL_A_URL: 'mysql://app:pw@db-a/app' };
const B = { MYSQL_B_URL: 'mysql://app:pw@db-b:3307/app', REDIS_URL: 'redis://:pw@cache/0' };

function faultsOf(...args: Parameters<typeof readSettings>): readonly string[] {
  try {
    readSettings(...args);
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.faults;
    throw error;
  }
  return [];
}

describe('settings', () => {
  test('have defaults for all but the URLs', () => {
    expect(readSettings('write', A)).toMatchObject({
      mysqlAUrl: A.MYSQL_A_URL,
      host: '127.0.0.1',
      port: 8080,
      maxValueBytes: 1_048_576,
      retentionHours: 24,
      table: 'configs',
      writeTokens: [],
    });
    expect(readSettings('read', B)).toMatchObject({
      port: 8081,
      pollIntervalMs: 250,
      redisTimeoutMs: 50,
      negativeTtlMs: 60_000,
      localTtlMs: 1_800_000,
      onChange: 'evict',
      keyPrefix: 'tidemark',
    });
  });

  test('take a flag before the environment, and an empty variable for none', () => {
    const environment = { ...B, PORT: '1', LOG_LEVEL: '', ON_CHANGE: 'refresh' };
    const settings = readSettings('read', environment, { port: '2' });
    expect(settings).toMatchObject({ port: 2, logLevel: 'info', onChange: 'refresh' });
  });

  test.each(['off', '* * * * *', '30 */5 * * * *'])('take %j for when to audit', (auditCron) => {
    expect(readSettings('read', B, { auditCron })).toMatchObject({ auditCron });
  });

  test('name every fault at once, by the name under which it was given', () => {
    const environment = {
      REDIS_URL: 'http://cache',
      PORT: '65536',
      POLL_INTERVAL_MS: '4',
      AUDIT_CRON: 'hourly',
    };
    expect(faultsOf('read', environment, { onChange: 'ignore', table: 'a.b' })).toEqual([
      expect.stringMatching(/^MYSQL_B_URL: Expected .*mysql:.*got none/),
      expect.stringMatching(/^REDIS_URL: Expected .*redis:/),
      'PORT: Expected an integer from 0 to 65535, got "65536"',
      'POLL_INTERVAL_MS: Expected an integer from 5 to 60000, got "4"',
      '--on-change: Expected one of evict, refresh, got "ignore"',
      'AUDIT_CRON: Expected a cron expression like * * * * *, or off, got "hourly"',
      expect.stringMatching(/^--table: Expected a plain name/),
    ]);
  });

  test('take collections as a text that is one', () => {
    const text = 'configs; settings=app_settings(id: name, value)';
    expect(readSettings('read', { ...B, COLLECTIONS: text }).collections).toBe(text);
    expect(readSettings('write', A).collections).toBe('');
    expect(faultsOf('read', { ...B, COLLECTIONS: 'settings=app_settings' })).toEqual([
      expect.stringMatching(/^COLLECTIONS: Expected "\(" at character 22, got its end/),
    ]);
  });

  test.each(['', ' ', '5.5', '0x10', '1e3', '-1', 'NaN', 'Infinity', '9'.repeat(20), '１０'])(
    'do not take %j for a poll interval',
    (text) => {
      expect(faultsOf('read', B, { pollIntervalMs: text })).toHaveLength(1);
    },
  );

  test.each([
    'hunter2',
    'mysql://app:hunter2@',
    'mysql://app:hunter2@host',
    'mysql://app:hunter2@host/',
    'mysql://app:hunter2@host/a/b',
    'mysql://:hunter2@host/app',
    'mysql://app:hunter2%zz@host/app',
    'mysql://app:hunter2@host:99999/app',
    'postgres://app:hunter2@host/app',
    'mysql://app:x@host/app?hunter2=1',
    'mysql://app:x@host/app?ssl-mode=hunter2',
    'mysql://app:x@host/app?ssl-ca=/hunter2',
  ])('refuse the URL %s and do not repeat it', (url) => {
    const faults = faultsOf('write', { MYSQL_A_URL: url });
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.join()).not.toContain('hunter2');
  });

  test('do not repeat tokens', () => {
    const faults = faultsOf('write', { ...A, WRITE_TOKENS: 'good,hunter2 hunter3' });
    expect(faults).toHaveLength(1);
    expect(faults.join()).not.toContain('hunter');
    const { writeTokens } = readSettings('write', { ...A, WRITE_TOKENS: 'one, two' });
    expect(writeTokens).toEqual(['one', 'two']);
  });

  test('take URLs of read apps, and repeat none that is wrong', () => {
    expect(readSettings('write', A).hintUrls).toEqual([]);
    const { hintUrls } = readSettings('write', { ...A, HINT_URLS: 'http://b:1, https://c/base' });
    expect(hintUrls).toEqual(['http://b:1', 'https://c/base']);
    for (const url of [
      'b:1',
      'ftp://b',
      'http://',
      'http://u:hunter2@b',
      'http://b?a',
      'http://b,',
    ]) {
      const faults = faultsOf('write', { ...A, HINT_URLS: url });
      expect(faults, url).toHaveLength(1);
      expect(faults.join()).not.toContain('hunter');
    }
  });

  test('take load balancers by address and network, and name each that is none', () => {
    expect(readSettings('read', B).trustProxy).toEqual([]);
    const { trustProxy } = readSettings('write', { ...A, TRUST_PROXY: '10.0.0.0/8, ::1' });
    expect(trustProxy).toEqual(['10.0.0.0/8', '::1']);
    const expected =
      'TRUST_PROXY: Expected addresses or networks like 10.0.0.0/8 separated by commas';
    expect(faultsOf('read', { ...B, TRUST_PROXY: 'true,10.0.0.1,0.0.0.0/0' })).toEqual([
      `${expected}, got "true"`,
      `${expected}, got "0.0.0.0/0"`,
    ]);
  });

  test('hold only what the command uses', () => {
    expect(Object.keys(readSettings('migrate', A))).toEqual(['mysqlAUrl']);
    expect(settingsFor('write').map(([name]) => name)).not.toContain('redisUrl');
  });

  test('have flags that commander turns into their names, and a row each in the table', () => {
    for (const [name, { flag, env }] of Object.entries(SETTINGS)) {
      expect(flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())).toBe(name);
      expect(flag.toUpperCase().replaceAll('-', '_')).toBe(env);
      expect(environmentTable()).toContain(`| \`${env}\` |`);
    }
  });
});
