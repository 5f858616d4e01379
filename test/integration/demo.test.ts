/** `tidemark demo` as people and programs meet it: the built CLI, in a process of its own. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { StageDescription } from '../../src/demo/stage.js';
import type { Finding } from '../../src/doctor/finding.js';
import { tidemark } from '../support/cli.js';
import { flavors, query } from '../support/data-centers.js';
import { Demo } from '../support/demo.js';
import { until } from '../support/until.js';

const KEY = 'checkout/log-levels/api';
const ENDPOINT = {
  host: '127.0.0.1',
  port: expect.any(Number),
  user: expect.any(String),
  password: expect.any(String),
  database: 'tidemark',
};

async function spawnDemo(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Demo> {
  const demo = await Demo.spawn(args, env);
  onTestFinished(() => demo.remove());
  return demo;
}

/** The URL of a server, by the account that the demo prints. */
function urlOf({ host, port, user, password, database }: StageDescription['mysqlA']): string {
  return `mysql://${user}:${password}@${host}:${port}/${database}`;
}

/** What each reader answers for the key now. */
async function answers({ read }: Pick<StageDescription, 'read'>): Promise<string[]> {
  return await Promise.all(
    read.map(async ({ url }) => (await fetch(`${url}/v1/configs/${KEY}`)).text()),
  );
}

async function put({ write }: StageDescription, value: string): Promise<Response> {
  return await fetch(`${write.url}/v1/configs/${KEY}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${write.token}` },
    body: value,
  });
}

async function untilServed(stage: Pick<StageDescription, 'read'>, value: string): Promise<void> {
  await until(`every reader to serve ${value}`, async () =>
    (await answers(stage)).every((answer) => answer === value),
  );
}

describe.each(flavors)('the demo on %s', (flavor) => {
  let demo: Demo;
  let stage: StageDescription;
  beforeAll(async () => {
    demo = await Demo.spawn(['--flavor', flavor, '--readers', '3', '--json']);
    stage = await demo.description();
  });
  afterAll(() => demo?.remove());

  test('says where everything is in one line of JSON', () => {
    expect(stage).toEqual({
      flavor,
      mysqlA: ENDPOINT,
      mysqlB: ENDPOINT,
      redisB: { host: '127.0.0.1', port: expect.any(Number) },
      write: { url: expect.stringMatching(/^http:/), token: expect.any(String) },
      page: expect.stringMatching(/^http:\/\/127\.0\.0\.1:/),
      read: Array(3).fill({ url: expect.stringMatching(/^http:/), pid: expect.any(Number) }),
    });
    expect(stage.mysqlA.port).not.toBe(stage.mysqlB.port);
  });

  test('has 1,000 configurations in A and in B', async () => {
    for (const endpoint of [stage.mysqlA, stage.mysqlB]) {
      const [row] = await query(urlOf(endpoint), 'SELECT COUNT(*) AS count FROM configs');
      expect(row?.count).toBe(1000);
    }
  });

  test('gives its readers no right but SELECT on three tables', async () => {
    const rows = await query(urlOf(stage.mysqlB), "SHOW GRANTS FOR 'tidemark_reader'@'%'");
    const grants = rows.flatMap((row) => Object.values<string>(row));
    const rights = grants.map((grant) => /GRANT (.*?) ON .*?(\w+|\*)`? TO/.exec(grant)?.slice(1));
    expect(rights.toSorted()).toEqual([
      ['SELECT', 'config_changes'],
      ['SELECT', 'config_stream'],
      ['SELECT', 'configs'],
      ['USAGE', '*'],
    ]);
  });

  test('is sound, says the doctor', async () => {
    const { redisB } = stage;
    const env = {
      MYSQL_A_URL: urlOf(stage.mysqlA),
      MYSQL_B_URL: urlOf(stage.mysqlB),
      REDIS_URL: `redis://${redisB.host}:${redisB.port}`,
    };
    const { stdout, exitCode } = await tidemark(env, 'doctor', '--json');
    const { sound, findings } = JSON.parse(stdout);
    const faults = findings.filter(({ severity }: Finding) => severity === 'fault');
    expect({ faults, sound, exitCode }).toEqual({ faults: [], sound: true, exitCode: 0 });
    const readers = findings.find(({ check }: Finding) => check === 'readers');
    expect(readers.cause).toMatch(/^3, of version /);
  });

  test('serves a PUT by every reader', async () => {
    await untilServed(stage, (await answers(stage))[0] ?? ''); // each holds it by now
    const response = await put(stage, '{"level":"trace"}');
    expect(response.status).toBe(200);
    await untilServed(stage, '{"level":"trace"}');
  });

  test('serves a change by plain SQL by every reader', async () => {
    const update = 'UPDATE configs SET config_value = ? WHERE config_key = ?';
    await query(urlOf(stage.mysqlA), update, ['{"level":"off"}', KEY]);
    await untilServed(stage, '{"level":"off"}');
  });

  test('refuses a write without the token', async () => {
    const [{ url }, method] = [stage.write, 'PUT'];
    const response = await fetch(`${url}/v1/configs/${KEY}`, { method, body: '1' });
    expect(response.status).toBe(401);
  });

  test('goes on without a reader that was killed, and says so', async () => {
    const [killed, ...others] = stage.read;
    process.kill(killed?.pid ?? 0, 'SIGKILL');
    await until('a report', () => /read app 1 ended with SIGKILL/.test(demo.stderr));
    await put(stage, '{"level":"fatal"}');
    await untilServed({ read: others }, '{"level":"fatal"}');
    expect(demo.exitCode).toBeUndefined();
  });

  test('leaves no process and no folder after SIGTERM, and has printed nothing else', async () => {
    expect(await demo.processes()).toHaveLength(1 + 3 + 1 + 2); // itself, servers, write, read
    demo.signal('SIGTERM');
    expect(await demo.exited()).toBe(0);
    expect(await demo.leftovers()).toEqual([]);
    for (const { pid } of stage.read) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(demo.stdout).toBe(`${JSON.stringify(stage)}\n`);
  });
});

describe.each(flavors)('a demo on %s that is stopped while it starts', (flavor) => {
  test.each([
    ['as soon as it has a folder', 1 + 1],
    ['when its servers run', 1 + 1 + 3],
    ['when its apps start', 1 + 1 + 3 + 1],
  ])('%s leaves nothing', async (_when, leftovers) => {
    const demo = await spawnDemo(['--flavor', flavor, '--json']);
    const running = async () => (await demo.leftovers()).length;
    await until('it to be so far', async () => (await running()) >= leftovers);
    demo.signal('SIGINT');
    expect(await demo.exited()).toBe(0);
    expect(await demo.leftovers()).toEqual([]);
    expect(demo.stdout).toBe('');
  });
});

test('a demo whose read app does not start says which one, why, and leaves nothing', async () => {
  const demo = await spawnDemo(['--json'], { POLL_INTERVAL_MS: 'often' });
  expect(await demo.exited()).toBe(1);
  expect(demo.stderr).toMatch(/Expected the read app \d to be ready, it ended with exit status 2/);
  expect(demo.stderr).toContain('POLL_INTERVAL_MS: Expected an integer');
  expect(demo.stdout).toBe('');
  expect(await demo.leftovers()).toEqual([]);
});

test('a demo refuses a number of readers that makes no sense', async () => {
  const demo = await spawnDemo(['--readers', '0']);
  expect(await demo.exited()).toBe(2);
  expect(demo.stderr).toContain('--readers: Expected 1 to 16, got 0');
});

test('without a terminal it prints a plain line for each write', async () => {
  const demo = await spawnDemo(['--readers', '1'], { FORCE_COLOR: '1' });
  const line =
    /^version \d+ {2}\S+ {2}served after \d+(\.\d)? ms {2}\(p50 .* ms, p99 .* so far\)$/gm;
  await until('two writes', () => (demo.stdout.match(line) ?? []).length >= 2);
  expect(demo.stdout).not.toContain('\u001b');
  expect(demo.stdout).toContain('curl -X PUT http://127.0.0.1:');
  demo.signal('SIGINT');
  expect(await demo.exited()).toBe(0);
  expect(await demo.leftovers()).toEqual([]);
});
