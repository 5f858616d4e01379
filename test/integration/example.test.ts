/** examples/service.ts as its reader would run it: a process of its own, on the built package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../src/demo/server-process.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { until } from '../support/until.js';

const FILE = fileURLToPath(new URL('../../examples/service.ts', import.meta.url));
const PUT = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';

test('the example is short enough to be read', () => {
  expect(readFileSync(FILE, 'utf8').trim().split('\n').length).toBeLessThanOrEqual(30);
});

describe.each(flavors)('on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  test('the example serves what was written in A, says what changed, and ends', async () => {
    const port = String(await freePort());
    const child = spawn('node', ['--import', 'tsx', FILE], {
      env: { ...process.env, MYSQL_B_URL: db.reader, REDIS_URL: db.redis, PORT: port },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let printed = '';
    child.stdout.on('data', (chunk) => (printed += chunk));
    const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    await until('health', async () => (await ask('/health')).status === 200);
    const greets = async (text: string) => (await (await ask('/')).text()).startsWith(text);
    await until('the default', () => greets('Hello'));
    await query(db.a, PUT, ['greeter/greeting', '{"text":"Good morning"}']);
    await until('what was written', () => greets('Good morning'));
    expect(printed).toMatch(/version \d+ changed greeter\/greeting/);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
