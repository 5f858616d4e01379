/** What docs/operations.md tells operators to run, as it stands there, on real servers. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Maintenance, Writer } from '../../src/index.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import { migrationText } from '../support/migrations.js';
import { plainClient } from '../support/plain-client.js';
import { SILENT, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const RUNBOOK = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
const PUT = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';

/** What `pattern` finds in the runbook, its first group. */
function inRunbook(pattern: RegExp): string {
  const [, found] = pattern.exec(RUNBOOK) ?? [];
  if (found === undefined) throw new Error(`Expected ${pattern} in docs/operations.md, got none`);
  return found;
}

describe.each(flavors)('the runbook on %s', (flavor) => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createDatabase(flavor);
    for (let value = 1; value <= 5; value++) await query(db.a, PUT, ['k', `${value}`]);
  });
  afterEach(() => db.drop());

  test('No heartbeat: finds the connection that leads', async () => {
    const writer = new Writer({ mysql: db.writer });
    const maintenance = new Maintenance({ pool: writer.pool, logger: SILENT });
    onTestFinished(async () => {
      await maintenance.stop();
      await writer.close();
    });
    const sql = inRunbook(/-e "(SELECT IS_USED_LOCK.*)"$/m);
    expect((await query(db.a, sql))[0]?.connection_id).toBeNull();
    maintenance.start();
    const id = await until('a leader', async () => (await query(db.a, sql))[0]?.connection_id);
    await query(db.a, `KILL ${Number(id)}`);
    await until('another connection that leads', async () => {
      const now = (await query(db.a, sql))[0]?.connection_id;
      return now !== null && now !== id;
    });
  });

  test('A reader is stale: shows head and age', async () => {
    await db.caughtUp();
    const sql = inRunbook(/mysql app -e '(SELECT head.*)'$/m);
    expect((await query(db.reader, sql))[0]).toMatchObject({ age: expect.any(String) });
  });

  test('Pruning: removes what is old, and never the newest', async () => {
    const reader = await startReader(db);
    await taken(db.a, [reader]);
    await query(db.a, 'UPDATE config_changes SET changed_at = changed_at - INTERVAL 2 DAY');
    await query(db.a, PUT, ['k', '"young"']);
    await query(db.a, PUT, ['k', '"newest"']);
    const sql = inRunbook(/```sql\n(DELETE FROM config_changes[^`]*)```/);
    const versions = async () =>
      (await query(db.a, 'SELECT version FROM config_changes ORDER BY version')).map((row) =>
        Number(row.version),
      );
    const before = await versions();
    await connected(db.writer, (connection) => connection.query(sql));
    expect(await versions()).toEqual(before.slice(-4)); // REPLACE logs an insert and a delete
    await query(db.a, 'UPDATE config_changes SET changed_at = changed_at - INTERVAL 2 DAY');
    await connected(db.writer, (connection) => connection.query(sql));
    expect(await versions()).toEqual(before.slice(-1));
    await until('the newest', async () => (await textOf(reader, 'k')) === '"newest"');
  });

  test('Removing Tidemark: the files that it names, in its order, leave the rows', async () => {
    const files = [...RUNBOOK.matchAll(/mysql app < migrations\/(\w+\.down)\.sql/g)];
    expect(files).toHaveLength(3);
    for (const [, name = ''] of files) await plainClient(flavor, db.a, await migrationText(name));
    expect((await query(db.a, 'SHOW TABLES')).flatMap((row) => Object.values(row))).toEqual([
      'configs',
    ]);
    expect(await query(db.a, 'SHOW TRIGGERS')).toEqual([]);
    const [row] = await query(db.a, 'SELECT * FROM configs');
    expect(row).toMatchObject({ config_key: 'k', config_value: '5' });
    expect(Object.keys(row ?? {})).not.toContain('version');
    await query(db.a, PUT, ['k', '6']);
  });
});
