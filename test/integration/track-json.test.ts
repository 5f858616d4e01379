/** `tidemark track --json`, as a process on real servers: what programs are told, and the exit code. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tidemark } from '../support/cli.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { ownFolder } from '../support/tracking.js';

describe.each(flavors)('tidemark track --json on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
    await query(db.a, 'CREATE TABLE settings (id INT PRIMARY KEY, value TEXT)');
    await query(db.a, 'CREATE TABLE floats (id FLOAT PRIMARY KEY, value BLOB)');
    await query(db.a, 'CREATE VIEW seen AS SELECT id, value FROM settings');
  });
  afterAll(() => db.drop());

  const track = async (table: string, out: string, ...more: string[]) => {
    const columns = ['--key', 'id', '--value', 'value', '--out', out];
    const ended = await tidemark({ MYSQL_A_URL: db.a }, 'track', table, ...columns, ...more);
    expect(ended.stdout).not.toMatch(/\n./); // one line
    return { ...ended, told: JSON.parse(ended.stdout) };
  };

  test('names what it looked at, the files that it wrote, and what is to be done', async () => {
    const out = await ownFolder();
    const { exitCode, stderr, told } = await track('settings', out, '--json');
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(told).toMatchObject({
      ...{ tracked: true, dryRun: false, refusals: [], warnings: [] },
      inspected: { flavor, database: db.name, table: 'settings', engine: 'InnoDB' },
      collection: { name: 'settings', key: ['id'], value: ['value'], versionColumn: 'version' },
      next: {
        migrate: `tidemark migrate --dir ${out}`,
        grant: "GRANT SELECT ON `settings` TO 'tidemark_reader'@'%';",
        collections: 'settings(id: value)',
      },
    });
    const { columns, uniqueKeys } = told.inspected;
    expect(columns.map(({ name }: { name: string }) => name)).toEqual(['id', 'value']);
    expect(uniqueKeys).toEqual([{ name: 'PRIMARY', columns: ['id'] }]);
    const there = (await readdir(out)).map((name) => join(out, name));
    expect(told.files.toSorted()).toEqual(there.toSorted());
  });

  test('a dry run has the migration, and no files', async () => {
    const out = await ownFolder();
    const { exitCode, told } = await track('settings', out, '--json', '--dry-run');
    expect(exitCode).toBe(0);
    expect(told).toMatchObject({ tracked: true, dryRun: true, files: [] });
    expect(told.migration).toMatchObject({
      name: '1001_track_settings',
      up: expect.stringContaining('CREATE TRIGGER'),
      down: expect.stringContaining('DROP TRIGGER'),
    });
    expect(await readdir(out)).toEqual([]);
  });

  test.each([
    ['floats', ['which has no one text for one value.', 'bytes are no text']],
    ['seen', ['a view, which has no triggers']],
    ['nowhere', ['got none, or one that this account may not see']],
  ])('refuses %s with each reason and its remedy, and exit code 1', async (table, reasons) => {
    const out = await ownFolder();
    const { exitCode, stderr, told } = await track(table, out, '--json');
    expect(exitCode).toBe(1);
    expect(told).toMatchObject({ tracked: false, inspected: { table }, files: [] });
    expect(told.refusals).toEqual(
      reasons.map((reason) => ({
        reason: expect.stringContaining(reason),
        remedy: expect.stringMatching(/^[A-Z].*\.$/),
      })),
    );
    // For people, who are told the same as without --json.
    for (const { reason, remedy } of told.refusals) expect(stderr).toContain(`${reason} ${remedy}`);
    expect(await readdir(out)).toEqual([]);
  });
});
