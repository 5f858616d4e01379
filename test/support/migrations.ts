/** What tests of the migrations share. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MigrateOptions, type MigrateResult, migrate } from '../../src/mysql/migrate.js';
import { MIGRATIONS_FOLDER } from '../../src/mysql/migration-files.js';
import { connected } from './data-centers.js';

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
