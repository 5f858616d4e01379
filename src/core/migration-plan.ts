/**
 * What a migration has to do: pure, from the files there are and what the ledger says.
 *
 * DDL is not transactional, so a run can end anywhere. The ledger has a row per file: the checksum
 * of the script that was begun (the file or its down file), how many of its statements are known
 * done, and `applied_at` once the file is applied. A row without `applied_at` is half applied, or,
 * with the down file's checksum, half taken down. The statement after the known ones is in doubt:
 * it may have run with nobody left to note it, so only it may find its work already done.
 */
import { SchemaError } from '../errors.js';

export interface Script {
  readonly checksum: string;
  /** Statements in groups: a group uses what its session holds, so it runs from its first one. */
  readonly groups: readonly (readonly string[])[];
}

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly up: Script;
  readonly down: Script;
}

export interface LedgerRow {
  readonly name: string;
  /** Null when applied by hand. */
  readonly checksum: string | null;
  readonly statementsDone: number;
  readonly isApplied: boolean;
}

export interface Step {
  readonly migration: Migration;
  readonly direction: 'up' | 'down';
  /** Statements that are known done. */
  readonly statementsDone: number;
  /** Which statements may find their work already done. */
  readonly inDoubt: 'none' | 'first' | 'all';
}

export interface Plan {
  readonly steps: readonly Step[];
  /** Applied by hand: their checksums are noted. */
  readonly recognised: readonly Migration[];
}

/** The first number of a system's own migrations; those below are Tidemark's. */
export const FIRST_OWN = 1001;

export function isOwn(number: number): boolean {
  return number >= FIRST_OWN;
}

const ALIGNED = /^(PREPARE|EXECUTE|DEALLOCATE)\b/i;

/** Groups statements: PREPARE, EXECUTE and DEALLOCATE belong to the statement before them. */
export function groupStatements(statements: readonly string[]): string[][] {
  const groups: string[][] = [];
  for (const statement of statements) {
    const last = groups.at(-1);
    if (last !== undefined && ALIGNED.test(statement)) last.push(statement);
    else groups.push([statement]);
  }
  return groups;
}

/**
 * @param migrations all that this program has, ascending
 * @param target the number of the last migration to be applied; 0 for none
 * @throws SchemaError when the ledger and the files contradict each other
 */
export function planMigration(
  migrations: readonly Migration[],
  ledger: readonly LedgerRow[],
  target: number,
): Plan {
  assertKnown(migrations, ledger);
  const rows = new Map(ledger.map((row) => [row.name, row]));
  const downs: Step[] = [];
  const ups: Step[] = [];
  const recognised: Migration[] = [];
  for (const migration of migrations) {
    const row = rows.get(migration.name);
    const isWanted = migration.number <= target;
    if (row?.isApplied) {
      if (row.checksum === null) recognised.push(migration);
      else assertUnedited(migration, row.checksum === migration.up.checksum);
    }
    const { down, up } = stepsOf(migration, row, isWanted);
    if (down !== undefined) downs.unshift(down); // newest first
    if (up !== undefined) ups.push(up);
  }
  assertLogIsUnused(migrations, ledger, downs);
  return { steps: [...downs, ...ups], recognised };
}

function stepsOf(
  migration: Migration,
  row: LedgerRow | undefined,
  isWanted: boolean,
): { down?: Step; up?: Step } {
  const fresh = { migration, statementsDone: 0, inDoubt: 'none' } as const;
  if (row === undefined) return isWanted ? { up: { ...fresh, direction: 'up' } } : {};
  if (row.isApplied) return isWanted ? {} : { down: { ...fresh, direction: 'down' } };
  const { statementsDone, checksum } = row;
  const isHalfDown = checksum === migration.down.checksum;
  assertUnedited(migration, isHalfDown || checksum === migration.up.checksum);
  if (isHalfDown) {
    const down: Step = { migration, direction: 'down', statementsDone, inDoubt: 'first' };
    return isWanted ? { down, up: { ...fresh, direction: 'up' } } : { down };
  }
  if (isWanted) return { up: { migration, direction: 'up', statementsDone, inDoubt: 'first' } };
  return { down: { ...fresh, direction: 'down', inDoubt: 'all' } }; // it may lack anything
}

/** A system's own migrations may be in a folder that this run was not told of. */
function assertKnown(migrations: readonly Migration[], ledger: readonly LedgerRow[]): void {
  const unknown = unknownOf(migrations, ledger).filter((name) => !isOwnName(name));
  if (unknown.length === 0) return;
  const last = migrations.findLast(({ number }) => !isOwn(number));
  throw new SchemaError(
    `Expected a database with migrations up to ${last?.name}, got one that has ` +
      `${unknown.join(', ')} too. It is newer than this program: upgrade tidemark, then try again.`,
  );
}

/** The log is not taken away from tables that still write to it. */
function assertLogIsUnused(
  migrations: readonly Migration[],
  ledger: readonly LedgerRow[],
  downs: readonly Step[],
): void {
  const [first] = migrations;
  const own = unknownOf(migrations, ledger).filter(isOwnName);
  if (own.length === 0 || !downs.some(({ migration }) => migration === first)) return;
  throw new SchemaError(
    `Expected to take down the log when no table writes to it, got ${own.join(', ')}, applied from ` +
      'a folder of its own. Pass that folder as --dir.',
  );
}

function unknownOf(migrations: readonly Migration[], ledger: readonly LedgerRow[]): string[] {
  const known = new Set(migrations.map(({ name }) => name));
  return ledger.map(({ name }) => name).filter((name) => !known.has(name));
}

function isOwnName(name: string): boolean {
  return /^\d{4}_/.test(name) && isOwn(Number(name.slice(0, 4)));
}

function assertUnedited(migration: Migration, isUnedited: boolean): void {
  if (isUnedited) return;
  throw new SchemaError(
    `Expected ${migration.name}.sql as it was when the database got it, got an edited file. ` +
      'Restore it (or install the same version of tidemark), and put the change in a new one.',
  );
}
