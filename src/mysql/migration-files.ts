/**
 * Reads `NNNN_name.sql` and `NNNN_name.down.sql`; checksums do not depend on line endings.
 *
 * Numbers below 1000 are Tidemark's, in its package. From 1001 on they are those of a system's own
 * folder, where `tidemark track` writes them; whatever else is in that folder is left alone.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  FIRST_OWN,
  groupStatements,
  isOwn,
  type Migration,
  type Script,
} from '../core/migration-plan.js';
import { splitSql } from '../core/sql-script.js';
import { SchemaError } from '../errors.js';

/** The migrations of this package. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url));

const UP_FILE = /^((\d{4})_\w+)\.sql$/;

/** The package's, and those of a system's own folder if there is one, ascending. */
export async function readMigrations(ownFolder?: string): Promise<Migration[]> {
  const migrations = await readFolder(MIGRATIONS_FOLDER, (number) => !isOwn(number));
  assertInSequence(migrations, 1, MIGRATIONS_FOLDER);
  if (ownFolder === undefined) return migrations;
  return [...migrations, ...(await readOwnMigrations(ownFolder))];
}

/** Those of a system's own folder; none when there is no such folder. */
export async function readOwnMigrations(folder: string): Promise<Migration[]> {
  const migrations = await readFolder(folder, isOwn);
  assertInSequence(migrations, FIRST_OWN, folder);
  return migrations;
}

async function readFolder(
  folder: string,
  isWanted: (number: number) => boolean,
): Promise<Migration[]> {
  const matches = (await readdir(folder)).sort().map((file) => UP_FILE.exec(file));
  const migrations: Migration[] = [];
  for (const [, name = '', number = ''] of matches.filter((one) => one !== null)) {
    if (!isWanted(Number(number))) continue;
    migrations.push({
      name,
      number: Number(number),
      up: await readScript(join(folder, `${name}.sql`)),
      down: await readScript(join(folder, `${name}.down.sql`)),
    });
  }
  return migrations;
}

async function readScript(path: string): Promise<Script> {
  const text = (await readFile(path, 'utf8')).replaceAll('\r\n', '\n');
  const checksum = createHash('sha256').update(text).digest('hex');
  return { checksum, groups: groupStatements(splitSql(text)) };
}

function assertInSequence(migrations: readonly Migration[], first: number, folder: string): void {
  if (migrations.every(({ number }, index) => number === first + index)) return;
  const numbers = [0, 1].map((more) => String(first + more).padStart(4, '0')).join(', ');
  const names = migrations.map(({ name }) => name).join(', ');
  throw new SchemaError(
    `Expected migrations ${numbers}, ... in ${folder}, got ${names}. Restore what is missing, or ` +
      'give each a number of its own.',
  );
}
