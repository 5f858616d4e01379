/** What README.md and docs/ say, held together with what is so: tables, example, who needs which rights. */
import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { environmentTable } from '../src/env.js';
import { problemOf } from '../src/http/problem.js';
import * as tidemark from '../src/index.js';
import { createReader, Maintenance, TidemarkError, Writer } from '../src/index.js';
import { REDIS_URL_SHAPES } from '../src/redis/url.js';
import { createDatabase, flavors, query, type TestDatabase } from './support/data-centers.js';
import { SILENT } from './support/readers.js';

const textOf = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** The text between ``` marks that begins with `start`. */
function codeBlock(document: string, language: string, start: string): string {
  const blocks = textOf(document).split('```');
  const found = blocks.find((block) => block.startsWith(`${language}\n${start}`));
  if (found === undefined) throw new Error(`Expected a block of ${language} with ${start}`);
  return found.slice(language.length + 1).trim();
}

test('lists the whole environment', () => {
  expect(textOf('docs/settings.md')).toContain(environmentTable());
});

test('the settings that README shows are some of them', () => {
  const [, section = ''] = textOf('README.md').split('\n## Settings\n');
  const [table = ''] = section.split('\n## ');
  const named = [...table.matchAll(/^\| (`[A-Z_`, ]+`) \|/gm)].flatMap(([, names = '']) =>
    names.split(', '),
  );
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(environmentTable()).toContain(`| ${name} |`);
});

test('shows each shape of a URL of Redis', () => {
  expect(codeBlock('docs/settings.md', '', 'redis://')).toBe(REDIS_URL_SHAPES.join('\n'));
});

test('lists the metrics that there are, and no others', async () => {
  const mysql = 'mysql://nobody:nothing@127.0.0.1:1/nowhere'; // never connected to
  const reader = createReader({ mysql, redis: 'redis://127.0.0.1:1', logger: SILENT });
  const writer = new Writer({ mysql });
  const maintenance = new Registry();
  new Maintenance({ pool: writer.pool, logger: SILENT, registry: maintenance });
  onTestFinished(async () => void (await Promise.all([reader.stop(), writer.close()])));
  const registries = [reader.metrics, writer.metrics, maintenance];
  const metrics = (await Promise.all(registries.map((one) => one.getMetricsAsJSON()))).flat();
  const rows = metrics.map(({ name, help }) => `| \`${name}\` | ${help.replace(/\.$/, '')} |`);
  const shown = textOf('docs/metrics.md').match(/^\| `tidemark_.*\|$/gm);
  expect(shown?.toSorted()).toEqual(rows.toSorted());
});

test('lists the code of each error, with its status', () => {
  const rows = textOf('docs/http.md').match(/^\| [45]\d\d \| .*\|$/gm) ?? [];
  const classes = Object.values<unknown>(tidemark).filter(
    (one): one is new (argument: never) => TidemarkError =>
      typeof one === 'function' && one.prototype instanceof TidemarkError,
  );
  expect(classes.length).toBeGreaterThan(10);
  for (const One of classes) {
    const argument = [] as never; // a message, or the faults of InvalidOptionsError
    const { code, status } = problemOf(new One(argument), 'id');
    if (code === 'invalid_options') continue; // of settings, not of a request
    expect(rows.find((row) => row.startsWith(`| ${status} |`))).toContain(`\`${code}\``);
  }
});

test('shows the example that is checked and run here', () => {
  const example = readFileSync(new URL('readme-example.ts', import.meta.url), 'utf8');
  expect(codeBlock('README.md', 'ts', "import { createReader } from 'tidemark'")).toBe(
    example.replace('../src/index.js', 'tidemark').trim(),
  );
  expect(example.trim().split('\n')).toHaveLength(12);
});

describe.each(flavors)('on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  test('the example prints the value', async () => {
    const insert = 'INSERT INTO configs (config_key, config_value) VALUES (?, ?)';
    await query(db.a, insert, ['checkout/log-levels/api', '{"level":"debug"}']);
    await db.caughtUp();
    vi.resetModules();
    vi.stubEnv('MYSQL_B_URL', db.b);
    vi.stubEnv('REDIS_URL', db.redis);
    vi.stubEnv('LOG_LEVEL', 'silent');
    const print = vi.spyOn(console, 'log').mockReturnValue();
    onTestFinished(() => {
      vi.unstubAllEnvs();
      print.mockRestore();
    });
    await import('./readme-example.js');
    expect(print).toHaveBeenCalledWith({ level: 'debug' }, 2, 'mysql');
  });

  test('whoever changes configs needs no right on the log', async () => {
    const user = `s_${db.name}`;
    onTestFinished(async () => void (await query(db.a, `DROP USER '${user}'@'%'`)));
    await query(db.a, `CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
    await query(db.a, `GRANT INSERT, UPDATE, DELETE, SELECT ON configs TO '${user}'@'%'`);
    const url = new URL(db.a);
    url.username = user;
    url.password = 'secret';
    const head = async () => (await query(db.a, 'SELECT head FROM config_stream'))[0]?.head;
    const before = await head();
    await query(url.href, "INSERT INTO configs (config_key, config_value) VALUES ('s', '1')");
    await query(url.href, "UPDATE configs SET config_value = '2' WHERE config_key = 's'");
    await query(url.href, "DELETE FROM configs WHERE config_key = 's'");
    expect(await head()).toBe(before + 3);
  });
});
