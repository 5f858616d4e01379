/** Looks at a table and makes the migration that tracks it, after those that a folder has. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Connection } from 'mysql2/promise';
import type { Collection } from '../core/collection.js';
import { FIRST_OWN } from '../core/migration-plan.js';
import { TidemarkError } from '../errors.js';
import { readOwnMigrations } from '../mysql/migration-files.js';
import { inspectTable, type TableFacts } from '../mysql/table-facts.js';
import { type Judgement, judge, type Wish } from './judge.js';
import { type MigrationText, migrationText } from './migration-text.js';

/** A table that cannot be tracked as it is; the message has each reason, and what to do. */
export class UntrackableError extends TidemarkError {
  readonly code = 'untrackable';
  constructor(
    readonly facts: TableFacts,
    readonly judgement: Judgement,
  ) {
    const reasons = judgement.refusals.map(({ reason, remedy }) => `${reason} ${remedy}`);
    super(
      `Expected a table that can be tracked, got ${facts.table}:\n  - ${reasons.join('\n  - ')}`,
    );
  }
}

export interface Tracked {
  readonly collection: Collection;
  readonly facts: TableFacts;
  readonly judgement: Judgement;
  readonly migration: MigrationText;
}

/** @param folder where the migration will stand; it need not exist
 * @param command how this was asked for, for the readers of the migration
 * @throws UntrackableError, SchemaError when the folder's migrations have no order */
export async function planTracking(
  connection: Connection,
  wish: Wish,
  folder: string,
  command: string,
): Promise<Tracked> {
  const facts = await inspectTable(connection, wish.table);
  const judgement = judge(facts, wish);
  const { collection, valueColumns, refusals } = judgement;
  if (refusals.length > 0) throw new UntrackableError(facts, judgement);
  const others = await readOwn(folder);
  const number = (others.at(-1)?.number ?? FIRST_OWN - 1) + 1;
  const follows = facts.triggers.findLast(
    ({ timing, event }) => timing === 'BEFORE' && event === 'UPDATE',
  )?.name;
  const tracked = { collection, valueColumns, follows, algorithm: wish.algorithm };
  return { collection, facts, judgement, migration: migrationText(number, tracked, command) };
}

/** @returns the paths of the migration and of its down file */
export async function writeMigration(
  folder: string,
  { name, up, down }: MigrationText,
): Promise<readonly [up: string, down: string]> {
  const paths = [join(folder, `${name}.sql`), join(folder, `${name}.down.sql`)] as const;
  await mkdir(folder, { recursive: true });
  await writeFile(paths[1], down, { flag: 'wx' });
  await writeFile(paths[0], up, { flag: 'wx' });
  return paths;
}

async function readOwn(folder: string) {
  const exists = await readdir(folder).then(
    () => true,
    () => false,
  );
  return exists ? await readOwnMigrations(folder) : [];
}
