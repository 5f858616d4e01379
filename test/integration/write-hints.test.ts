/**
 * Hints as the commands send them: a PUT at `tidemark write` in A brings the value to `tidemark read`
 * in B long before its next poll. All apps are processes, and take their settings as anyone's do.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import { createDatabase, flavors, type TestDatabase } from '../support/data-centers.js';
import { until } from '../support/until.js';

const PATIENT_MS = 180_000; // processes start, on any machine
/** The longest interval that the setting takes, and nothing else that would have the app poll. */
const ASLEEP = { POLL_INTERVAL_MS: '60000', EARLY_WAKE: 'off', AUDIT_CRON: 'off' };
/** A poll at its time could bring the value, too: this one came by a hint. */
const FOLLOWED = /tidemark_hints_total\{outcome="followed"\} [1-9]/;
/** Nobody listens there. */
const NOBODY = 'http://127.0.0.1:1';

describe.each(flavors)('the write app on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  /** An app that is ready, and ends with the test. */
  async function started(
    command: 'write' | 'read',
    env: Readonly<Record<string, string>> = {},
  ): Promise<AppProcess> {
    const urls = { MYSQL_A_URL: db.writer, MYSQL_B_URL: db.reader, REDIS_URL: db.redis };
    const all = { ...process.env, ...urls, ...env };
    const app = await AppProcess.spawn({ name: `${command} app`, command, env: all });
    onTestFinished(() => app.stop());
    await until(`a ready ${command} app`, async () => (await fetch(`${app.url}/health/ready`)).ok);
    return app;
  }

  async function put(app: AppProcess, key: string, body: string): Promise<number> {
    const answer = await fetch(`${app.url}/v1/configs/${key}`, { method: 'PUT', body });
    expect(answer.ok).toBe(true);
    return JSON.parse(await answer.text()).version;
  }

  /** What a read app tells, with the token of whoever may read. */
  async function told(app: AppProcess, path: string, token: string): Promise<string> {
    const headers = { authorization: `Bearer ${token}` };
    return await (await fetch(`${app.url}${path}`, { headers })).text();
  }

  const readOf = (app: AppProcess, token: string) => told(app, '/v1/configs/hinted', token);

  test(
    'hints each read app with its own token, and one of those tells another through Redis',
    async () => {
      const [one, other, peer] = await Promise.all([
        started('read', { ...ASLEEP, READ_TOKENS: 'one', REDIS_HINTS: 'on' }),
        started('read', { ...ASLEEP, READ_TOKENS: 'other' }),
        started('read', { ...ASLEEP, READ_TOKENS: 'peer', REDIS_HINTS: 'on' }),
      ]);
      const write = await started('write', {
        HINT_URLS: [one.url, other.url].join(),
        HINT_TOKENS: 'one,other',
      });
      const readers = [
        { app: one, token: 'one' },
        { app: other, token: 'other' },
        { app: peer, token: 'peer' },
      ];
      // All hold the absence of it, so that only what the log brings can change their answer.
      for (const { app, token } of readers) {
        expect(await readOf(app, token)).toContain('not_found');
      }
      await put(write, 'hinted', '"new"');
      for (const { app, token } of readers) {
        await until('the new value', async () => {
          // Its subscription may not have been there yet: what is lost in Redis, the next one makes up.
          if (app === peer) await put(write, 'hinted', '"new"');
          return (await readOf(app, token)) === '"new"';
        });
        expect(await told(app, '/metrics', token)).toMatch(FOLLOWED);
      }
    },
    PATIENT_MS,
  );

  test(
    'answers a PUT whose hint arrives nowhere, says so once, and hints those that are there',
    async () => {
      const read = await started('read', { ...ASLEEP, READ_TOKENS: 'secret' });
      const write = await started('write', {
        HINT_URLS: [NOBODY, read.url].join(),
        HINT_TOKENS: 'secret',
      });
      const lost = () => write.tail.split('\n').filter((line) => line.includes('did not arrive'));
      await readOf(read, 'secret'); // held from now on, until the log says otherwise
      let version = 0;
      for (const value of ['1', '2', '3']) {
        const next = await put(write, 'hinted', value);
        expect(next).toBeGreaterThan(version);
        version = next;
      }
      await until('the newest value', async () => (await readOf(read, 'secret')) === '3');
      expect(await told(read, '/metrics', 'secret')).toMatch(FOLLOWED);
      await until('a line of the log', () => lost().length > 0);
      expect(lost()).toHaveLength(1);
      expect(lost()[0]).toContain('127.0.0.1:1');
      expect(write.tail).not.toContain('secret');
    },
    PATIENT_MS,
  );
});
