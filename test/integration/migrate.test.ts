import type { Connection } from 'mysql2/promise';
import { afterEach, describe, expect, test } from 'vitest';
import { migrateCommand } from '../../src/cli/migrate.js';
import type { Flavor } from '../../src/demo/data-centers.js';
import { InvalidOptionsError, SchemaError } from '../../src/errors.js';
import { lockName, migrate } from '../../src/mysql/migrate.js';
import { MigrationLockError } from '../../src/mysql/migration-errors.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import {
  ALL_DOWN,
  ALL_UP,
  migrateAt,
  migrationText,
  NAMES,
  schemaOf,
} from '../support/migrations.js';
import { plainClient } from '../support/plain-client.js';

const MANY_RUNS = { timeout: 240_000 };

const databases: TestDatabase[] = [];

afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop();
});

async function emptyDatabase(flavor: Flavor): Promise<TestDatabase> {
  const database = await createDatabase(flavor, { migrated: false });
  databases.push(database);
  return database;
}

describe.each(flavors)('the migrations runner on %s', (flavor) => {
  test('applies all, and then has nothing to do', async () => {
    const { a } = await emptyDatabase(flavor);
    expect(await migrateAt(a)).toEqual({ steps: ALL_UP, recognised: [] });
    const schema = await schemaOf(a);
    expect(await migrateAt(a)).toEqual({ steps: [], recognised: [] });
    expect(await schemaOf(a)).toEqual(schema);
  });

  test('replication carries the schema to B, triggers too', async () => {
    const database = await emptyDatabase(flavor);
    await migrateAt(database.a);
    await database.caughtUp();
    expect(await schemaOf(database.b)).toEqual(await schemaOf(database.a));
  });

  test('goes to a number, up and down, and the rows of configs survive', async () => {
    const { a } = await emptyDatabase(flavor);
    await migrateAt(a, { to: 2 });
    const atTwo = await schemaOf(a);
    await migrateAt(a);
    const atThree = await schemaOf(a);
    await query(a, "INSERT INTO configs (config_key, config_value) VALUES ('k', '1')");
    expect((await migrateAt(a, { to: 2 })).steps).toEqual(ALL_DOWN.slice(0, 1));
    await query(a, 'UPDATE config_stream SET head = 1');
    expect(await schemaOf(a)).toEqual(atTwo);
    expect((await migrateAt(a, { to: 0 })).steps).toEqual(ALL_DOWN.slice(1));
    expect((await migrateAt(a, { to: 0 })).steps).toEqual([]);
    expect(await query(a, 'SHOW TABLES')).toHaveLength(1);
    await migrateAt(a);
    const { stream, triggers, ledger } = (await schemaOf(a)) as Record<string, unknown>;
    expect({ stream, triggers, ledger }).toEqual({ ...(atThree as object), created: undefined });
    expect(await query(a, 'SELECT config_key, version FROM configs')).toEqual([
      { config_key: 'k', version: 0 },
    ]);
  });

  test.each([-1, 4, 1.5])('refuses to go to %s', async (to) => {
    const { a } = await emptyDatabase(flavor);
    await expect(migrateAt(a, { to })).rejects.toThrow(InvalidOptionsError);
    expect(await query(a, 'SHOW TABLES')).toEqual([]);
  });

  test(
    'a run that ends at any statement, noted or not, is taken up by the next',
    MANY_RUNS,
    async () => {
      const clean = await emptyDatabase(flavor);
      await migrateAt(clean.a);
      const wanted = await schemaOf(clean.a);
      let ended = true;
      for (let at = 1; ended; at += 1) {
        const { a } = await emptyDatabase(flavor);
        ended = await endsAfterQuery(a, at, {});
        await migrateAt(a);
        expect(await schemaOf(a), `ended after query ${at}`).toEqual(wanted);
        await dropAllBut(clean);
      }
    },
  );

  test(
    'a run down that ends anywhere is finished by the next, whether that goes up or down',
    MANY_RUNS,
    async () => {
      const clean = await emptyDatabase(flavor);
      await migrateAt(clean.a);
      await migrateAt(clean.a, { to: 0 });
      const atZero = await schemaOf(clean.a);
      await migrateAt(clean.a);
      const atThree = await schemaOf(clean.a);
      let ended = true;
      for (let at = 1; ended; at += 1) {
        const { a } = await emptyDatabase(flavor);
        await migrateAt(a);
        ended = await endsAfterQuery(a, at, { to: 0 });
        const to = at % 2 === 0 ? 0 : 3;
        await migrateAt(a, { to });
        const { ledger, triggers, stream } = (await schemaOf(a)) as Record<string, unknown>;
        const wanted = { ...((to === 0 ? atZero : atThree) as object), created: undefined };
        expect({ ledger, triggers, stream }, `ended after query ${at}`).toEqual(wanted);
        await migrateAt(a, { to: 0 });
        expect(await schemaOf(a), `ended after query ${at}`).toEqual(atZero);
        await dropAllBut(clean);
      }
    },
  );

  test('a half-applied file can be taken down', async () => {
    const { a } = await emptyDatabase(flavor);
    await migrateAt(a, { to: 2 });
    const atTwo = await schemaOf(a);
    await expect(
      migrateAt(a, {
        onStatement: (_step, sql) => {
          if (sql.includes('configs_tidemark_update')) throw new Error('the end');
        },
      }),
    ).rejects.toThrow('the end');
    expect((await migrateAt(a, { to: 2 })).steps).toEqual(ALL_DOWN.slice(0, 1));
    expect(await schemaOf(a)).toEqual(atTwo);
  });

  test('what exists without being in doubt is an error with the next step', async () => {
    const { a } = await emptyDatabase(flavor);
    await query(a, 'CREATE TABLE config_changes (id INT)');
    await expect(migrateAt(a)).rejects.toThrow(/config_changes.*by hand.*down file/s);
  });

  test('of two runs at once one applies, the other waits and finds nothing to do', async () => {
    const { a } = await emptyDatabase(flavor);
    const results = await Promise.all([migrateAt(a), migrateAt(a)]);
    expect(results.map(({ steps }) => steps.length).sort()).toEqual([0, 3]);
  });

  test('gives up when another run holds the lock too long', async () => {
    const { a, name } = await emptyDatabase(flavor);
    await connected(a, async (other) => {
      await other.query('SELECT GET_LOCK(?, 0)', [lockName(name)]);
      const refused = migrateAt(a, { lockTimeoutSeconds: 0 });
      await expect(refused).rejects.toThrow(MigrationLockError);
      await expect(refused).rejects.toThrow(/another one that still runs/);
    });
    expect(await query(a, 'SHOW TABLES')).toEqual([]);
    await migrateAt(a, { lockTimeoutSeconds: 0 });
  });

  test('does not take a lock that failed for one that it has', async () => {
    const { a } = await emptyDatabase(flavor);
    await connected(a, async (connection) => {
      const failing = intercepted(connection, async (sql, run) =>
        sql.includes('GET_LOCK') ? [[{ got: null }]] : await run(),
      );
      await expect(migrate(failing)).rejects.toThrow(/error of the server/);
    });
    expect(await query(a, 'SHOW TABLES')).toEqual([]);
  });

  test('lock names of long database names stay within 64 characters and differ', () => {
    const names = ['x'.repeat(64), `${'x'.repeat(63)}y`].map(lockName);
    expect(names.map((name) => name.length <= 64)).toEqual([true, true]);
    expect(names[0]).not.toBe(names[1]);
  });

  test('refuses a database that is newer than the program, and changes nothing', async () => {
    const { a } = await emptyDatabase(flavor);
    await migrateAt(a);
    await query(a, "INSERT INTO tidemark_migrations (name) VALUES ('0004_later')");
    const schema = await schemaOf(a);
    for (const options of [{}, { to: 0 }, { dryRun: true }]) {
      const refused = migrateAt(a, options);
      await expect(refused).rejects.toThrow(SchemaError);
      await expect(refused).rejects.toThrow(/0004_later.*upgrade tidemark/);
    }
    expect(await schemaOf(a)).toEqual(schema);
  });

  test('refuses a file that was edited since', async () => {
    const { a } = await emptyDatabase(flavor);
    await migrateAt(a, { to: 2 });
    await query(a, "UPDATE tidemark_migrations SET checksum = 'x' WHERE name = '0002_configs'");
    await expect(migrateAt(a)).rejects.toThrow(/0002_configs\.sql.*edited/);
    expect(await query(a, 'SHOW TRIGGERS')).toEqual([]);
  });

  test('recognises files that were applied with the plain client', async () => {
    const { a } = await emptyDatabase(flavor);
    for (const name of NAMES) await plainClient(flavor, a, await migrationText(name));
    expect(await migrateAt(a)).toEqual({ steps: [], recognised: NAMES });
    const byHand = await schemaOf(a);
    const byRunner = await emptyDatabase(flavor);
    await migrateAt(byRunner.a);
    expect(byHand).toEqual(await schemaOf(byRunner.a));
    for (const name of NAMES.toReversed()) {
      await plainClient(flavor, a, await migrationText(`${name}.down`));
    }
    expect(await query(a, 'SHOW TABLES')).toHaveLength(1);
  });

  test('a dry run changes nothing; the plain client can run what it prints', async () => {
    const { a } = await emptyDatabase(flavor);
    const printed: string[] = [];
    await migrateCommand({ url: a, dryRun: true, print: (line) => printed.push(line) });
    expect(await query(a, 'SHOW TABLES')).toEqual([]);
    await plainClient(flavor, a, printed.join('\n'));
    expect((await migrateAt(a)).recognised).toEqual(NAMES);
    const byRunner = await emptyDatabase(flavor);
    await migrateAt(byRunner.a);
    expect(await schemaOf(a)).toEqual(await schemaOf(byRunner.a));
  });

  test('takes the configs table that is there, and leaves its rows as they are', async () => {
    const { a } = await emptyDatabase(flavor);
    await query(
      a,
      `CREATE TABLE configs (config_key VARCHAR(100) PRIMARY KEY, config_value TEXT, note INT)
       ENGINE = InnoDB DEFAULT CHARACTER SET latin1`,
    );
    await query(a, "INSERT INTO configs VALUES ('x', '1', 7), ('y', '2', 8)");
    await migrateAt(a);
    const rows = 'SELECT config_key, config_value, note, version FROM configs ORDER BY config_key';
    expect(await query(a, rows)).toEqual([
      { config_key: 'x', config_value: '1', note: 7, version: 0 },
      { config_key: 'y', config_value: '2', note: 8, version: 0 },
    ]);
    await query(a, "UPDATE configs SET config_value = '3' WHERE config_key = 'x'");
    expect((await query(a, rows)).map(({ version }) => version)).toEqual([2, 0]);
    // The collation of this table takes 'y' and 'Y' for the same; as cache keys they differ.
    await query(a, "UPDATE configs SET config_key = 'Y' WHERE config_key = 'y'");
    expect(await query(a, 'SELECT op, row_key FROM config_changes WHERE version > 2')).toEqual([
      { op: 'delete', row_key: 'y' },
      { op: 'update', row_key: 'Y' },
    ]);
    await migrateAt(a, { to: 0 });
    expect((await query(a, 'SELECT * FROM configs'))[0]).toMatchObject({
      config_key: 'x',
      note: 7,
    });
  });
});

type Interceptor = (sql: string, run: () => Promise<unknown>) => Promise<unknown>;

/** The connection, with its queries given to `intercept`. */
function intercepted(connection: Connection, intercept: Interceptor): Connection {
  return new Proxy(connection, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (property !== 'query' || typeof value !== 'function') return value;
      return (sql: string, values?: unknown) =>
        intercept(sql, async () => await value.call(target, sql, values));
    },
  });
}

/** Migrates until the `at`-th query has run, then the process "dies". False when it was done. */
async function endsAfterQuery(url: string, at: number, options: { to?: number }): Promise<boolean> {
  let count = 0;
  return await connected(url, async (connection) => {
    const mortal = intercepted(connection, async (_sql, run) => {
      count += 1;
      if (count > at) throw new Error('the process has died');
      return await run();
    });
    return await migrate(mortal, options).then(
      () => count > at, // only the lock's release is left out: the connection takes it along
      () => true,
    );
  });
}

async function dropAllBut(kept: TestDatabase): Promise<void> {
  for (const database of databases.splice(0)) {
    if (database === kept) databases.push(kept);
    else await database.drop();
  }
}
