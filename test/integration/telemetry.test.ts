/** What running apps and readers tell: log lines without secrets, and OpenTelemetry when asked. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { printed } from '../support/printed.js';
import { startReader, taken } from '../support/readers.js';
import { until } from '../support/until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;
const SDK = new URL('../support/otel-sdk.mjs', import.meta.url).href;
const INSERT = 'INSERT INTO configs (config_key, config_value) VALUES (?, ?)';

async function errorOf(task: Promise<unknown>): Promise<Error> {
  const error = await task.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Error) return error;
  throw new Error('Expected an error, got none');
}

describe.each(flavors)('beside %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  test('a page is one line at info, a key that is loaded one at debug, a value in none', async () => {
    const { logger, lines } = printed('debug');
    const reader = await startReader(db, { logger });
    const told = () =>
      lines.splice(0).map((line) => {
        expect(line).not.toContain('hunter2');
        const { level, msg, keys, key, tier } = JSON.parse(line);
        return { level, msg, what: keys ?? `${key} from ${tier}` };
      });
    await query(db.a, INSERT, ['one', '{"password":"hunter2"}']);
    await query(db.a, INSERT, ['two', '"hunter2"']);
    await taken(db.a, [reader]);
    expect(told().filter(({ msg }) => msg === 'applied a page of changes')).toEqual(
      expect.arrayContaining([expect.objectContaining({ level: 30 })]),
    );
    for (let time = 0; time < 3; time += 1) await reader.get('one');
    expect(told().filter(({ what }) => what.toString().startsWith('one'))).toEqual([
      {
        level: 20,
        msg: 'refreshed a key',
        what: expect.stringMatching(/^one from (redis|mysql)$/),
      },
    ]);
  });

  test('what mysql2 throws loses values and passwords on its way into the log', async () => {
    const { logger, lines } = printed();
    await query(db.a, INSERT, ['hunter2', '1']);
    const url = new URL(db.a);
    url.password = 'hunter2';
    const faults = [
      () => query(db.a, INSERT, ['hunter2', '1']), // quoted by ER_DUP_ENTRY
      () => query(db.a, "INSERT INTO configs VALUES ('hunter2', '1', '2', '3', '4', '5')"),
      () => query(db.a, "SELECT 'hunter2' FROM"), // quoted by ER_PARSE_ERROR
      () => query(url.href, 'SELECT 1'),
    ];
    for (const fault of faults) {
      const error = await errorOf(fault());
      logger.error({ err: new Error('a request failed', { cause: error }) }, 'a request failed');
      logger.error({ err: error }, 'a request failed');
    }
    expect(lines).toHaveLength(2 * faults.length);
    for (const line of lines) {
      expect(line).not.toContain('hunter2');
      expect(line).toMatch(/ER_[A-Z_]+/);
    }
  });

  test('an app that cannot get in prints no password, whatever fails', async () => {
    const secret = (text: string, password: string) => {
      const url = new URL(text);
      url.username = 'nobody';
      url.password = password;
      return url.href;
    };
    const env = {
      ...process.env,
      LOG_LEVEL: 'trace',
      PORT: '0',
      MYSQL_B_URL: secret(db.b, 'hunter2-mysql'),
      REDIS_URL: secret(db.redis, 'hunter2-redis'),
      READ_TOKENS: 'hunter2-token',
    };
    const { code, output } = await ended([MAIN, 'read'], env);
    expect(code).toBe(1);
    expect(output).toContain('ER_ACCESS_DENIED_ERROR');
    expect(output).not.toContain('hunter2');
  });

  test.each([
    { command: 'write', some: ['tidemark.write', 'tidemark.maintenance_leader'] },
    { command: 'read', some: ['tidemark.staleness', 'tidemark.reads', 'tidemark.poll'] },
  ] as const)(
    'with OPENTELEMETRY=on an SDK that was set up gets all metrics of the $command app',
    async ({ command, some }) => {
      const env = {
        ...process.env,
        ...{ MYSQL_A_URL: db.a, MYSQL_B_URL: db.b, REDIS_URL: db.redis },
        OPENTELEMETRY: 'on',
        NODE_OPTIONS: `--import ${SDK}`,
      };
      const app = await AppProcess.spawn({ name: `${command} app`, command, env });
      onTestFinished(() => app.stop());
      await app.untilReady(AbortSignal.timeout(45_000));
      if (command === 'write') {
        await fetch(`${app.url}/v1/configs/measured`, { method: 'PUT', body: '1' });
      }
      const measured = await until('a metric of each kind', async () => {
        const names = namesMeasured(await (await fetch(`${app.url}/metrics`)).text());
        return some.every((name) => names.includes(name)) && names;
      });
      await until('an export of all of them', () => {
        const [line = ''] = app.tail.match(/exported .*/) ?? [];
        const exported = new Set(line.split(' '));
        return measured.every((name) => exported.has(name));
      });
    },
  );
});

/** Of what `/metrics` tells, the names that OpenTelemetry has for what there are numbers of. */
function namesMeasured(text: string): string[] {
  const types = [...text.matchAll(/^# TYPE (tidemark_\w+) (\w+)$/gm)];
  const isMeasured = ([, name, type]: RegExpMatchArray) =>
    type === 'histogram'
      ? new RegExp(`^${name}_count.* [1-9]`, 'm').test(text)
      : new RegExp(`^${name}(\\{.*\\})? [\\d.]+$`, 'm').test(text);
  return types
    .filter(isMeasured)
    .map(([, name = '']) => name.replace(/(_seconds|_bytes|_total)$/, '').replace('_', '.'));
}

/** How a process of Node ended, and all that it printed. */
function ended(args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, args, { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  return new Promise<{ code: number | null; output: string }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

test('OPENTELEMETRY=on without the package says what to install; without both all is well', async () => {
  // Takes the package away from one process.
  const hooks = `export const resolve = (name, context, next) => {
    if (name !== '@opentelemetry/api') return next(name, context);
    throw Object.assign(new Error('Cannot find it'), { code: 'ERR_MODULE_NOT_FOUND' });
  };`;
  const register = `import { register } from 'node:module';
    register('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(hooks))});`;
  const without = ['--import', `data:text/javascript,${encodeURIComponent(register)}`];
  const nowhere = { MYSQL_B_URL: 'mysql://nobody@127.0.0.1:1/x', REDIS_URL: 'redis://127.0.0.1:1' };
  const env = { ...process.env, ...nowhere, OPENTELEMETRY: 'on', PORT: '0' };
  const asked = await ended([...without, MAIN, 'read'], env);
  expect(asked.output).toContain('npm install @opentelemetry/api');
  expect(asked.code).toBe(2);
  const library = ['--input-type=module', '--eval', `await import('${LIBRARY}')`];
  expect(await ended([...without, ...library], env)).toEqual({ code: 0, output: '' });
});
