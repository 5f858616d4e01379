/** `tidemark migrate` as processes: killed on the way, and several at once. */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { started, tidemark } from '../support/cli.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import { migrateAt, NAMES, schemaOf } from '../support/migrations.js';
import { until } from '../support/until.js';

describe.each(flavors)('tidemark migrate on %s', { timeout: 180_000 }, (flavor) => {
  let wanted: unknown;

  async function emptyDatabase(): Promise<TestDatabase> {
    const db = await createDatabase(flavor, { migrated: false });
    onTestFinished(() => db.drop());
    return db;
  }

  beforeEach(async () => {
    const clean = await emptyDatabase();
    await migrateAt(clean.a);
    wanted = await schemaOf(clean.a);
  });

  /** A database, made by `prepare`, in which a run was killed when it had begun with that file. On a
   * busy machine a run may be done before: then another one is tried. */
  async function killedAt(name: string, prepare: (a: string) => Promise<unknown>, to = 'last') {
    for (;;) {
      const { a } = await emptyDatabase();
      await prepare(a);
      const args = to === 'last' ? [] : ['--to', to];
      const { child, ended } = started({ MYSQL_A_URL: a }, 'migrate', ...args);
      child.stdout.on('data', (printed) => {
        if (String(printed).includes(name)) child.kill('SIGKILL');
      });
      if ((await ended).exitCode === -1) return a;
    }
  }

  test.each(NAMES)('goes on where a run was killed: at %s, up', async (name) => {
    const a = await killedAt(name, async () => undefined);
    const again = await tidemark({ MYSQL_A_URL: a }, 'migrate');
    expect(again).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await schemaOf(a)).toEqual(wanted);
  });

  test('goes on where a run down was killed, down or up', async () => {
    const below = await killedAt('0003_triggers', migrateAt, '0');
    const down = await tidemark({ MYSQL_A_URL: below }, 'migrate', '--to', '0');
    expect(down).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await query(below, 'SHOW TABLES')).toHaveLength(1); // configs
    const above = await killedAt('0002_configs', migrateAt, '0');
    expect(await tidemark({ MYSQL_A_URL: above }, 'migrate')).toMatchObject({ exitCode: 0 });
    const { created: _, ...ours } = wanted as { created: unknown };
    expect(await schemaOf(above)).toMatchObject(ours); // `version` has become the last column
  });

  // migrate:  ALTER waits ---- killed          its ALTER ends, noted by nobody
  // someone:  BEGIN, reads configs ---------------- COMMIT
  // migrate again:                      waits ---------- goes on, done
  test('takes over from a killed run whose statement still waits in the server', async () => {
    const { a, name } = await emptyDatabase();
    await query(a, 'CREATE TABLE configs (config_key VARCHAR(255) PRIMARY KEY, config_value TEXT)');
    const clean = await emptyDatabase();
    await query(
      clean.a,
      'CREATE TABLE configs (config_key VARCHAR(255) PRIMARY KEY, config_value TEXT)',
    );
    await migrateAt(clean.a);
    const waiting = async () =>
      await query(
        a,
        `SELECT id FROM information_schema.processlist
         WHERE db = '${name}' AND state IN ('Waiting for table metadata lock', 'User lock')`,
      );
    await connected(a, async (someone) => {
      await someone.query('START TRANSACTION');
      await someone.query('SELECT * FROM configs');
      const { child, ended } = started({ MYSQL_A_URL: a }, 'migrate');
      const [first] = await until('a statement that waits', async () => {
        const ids = await waiting();
        return ids.length > 0 && ids;
      });
      child.kill('SIGKILL');
      await ended;
      const again = started({ MYSQL_A_URL: a }, 'migrate');
      await until('the next run to wait, too', async () =>
        (await waiting()).some(({ id }) => id !== first?.id),
      );
      await someone.query('COMMIT');
      expect(await again.ended).toMatchObject({ exitCode: 0, stderr: '' });
    });
    expect(await schemaOf(a)).toEqual(await schemaOf(clean.a));
  });

  test('of three at once one applies, and the others find nothing to do', async () => {
    const { a } = await emptyDatabase();
    const runs = await Promise.all(
      [1, 2, 3].map(() => tidemark({ MYSQL_A_URL: a }, 'migrate', '--json')),
    );
    expect(runs.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(Array(3).fill([0, '']));
    const applied = runs.map(({ stdout }) => JSON.parse(stdout).applied.length);
    expect(applied.sort()).toEqual([0, 0, NAMES.length]);
    expect(await schemaOf(a)).toEqual(wanted);
  });

  test('one up and one down at once leave either the one or the other', async () => {
    const { a } = await emptyDatabase();
    await migrateAt(a, { to: 2 });
    const half = await schemaOf(a);
    await migrateAt(a);
    const runs = await Promise.all([
      tidemark({ MYSQL_A_URL: a }, 'migrate', '--to', '2'),
      tidemark({ MYSQL_A_URL: a }, 'migrate', '--to', '3'),
    ]);
    expect(runs.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(Array(2).fill([0, '']));
    expect([half, wanted]).toContainEqual(await schemaOf(a));
  });
});
