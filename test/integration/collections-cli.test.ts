/** The commands with COLLECTIONS, as processes: track and migrate in A, write in A, read in B. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import type { Finding } from '../../src/doctor/finding.js';
import { createDatabase, flavors, query } from '../support/data-centers.js';
import { CONSTANCE, OC_APPCONFIG } from '../support/sample-tables.js';
import { ownFolder } from '../support/tracking.js';
import { until } from '../support/until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PATIENT_MS = 240_000; // six processes start, on any machine

describe.each(flavors)('the commands with several collections on %s', (flavor) => {
  test(
    'track, migrate, write and read them',
    async () => {
      const db = await createDatabase(flavor);
      onTestFinished(() => db.drop());
      const out = await ownFolder();
      const env = { ...process.env, MYSQL_A_URL: db.a, LOG_LEVEL: 'silent' };
      const runWith = async (environment: NodeJS.ProcessEnv, ...args: string[]) =>
        (await promisify(execFile)(process.execPath, [MAIN, ...args], { env: environment })).stdout;
      const run = (...args: string[]) => runWith(env, ...args);
      const texts = ['configs'];
      for (const { table, create, key, value } of [CONSTANCE, OC_APPCONFIG]) {
        await query(db.a, create);
        const columns = ['--key', key.join(','), '--value', value.join(', ')];
        const printed = await run('track', table, ...columns, '--out', out);
        texts.push(/COLLECTIONS='configs; (.*)'$/m.exec(printed)?.[1] ?? '');
      }
      expect(await run('migrate', '--dir', out)).toMatch(/Applying 1002_track_oc_appconfig/);
      await db.caughtUp();

      const all = { ...env, MYSQL_B_URL: db.b, REDIS_URL: db.redis, COLLECTIONS: texts.join('; ') };
      const apps = await Promise.all(
        (['write', 'read'] as const).map((command) =>
          AppProcess.spawn({ name: command, command, env: all }),
        ),
      );
      onTestFinished(async () => void (await Promise.all(apps.map((app) => app.stop()))));
      const urls = apps.map(({ url }) => url);
      const get = (path: string, app: 'write' | 'read' = 'read') =>
        fetch(`${urls[app === 'write' ? 0 : 1]}${path}`);
      const isReady = async (app: 'write' | 'read') => (await get('/health/ready', app)).ok;
      await until('both apps', async () => (await isReady('write')) && (await isReady('read')));

      const path = '/v1/constance_constance/THEME';
      const put = await fetch(`${urls[0]}${path}`, { method: 'PUT', body: '"dark"' });
      expect(put.status).toBe(201);
      await query(db.a, "INSERT INTO oc_appconfig (appid, configkey) VALUES ('core', 'theme')");
      const read = async (at: string) => (await get(at)).text();
      await until('the setting in B', async () => (await read(path)) === '"dark"');
      await until('the row in B', async () =>
        (await read('/v1/oc_appconfig/core/theme')).includes('"type"'),
      );
      const metrics = await (await get('/metrics')).text();
      expect(metrics).toContain('tidemark_applied_version{collection="oc_appconfig"}');
      expect(metrics).toContain('process_cpu_seconds_total');
      const written = await (await get('/metrics', 'write')).text();
      expect(written).toContain(
        'tidemark_write_group_size_count{collection="constance_constance"} 1',
      );
      expect(written).toContain('tidemark_maintenance_leader 1');

      const tables = ['configs', 'constance_constance', 'oc_appconfig'];
      const lines = async (...args: string[]) =>
        (await runWith(all, ...args, '--json'))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
      await until('the reader in the roster', async () =>
        (await lines('status')).every(({ readers }) => readers.length === 1),
      );
      expect((await lines('status')).map(({ table }) => table)).toEqual(tables);
      const verified = await lines('verify');
      expect(verified.map(({ keys, sound }) => [keys, sound])).toEqual([
        [0, true],
        [1, true],
        [1, true],
      ]);
      expect((await lines('rebase', '--yes')).map(({ table, begun }) => [table, begun])).toEqual(
        tables.map((table) => [table, 1]),
      );
      const { findings } = JSON.parse(await runWith(all, 'doctor', '--json'));
      const triggers = (findings as Finding[]).filter(
        ({ place, check }) => place === 'MySQL-A' && check === 'triggers',
      );
      expect(triggers.map(({ collection, severity }) => [collection, severity])).toEqual(
        tables.map((table) => [table, 'ok']),
      );
    },
    PATIENT_MS,
  );
});
