/** Reads `NNNN_name.sql` and `NNNN_name.down.sql`; checksums do not depend on line endings. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { groupStatements, type Migration, type Script } from '../core/migration-plan.js';
import { splitSql } from '../core/sql-script.js';
import { SchemaError } from '../errors.js';

/** The migrations of this package. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url));

const UP_FILE = /^((\d{4})_\w+)\.sql$/;

/** All migrations in a folder, ascending. */
export async function readMigrations(folder = MIGRATIONS_FOLDER): Promise<Migration[]> {
  const matches = (await readdir(folder)).sort().map((file) => UP_FILE.exec(file));
  const migrations: Migration[] = [];
  for (const [, name = '', number = ''] of matches.filter((one) => one !== null)) {
    migrations.push({
      name,
      number: Number(number),
      up: await readScript(join(folder, `${name}.sql`)),
      down: await readScript(join(folder, `${name}.down.sql`)),
    });
  }
  assertInSequence(migrations, folder);
  return migrations;
}

async function readScript(path: string): Promise<Script> {
  const text = (await readFile(path, 'utf8')).replaceAll('\r\n', '\n');
  const checksum = createHash('sha256').update(text).digest('hex');
  return { checksum, groups: groupStatements(splitSql(text)) };
}

function assertInSequence(migrations: readonly Migration[], folder: string): void {
  const isSequence = migrations.every(({ number }, index) => number === index + 1);
  if (isSequence && migrations.length > 0) return;
  const names = migrations.map(({ name }) => name).join(', ') || 'none';
  throw new SchemaError(`Expected migrations 0001, 0002, ... in ${folder}, got ${names}.`);
}
