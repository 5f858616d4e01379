/** `tidemark track` on real servers: what it writes, how that is applied and taken down, what it refuses. */
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { SchemaError } from '../../src/errors.js';
import { UntrackableError } from '../../src/track/track.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { migrateAt } from '../support/migrations.js';
import { plainClient } from '../support/plain-client.js';
import { headOf } from '../support/readers.js';
import { CORE_CONFIG_DATA, OPTIONS_BY_ID, SAMPLE_TABLES } from '../support/sample-tables.js';
import { fileIn, logAfter, ownFolder, type Tracking, written } from '../support/tracking.js';

async function freshDatabase(flavor: (typeof flavors)[number]): Promise<TestDatabase> {
  const database = await createDatabase(flavor);
  onTestFinished(() => database.drop());
  return database;
}

/** The tables, and what stands beside them. */
async function schemaOf(url: string): Promise<unknown> {
  const tables = await query(url, "SHOW FULL TABLES WHERE table_type = 'BASE TABLE'");
  const created: unknown[] = [];
  for (const row of tables) {
    const [shown] = await query(url, `SHOW CREATE TABLE \`${Object.values(row)[0]}\``);
    created.push(shown?.['Create Table']);
  }
  const triggers = await query(
    url,
    `SELECT trigger_name AS name, action_statement AS body FROM information_schema.triggers
     WHERE trigger_schema = DATABASE() ORDER BY 1`,
  );
  return { created, triggers: triggers.map(({ name, body }) => `${name} ${body}`) };
}

describe.each(flavors)('tidemark track on %s', (flavor) => {
  test.each(SAMPLE_TABLES)('tracks $table by $key, and stops', async (sample) => {
    const { a } = await freshDatabase(flavor);
    const out = await ownFolder();
    await query(a, sample.create);
    const before = await schemaOf(a);
    const printed = await written(a, out, sample);
    const name = `1001_track_${sample.table}`;
    expect(await readdir(out)).toEqual([`${name}.down.sql`, `${name}.sql`]);
    expect(printed).toContain(`GRANT SELECT ON \`${sample.table}\` TO 'tidemark_reader'@'%';`);
    expect(await schemaOf(a)).toEqual(before); // it only looked
    expect((await migrateAt(a, { dir: out })).steps).toEqual([{ name, direction: 'up' }]);
    expect((await migrateAt(a)).steps).toEqual([]); // a run without the folder leaves it alone
    expect((await migrateAt(a, { dir: out })).steps).toEqual([]);
    await expect(migrateAt(a, { to: 0 })).rejects.toThrow(SchemaError);
    const down = await migrateAt(a, { dir: out, to: 1000 });
    expect(down.steps).toEqual([{ name, direction: 'down' }]);
    expect(await schemaOf(a)).toEqual(before);
  });

  test('the plain client applies both files, which migrate then knows', async () => {
    const { a } = await freshDatabase(flavor);
    const out = await ownFolder();
    await query(a, CORE_CONFIG_DATA.create);
    const before = await schemaOf(a);
    await written(a, out, CORE_CONFIG_DATA);
    const name = '1001_track_core_config_data';
    await plainClient(flavor, a, await fileIn(out, `${name}.sql`));
    const byHand = await schemaOf(a);
    expect(await migrateAt(a, { dir: out })).toEqual({ steps: [], recognised: [name] });
    await plainClient(flavor, a, await fileIn(out, `${name}.down.sql`));
    expect(await schemaOf(a)).toEqual(before);
    await migrateAt(a, { dir: out });
    const plain = (schema: unknown) => JSON.stringify(schema).replaceAll(/--[^\\]*\\n/g, '');
    expect(plain(await schemaOf(a)).replaceAll(/\s|\\n/g, '')).toBe(
      plain(byHand).replaceAll(/\s|\\n/g, ''), // the client may leave out comments
    );
  });

  test('prints what docs/collections.md shows', async () => {
    const { a } = await freshDatabase(flavor);
    const document = await readFile(new URL('../../docs/collections.md', import.meta.url), 'utf8');
    const [, shown = ''] =
      /^\$ tidemark track app_settings .*\n([^`]*(?:`[^`]+`[^`]*)*?)```/m.exec(document) ?? [];
    await query(a, 'CREATE TABLE app_settings (id INT PRIMARY KEY, name TEXT, value TEXT)');
    const out = await ownFolder();
    const wish = { table: 'app_settings', value: ['name', 'value'], collection: 'settings' };
    const printed = await written(a, out, wish);
    expect(printed.replaceAll(out, 'tidemark-migrations')).toBe(shown.trimEnd());
  });

  test('several tables are several migrations, one after the other', async () => {
    const { a } = await freshDatabase(flavor);
    const out = await ownFolder();
    for (const sample of [OPTIONS_BY_ID, CORE_CONFIG_DATA]) {
      await query(a, sample.create);
      await written(a, out, sample);
    }
    const { steps } = await migrateAt(a, { dir: out });
    expect(steps.map(({ name }) => name)).toEqual([
      '1001_track_wp_options',
      '1002_track_core_config_data',
    ]);
    expect((await migrateAt(a, { dir: out, to: 1001 })).steps).toHaveLength(1);
  });

  test('a dry run prints SQL that the plain client can run, and writes nothing', async () => {
    const { a } = await freshDatabase(flavor);
    const out = await ownFolder();
    await query(a, OPTIONS_BY_ID.create);
    const printed = await written(a, out, { ...OPTIONS_BY_ID, dryRun: true });
    expect(await readdir(out)).toEqual([]);
    await plainClient(flavor, a, printed);
    const before = await headOf(a);
    await query(a, "INSERT INTO wp_options (option_name, option_value) VALUES ('a', '1')");
    expect(await logAfter(a, before)).toEqual(['insert 1']);
  });

  test('a table with odd names', async () => {
    const { a } = await freshDatabase(flavor);
    const out = await ownFolder();
    await query(a, "CREATE TABLE `é//it's` (`k;` VARCHAR(9) PRIMARY KEY, `v``1` JSON, `w?` INT)");
    const wish = { table: "é//it's", key: ['k;'], value: ['v`1', 'w?'], collection: 'odd' };
    await written(a, out, wish);
    const before = await headOf(a);
    await plainClient(flavor, a, await fileIn(out, '1001_track____it_s.sql'));
    await query(a, "INSERT INTO `é//it's` (`k;`) VALUES ('a')");
    await query(a, "UPDATE `é//it's` SET `w?` = 1");
    expect(await logAfter(a, before)).toEqual(['insert a', 'update a']);
    const [change] = await query(
      a,
      'SELECT DISTINCT table_name FROM config_changes WHERE version > 1',
    );
    expect(change).toEqual({ table_name: "é//it's" });
  });

  test('a table that takes no column at once takes it otherwise', async () => {
    const { a } = await freshDatabase(flavor);
    await query(a, 'CREATE TABLE s (id INT PRIMARY KEY, value TEXT, FULLTEXT (value))');
    await query(a, 'CREATE TABLE t (id INT PRIMARY KEY, value TEXT) ROW_FORMAT = COMPRESSED');
    for (const [table, algorithm] of [
      ['t', 'inplace'],
      ['s', flavor === 'mysql' ? 'copy' : 'inplace'],
    ] as const) {
      const out = await ownFolder();
      await written(a, out, { table, algorithm });
      await migrateAt(a, { dir: out });
      await migrateAt(a, { dir: out, to: 1000 });
    }
  });

  test('a table with partitions is tracked, with a warning', async () => {
    const { a } = await freshDatabase(flavor);
    const out = await ownFolder();
    await query(
      a,
      'CREATE TABLE t (id INT PRIMARY KEY, value TEXT) PARTITION BY HASH (id) PARTITIONS 3',
    );
    expect(await written(a, out, { table: 't' })).toMatch(/Warning: t has partitions/);
    await migrateAt(a, { dir: out });
    const before = await headOf(a);
    await query(a, "INSERT INTO t (id, value) VALUES (1, 'a'), (2, 'b')");
    await query(a, 'UPDATE t SET id = 6 WHERE id = 1'); // to another partition
    await query(a, 'DELETE FROM t WHERE id = 2');
    expect(await logAfter(a, before)).toEqual([
      ...['insert 1', 'insert 2', 'delete 1', 'update 6', 'delete 2'],
    ]);
  });
});

const REFUSED: [
  text: RegExp,
  create: string,
  wish: Partial<Tracking>,
  only?: 'mysql' | 'mariadb',
][] = [
  [/Expected a table t in .*got none/, 'DO 0', {}],
  [/got t, a view/, 'CREATE VIEW t AS SELECT 1 AS id, 2 AS value', {}],
  [/got MyISAM/, 'CREATE TABLE t (id INT PRIMARY KEY, value TEXT) ENGINE = MyISAM', {}],
  [
    /Expected a column key in t, got id, value/,
    'CREATE TABLE t (id INT PRIMARY KEY, value TEXT)',
    {
      key: ['key'],
    },
  ],
  [/unique index on id, got none/, 'CREATE TABLE t (id INT NOT NULL, value TEXT, KEY (id))', {}],
  [
    /unique index on id, got none/,
    'CREATE TABLE t (id VARCHAR(99) NOT NULL, value TEXT, UNIQUE (id(9)))',
    {},
  ],
  [
    /unique index on id, got PRIMARY \(id, at\)/,
    'CREATE TABLE t (id INT, at INT, value TEXT, PRIMARY KEY (id, at))',
    {},
  ],
  [/Expected id to be NOT NULL/, 'CREATE TABLE t (id INT UNIQUE, value TEXT)', {}],
  [/got float/, 'CREATE TABLE t (id FLOAT PRIMARY KEY, value TEXT)', {}],
  [/got datetime/, 'CREATE TABLE t (id DATETIME PRIMARY KEY, value TEXT)', {}],
  [/got varbinary\(16\)/, 'CREATE TABLE t (id VARBINARY(16) PRIMARY KEY, value TEXT)', {}],
  [
    /Expected id without ZEROFILL/,
    'CREATE TABLE t (id INT(5) ZEROFILL PRIMARY KEY, value TEXT)',
    {},
  ],
  [
    /got a generated column/,
    'CREATE TABLE t (n INT PRIMARY KEY, id INT AS (n + 1) STORED NOT NULL UNIQUE, value TEXT)',
    {},
    'mysql',
  ],
  [
    /characters, which is what the log holds, got columns for 1001/,
    `CREATE TABLE t (id VARCHAR(500) NOT NULL, b VARCHAR(500) NOT NULL, value TEXT,
       UNIQUE (id, b)) DEFAULT CHARACTER SET latin1`,
    { key: ['id', 'b'] },
  ],
  [/got blob: bytes are no text/, 'CREATE TABLE t (id INT PRIMARY KEY, value BLOB)', {}],
  [
    /one that has one|table that has one/,
    'CREATE TABLE t (id INT PRIMARY KEY, value TEXT, version INT)',
    {},
  ],
  [
    /ROW_FORMAT = COMPRESSED.*--algorithm inplace/,
    'CREATE TABLE t (id INT PRIMARY KEY, value TEXT) ROW_FORMAT = COMPRESSED',
    {},
  ],
  [/a FULLTEXT index/, 'CREATE TABLE t (id INT PRIMARY KEY, value TEXT, FULLTEXT (value))', {}],
  [
    /Expected another name than hint/,
    'CREATE TABLE t (id INT PRIMARY KEY, value TEXT)',
    { collection: 'hint' },
  ],
];

describe.each(flavors)('a table that cannot be tracked, on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  const here = REFUSED.filter(([, , , only]) => only === undefined || only === flavor);
  test.each(here)('is refused with %s: %s', async (text, create, wish) => {
    const out = await ownFolder();
    onTestFinished(async () => {
      await query(
        db.a,
        create.startsWith('CREATE VIEW') ? 'DROP VIEW t' : 'DROP TABLE IF EXISTS t',
      );
    });
    await query(db.a, create);
    const refused = written(db.a, out, { table: 't', ...wish });
    await expect(refused).rejects.toThrow(UntrackableError);
    await expect(refused).rejects.toThrow(text);
    expect(await readdir(out)).toEqual([]);
  });

  test('is refused where a foreign key changes its rows, of which triggers learn nothing', async () => {
    await query(db.a, 'CREATE TABLE parents (id INT PRIMARY KEY) ENGINE = InnoDB');
    await query(
      db.a,
      `CREATE TABLE children (id INT PRIMARY KEY, parent INT, value TEXT, CONSTRAINT fk FOREIGN KEY
         (parent) REFERENCES parents (id) ON DELETE SET NULL ON UPDATE CASCADE) ENGINE = InnoDB`,
    );
    await expect(written(db.a, await ownFolder(), { table: 'children' })).rejects.toThrow(
      /got fk \(ON DELETE SET NULL ON UPDATE CASCADE, from parents\)/,
    );
  });

  test('is refused when it is tracked already, and when it is the log', async () => {
    const wish = { table: 'configs', key: ['config_key'], value: ['config_value'] };
    await expect(written(db.a, await ownFolder(), wish)).rejects.toThrow(
      /got configs with the trigger configs_tidemark_/,
    );
    await expect(
      written(db.a, await ownFolder(), { ...wish, table: 'config_changes' }),
    ).rejects.toThrow(/Tidemark's own/);
  });

  test('a server that is away is no table that is missing', async () => {
    const away = 'mysql://nobody:x@127.0.0.1:1/app';
    await expect(written(away, await ownFolder(), { table: 't' })).rejects.toThrow(
      /MySQL in data center A \(MYSQL_A_URL\) to answer/,
    );
  });
});
