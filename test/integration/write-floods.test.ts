/** Floods of writes on the write app as a process, over a real MySQL-A: what is refused, what is kept. */
import { Agent, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import { flavors } from '../support/data-centers.js';
import { until } from '../support/until.js';
import { WriterFixture } from '../support/writer-fixture.js';

const LOCK_HEAD = 'SELECT head FROM config_stream WHERE id = 1 FOR UPDATE';
const OPEN = ['/health/live', '/metrics', '/v1/openapi.json'];

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly type: string | undefined;
  readonly body: { readonly code?: string; readonly detail?: string };
}

describe.each(flavors)('floods of writes on %s', (flavor) => {
  const fixture = new WriterFixture(flavor);

  /** The app, and what sends it a PUT over a connection of its own. */
  async function start(settings: Record<string, string> = {}) {
    const env = { ...process.env, MYSQL_A_URL: fixture.database.writer, LOG_LEVEL: 'silent' };
    const app = await AppProcess.spawn({
      ...{ name: 'write app', command: 'write' },
      env: { ...env, ...settings },
    });
    onTestFinished(() => app.stop());
    await app.untilReady(AbortSignal.timeout(60_000));
    const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY });
    const put = (key: string, value: string, headers: Record<string, string> = {}) =>
      new Promise<Answer>((resolve, reject) => {
        const sent = request(`${app.url}/v1/configs/${key}`, { method: 'PUT', agent, headers });
        sent.on('error', reject).on('response', (response) => {
          buffer(response).then((body) => {
            resolve({
              status: response.statusCode ?? 0,
              retryAfter: response.headers['retry-after'],
              type: response.headers['content-type'],
              body: JSON.parse(body.toString()),
            });
          }, reject);
        });
        sent.end(value);
      });
    return { url: app.url, put };
  }

  test.each([
    ['1,300 writes', 1_300, '"x"'],
    ['90 writes of 1 MiB', 90, `"${'x'.repeat(1024 * 1024 - 2)}"`],
  ])(
    '%s while MySQL-A takes none: 503 for what is too much, and of the others each is kept',
    async (_what, count, value) => {
      const { url, put } = await start();
      const answers = new Map<string, Answer>();
      let flood: Promise<unknown> = Promise.resolve();
      await fixture.locked(LOCK_HEAD, async () => {
        const keys = Array.from({ length: count }, (_, index) => `k${index}`);
        flood = Promise.all(keys.map(async (key) => answers.set(key, await put(key, value))));
        await until('refusals', () => answers.size > 10);
        for (const path of OPEN) expect((await fetch(`${url}${path}`)).status).toBe(200);
      });
      await flood;
      const refused = [...answers].filter(([, { status }]) => status === 503);
      const kept = [...answers].filter(([, { status }]) => status === 201);
      expect(refused.length + kept.length).toBe(count);
      for (const [, { type, retryAfter, body }] of refused) {
        expect([type, retryAfter, body.code]).toEqual([
          'application/problem+json',
          '1',
          'unavailable',
        ]);
      }
      // A machine that is slow adds those that have waited for too long.
      const full = refused.filter(([, { body }]) => body.detail?.includes('the queue of writes'));
      expect(full.length).toBeGreaterThan(0);
      const rows = await fixture.run('SELECT config_key AS k FROM configs');
      expect(rows.map(({ k }) => k).toSorted()).toEqual(kept.map(([key]) => key).toSorted());
      expect((await put('afterwards', '1')).status).toBe(201);
    },
    120_000,
  );

  test('RATE_LIMIT_PER_SECOND is kept per address, which TRUST_PROXY says who tells', async () => {
    const RATE_LIMIT_PER_SECOND = '5';
    const statuses = async (settings: Record<string, string>) => {
      const { put } = await start({ RATE_LIMIT_PER_SECOND, ...settings });
      const writes = Array.from({ length: 60 }, (_, index) =>
        put('k', '1', { 'x-forwarded-for': `10.0.0.${index}` }),
      );
      const answers = await Promise.all(writes);
      for (const { status, retryAfter, type, body } of answers) {
        if (status !== 429) continue;
        expect(body.code).toBe('too_many_requests');
        expect([retryAfter, type]).toEqual(['1', 'application/problem+json']);
      }
      return new Set(answers.map(({ status }) => (status === 201 ? 200 : status)));
    };
    expect(await statuses({})).toEqual(new Set([200, 429]));
    expect(await statuses({ TRUST_PROXY: '10.9.0.0/16' })).toEqual(new Set([200, 429]));
    expect(await statuses({ TRUST_PROXY: '127.0.0.1' })).toEqual(new Set([200]));
  }, 120_000);
});
