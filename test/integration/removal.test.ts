/**
 * "Removing Tidemark" of docs/operations.md, where tables of one's own are tracked: by `tidemark
 * migrate` and by the plain client. Afterwards all is as it was before, in A and in B.
 */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { tidemark } from '../support/cli.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { migrationText } from '../support/migrations.js';
import { plainClient } from '../support/plain-client.js';
import { headOf } from '../support/readers.js';
import { CONSTANCE, OC_APPCONFIG } from '../support/sample-tables.js';
import { fileIn, ownFolder, written } from '../support/tracking.js';

const RUNBOOK = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const SECTION = RUNBOOK.slice(RUNBOOK.indexOf('## Removing Tidemark'));
const FOLDER = 'tidemark-migrations';
const TABLES = [CONSTANCE, OC_APPCONFIG];

/** All that a database has: its tables as they were created, its triggers, and its rows. */
async function contentsOf(url: string) {
  const tables = (await query(url, 'SHOW TABLES')).flatMap((row) => Object.values(row)).sort();
  const created: unknown[] = [];
  const rows: unknown[] = [];
  for (const table of tables) {
    created.push((await query(url, `SHOW CREATE TABLE \`${table}\``))[0]?.['Create Table']);
    rows.push(await query(url, `SELECT * FROM \`${table}\` ORDER BY 1, 2`));
  }
  const triggers = await query(
    url,
    `SELECT trigger_name, event_object_table, action_statement FROM information_schema.triggers
     WHERE trigger_schema = DATABASE()`,
  );
  return { tables, created, triggers, rows };
}

describe.each(flavors)('Tidemark is removed from %s', { timeout: 120_000 }, (flavor) => {
  let db: TestDatabase;
  let folder: string;
  let before: Awaited<ReturnType<typeof contentsOf>>;

  beforeEach(async () => {
    db = await createDatabase(flavor, { migrated: false });
    onTestFinished(() => db.drop());
    await query(
      db.a,
      'CREATE TABLE configs (config_key VARCHAR(100) PRIMARY KEY, config_value LONGTEXT NOT NULL)',
    );
    for (const { create } of TABLES) await query(db.a, create);
    await query(
      db.a,
      `CREATE TRIGGER of_someone_else BEFORE UPDATE ON ${OC_APPCONFIG.table}
       FOR EACH ROW SET NEW.configvalue = TRIM(NEW.configvalue)`,
    );
    await query(db.a, "INSERT INTO configs VALUES ('k', '1')");
    await query(db.a, `INSERT INTO ${OC_APPCONFIG.table} VALUES ('core', 'theme', 'dark', 2)`);
    before = await contentsOf(db.a);

    folder = await ownFolder();
    for (const { table, key, value } of TABLES) {
      await written(db.a, folder, { table, key: [...key], value: [...value] });
    }
    const up = await tidemark({ MYSQL_A_URL: db.a }, 'migrate', '--dir', folder);
    expect(up.exitCode).toBe(0);
    const head = await headOf(db.a);
    // Rows that Tidemark gave versions to, and are as they were before.
    await query(db.a, "UPDATE configs SET config_value = '2'");
    await query(db.a, "UPDATE configs SET config_value = '1'");
    await query(db.a, `UPDATE ${OC_APPCONFIG.table} SET type = 3`);
    await query(db.a, `UPDATE ${OC_APPCONFIG.table} SET type = 2`);
    expect(await headOf(db.a)).toBe(head + 4);
  });

  async function allIsAsBefore(): Promise<void> {
    const [, sql = ''] = /`(ALTER TABLE configs DROP COLUMN [^`]*)`/.exec(SECTION) ?? [];
    await query(db.a, sql);
    expect(await contentsOf(db.a)).toEqual(before);
    await db.caughtUp();
    expect(await contentsOf(db.b)).toEqual(before);
  }

  test('by tidemark migrate, which wants to know of all tables', async () => {
    const [, command = ''] =
      /MYSQL_A_URL=\.\.\. tidemark (migrate --to 0 [^#]*)/.exec(SECTION) ?? [];
    const args = command.trim().split(' ');
    expect(args).toContain(FOLDER);
    const env = { MYSQL_A_URL: db.a };
    const blind = await tidemark(env, 'migrate', '--to', '0');
    expect(blind.exitCode).toBe(1);
    expect(blind.stderr).toMatch(/1001_\w+, 1002_\w+.*Pass that folder as --dir/);
    const ours = args.map((arg) => (arg === FOLDER ? folder : arg));
    expect(ours).toContain('--dry-run');
    const dry = await tidemark(env, ...ours);
    expect(dry.stdout).toMatch(/1002.*1001.*0003.*0002.*0001/s);
    const real = ours.filter((arg) => arg !== '--dry-run');
    expect((await tidemark(env, ...real)).stdout).toMatch(/1002.*1001.*0003.*0002.*0001.*Done/s);
    await allIsAsBefore();
  });

  test("by the plain client, one's own files first", async () => {
    const listed = SECTION.indexOf(`$(ls -r ${FOLDER}/*.down.sql)`);
    const files = [...SECTION.matchAll(/mysql app < migrations\/(\w+\.down)\.sql/g)];
    expect(listed).toBeGreaterThan(0);
    expect(files[0]?.index).toBeGreaterThan(listed);
    const own = (await readdir(folder)).filter((name) => name.endsWith('.down.sql')).sort();
    for (const name of own.reverse()) await plainClient(flavor, db.a, await fileIn(folder, name));
    for (const [, name = ''] of files) await plainClient(flavor, db.a, await migrationText(name));
    await allIsAsBefore();
  });

  test('half-way, as far as the tables of its own', async () => {
    const [, to = ''] = /`--to (\d) --dir tidemark-migrations` lets go/.exec(SECTION) ?? [];
    const args = ['migrate', '--to', to, '--dir', folder];
    const { stdout } = await tidemark({ MYSQL_A_URL: db.a }, ...args);
    expect(stdout).toMatch(/1002.*1001.*Done/s);
    const { created, tables, triggers } = await contentsOf(db.a);
    for (const { table } of TABLES) {
      expect(created[tables.indexOf(table)]).toBe(before.created[before.tables.indexOf(table)]);
    }
    expect(triggers).toHaveLength(4);
  });
});
