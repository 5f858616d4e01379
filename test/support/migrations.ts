/** What tests of the migrations share. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MigrateOptions, type MigrateResult, migrate } from '../../src/mysql/migrate.js';
import { MIGRATIONS_FOLDER } from '../../src/mysql/migration-files.js';
import { connected, query } from './data-centers.js';

export const NAMES = ['0001_log', '0002_configs', '0003_triggers'];
export const ALL_UP = NAMES.map((name) => ({ name, direction: 'up' }));
export const ALL_DOWN = NAMES.toReversed().map((name) => ({ name, direction: 'down' }));

export async function migrateAt(url: string, options: MigrateOptions = {}): Promise<MigrateResult> {
  return await connected(url, (connection) => migrate(connection, options));
}

/** The text of a file in migrations/, by its name without `.sql`. */
export async function migrationText(name: string): Promise<string> {
  return await readFile(join(MIGRATIONS_FOLDER, `${name}.sql`), 'utf8');
}

/** All that migrations make, as text to compare. */
export async function schemaOf(url: string): Promise<unknown> {
  const tables = await query(
    url,
    'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() ' +
      'ORDER BY 1',
  );
  const created: unknown[] = [];
  for (const { name } of tables) {
    created.push((await query(url, `SHOW CREATE TABLE \`${name}\``))[0]?.['Create Table']);
  }
  const triggers = await query(
    url,
    `SELECT trigger_name AS name, event_manipulation AS event, action_statement AS body
     FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1`,
  );
  const hasLedger = tables.some(({ name }) => name === 'tidemark_migrations');
  const ledger = hasLedger
    ? await query(
        url,
        `SELECT name, checksum, IF(applied_at IS NULL, statements_done, 'all') AS done
         FROM tidemark_migrations ORDER BY name`,
      )
    : [];
  const hasStream = tables.some(({ name }) => name === 'config_stream');
  const stream = hasStream ? await query(url, 'SELECT id, head FROM config_stream') : [];
  return { created, triggers, ledger, stream };
}
