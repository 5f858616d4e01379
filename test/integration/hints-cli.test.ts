/** Hints between the commands, as processes: the write app tells one read app, Redis the others. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import { freePort } from '../../src/demo/server-process.js';
import { createDatabase, flavors } from '../support/data-centers.js';
import { until } from '../support/until.js';

const PATIENT_MS = 120_000; // four processes start, on any machine
const AUTHORIZED = { headers: { Authorization: 'Bearer secret' } };

/** Readers that look once a minute, unless they are told. */
const ASLEEP = { POLL_INTERVAL_MS: '60000', EARLY_WAKE: 'off', AUDIT_CRON: 'off' };

interface Applied {
  readonly applied: number;
}

describe.each(flavors)('hints between the commands on %s', (flavor) => {
  test(
    'a write reaches readers that are told long before they would have looked',
    async () => {
      const db = await createDatabase(flavor);
      onTestFinished(() => db.drop());
      const start = async (command: 'write' | 'read', settings: NodeJS.ProcessEnv) => {
        const env = { ...process.env, LOG_LEVEL: 'info', ...settings };
        const app = await AppProcess.spawn({ name: command, command, env });
        onTestFinished(() => app.stop());
        await until(`the ${command} app`, async () => (await fetch(`${app.url}/health/ready`)).ok);
        return app;
      };
      const reading = { ...ASLEEP, MYSQL_B_URL: db.b, REDIS_URL: db.redis, READ_TOKENS: 'secret' };
      const [told, passedOn, deaf] = await Promise.all(
        (['on', 'on', 'off'] as const).map((REDIS_HINTS) =>
          start('read', { ...reading, REDIS_HINTS }),
        ),
      );
      const nobody = `http://127.0.0.1:${await freePort()}`; // lost hints cost nothing
      const writing = { HINT_URLS: `${nobody},${told?.url}`, HINT_TOKENS: 'secret' };
      const app = await start('write', { MYSQL_A_URL: db.a, ...writing });

      const applied = async (reader: AppProcess | undefined) =>
        ((await (await fetch(`${reader?.url}/v1/status`, AUTHORIZED)).json()) as Applied).applied;
      const hintsOf = async (reader: AppProcess | undefined) => {
        const metrics = await (await fetch(`${reader?.url}/metrics`)).text();
        return Number(/^tidemark_hints_total\{outcome="followed"\} (\d+)/m.exec(metrics)?.[1] ?? 0);
      };
      const put = async () => {
        const answer = await fetch(`${app.url}/v1/configs/told`, { method: 'PUT', body: '1' });
        expect(answer.ok).toBe(true);
        return ((await answer.json()) as { version: number }).version;
      };
      const version = await put();
      await until('the reader that is told', async () => (await applied(told)) >= version);
      // A subscription may not be there yet: what it misses is followed by the next.
      await until(
        'the reader that hears of it',
        async () => (await applied(passedOn)) >= version || (await put()) === 0,
      );
      expect(await hintsOf(told)).toBeGreaterThan(0);
      expect(await hintsOf(passedOn)).toBeGreaterThan(0);
      expect(await hintsOf(deaf)).toBe(0);
    },
    PATIENT_MS,
  );
});
