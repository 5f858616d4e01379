/**
 * Applies the migrations, or takes them down, one run at a time per database.
 *
 * Invariant: what the ledger calls done is done. Progress is noted after each statement, so a run
 * that ended anywhere (MySQL's DDL cannot be rolled back) is taken up where it ended by the next.
 */
import { createHash } from 'node:crypto';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { type Migration, planMigration, type Step } from '../core/migration-plan.js';
import { InvalidOptionsError, SchemaError } from '../errors.js';
import { mysqlCodeOf } from './fault.js';
import { hasLedger, readLedger, recordApplied, recordProgress } from './ledger.js';
import { explainStatement, MigrationLockError } from './migration-errors.js';
import { readMigrations } from './migration-files.js';

export interface MigrateOptions {
  /** The number of the last migration to be applied, 0 for none; all by default. */
  readonly to?: number;
  /** A folder of the system's own migrations, which follow the package's. */
  readonly dir?: string;
  /** Only tells `onStatement` what would run. */
  readonly dryRun?: boolean;
  /** How long to wait for another run, in seconds. */
  readonly lockTimeoutSeconds?: number;
  /** Called before each statement. */
  readonly onStatement?: (step: Step, sql: string) => void;
}

export interface MigrateResult {
  /** What ran, or would run, such as `{ name: '0001_log', direction: 'up' }`. */
  readonly steps: readonly { readonly name: string; readonly direction: 'up' | 'down' }[];
  /** Files that were found applied by hand. */
  readonly recognised: readonly string[];
}

const DEFAULTS = Object.freeze({ lockTimeoutSeconds: 10, dryRun: false });
const LOCK_NAME_MAX_CHARS = 64;

const ALREADY_DONE = {
  up: new Set([
    'ER_TABLE_EXISTS_ERROR',
    'ER_DUP_FIELDNAME',
    'ER_DUP_KEYNAME',
    'ER_SP_ALREADY_EXISTS',
    'ER_TRG_ALREADY_EXISTS',
  ]),
  down: new Set([
    'ER_BAD_TABLE_ERROR',
    'ER_NO_SUCH_TABLE',
    'ER_CANT_DROP_FIELD_OR_KEY',
    'ER_TRG_DOES_NOT_EXIST',
  ]),
};

/** Brings the connection's database to the wanted migration.
 * @throws SchemaError, MigrationLockError, MigrationError, InvalidOptionsError */
export async function migrate(
  connection: Connection,
  options: MigrateOptions = {},
): Promise<MigrateResult> {
  const { dryRun, lockTimeoutSeconds } = { ...DEFAULTS, ...options };
  const migrations = await readMigrations(options.dir);
  const last = migrations.at(-1)?.number ?? 0;
  const target = options.to ?? last;
  if (!Number.isInteger(target) || target < 0 || target > last) {
    throw new InvalidOptionsError([`Expected "to" from 0 to ${last}, got ${target}`]);
  }
  const database = await assertUsable(connection);
  if (dryRun) return await run(connection, migrations, target, options);
  const lock = lockName(database);
  await takeLock(connection, lock, lockTimeoutSeconds);
  try {
    return await run(connection, migrations, target, options);
  } finally {
    await connection.query('DO RELEASE_LOCK(?)', [lock]).catch(() => {}); // gone with the connection
  }
}

async function run(
  connection: Connection,
  migrations: readonly Migration[],
  target: number,
  { dryRun = DEFAULTS.dryRun, onStatement = () => {} }: MigrateOptions,
): Promise<MigrateResult> {
  const { steps, recognised } = planMigration(migrations, await readLedger(connection), target);
  if (!dryRun) for (const migration of recognised) await recordApplied(connection, migration);
  for (const step of steps) {
    if (dryRun) for (const { sql } of remaining(step)) onStatement(step, sql);
    else await runStep(connection, step, onStatement);
  }
  return {
    steps: steps.map(({ migration: { name }, direction }) => ({ name, direction })),
    recognised: recognised.map(({ name }) => name),
  };
}

async function runStep(
  connection: Connection,
  step: Step,
  onStatement: (step: Step, sql: string) => void,
): Promise<void> {
  const { migration, direction } = step;
  const script = migration[direction];
  // The first file makes the ledger with its first statement, which can be repeated.
  const begins = step.statementsDone === 0 && (await hasLedger(connection));
  if (begins) await recordProgress(connection, migration, script, 0);
  for (const { sql, index, endsGroup, isLast, mayBeDone } of remaining(step)) {
    onStatement(step, sql);
    try {
      await connection.query(sql);
    } catch (cause) {
      const isDone = ALREADY_DONE[direction].has(mysqlCodeOf(cause) ?? '');
      if (!(mayBeDone && isDone)) throw explainStatement(cause, step, index);
    }
    // The last statement is the file's own record: applied, or gone with the ledger's row.
    if (endsGroup && !isLast) await recordProgress(connection, migration, script, index + 1);
  }
  if (direction === 'up') await recordApplied(connection, migration);
}

interface Statement {
  readonly sql: string;
  readonly index: number;
  readonly endsGroup: boolean;
  readonly isLast: boolean;
  readonly mayBeDone: boolean;
}

function remaining({ migration, direction, statementsDone, inDoubt }: Step): Statement[] {
  const { groups } = migration[direction];
  const count = groups.flat().length;
  return groups
    .flatMap((group) => group.map((sql, at) => ({ sql, endsGroup: at === group.length - 1 })))
    .map((statement, index) => ({
      ...statement,
      index,
      isLast: index === count - 1,
      mayBeDone: inDoubt === 'all' || (inDoubt === 'first' && index === statementsDone),
    }))
    .slice(statementsDone);
}

/** The database's name; refuses servers whose SQL is not understood here. */
async function assertUsable(connection: Connection): Promise<string> {
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT DATABASE() AS name, VERSION() AS version',
  );
  const [name, version] = [rows[0]?.name, String(rows[0]?.version)];
  if (typeof name !== 'string') {
    throw new SchemaError(
      'Expected a database in the URL, got none. Add /database to MYSQL_A_URL.',
    );
  }
  const isMariaDB = /mariadb/i.test(version);
  if (isOlder(version, isMariaDB ? [10, 6, 0] : [8, 0, 17])) {
    throw new SchemaError(
      `Expected MySQL 8.0.17 or MariaDB 10.6 or newer, got ${version}. Upgrade the server first.`,
    );
  }
  return name;
}

function isOlder(version: string, oldest: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number);
  const at = oldest.findIndex((part, index) => parts[index] !== part);
  return at >= 0 && (parts[at] ?? 0) < (oldest[at] ?? 0);
}

/** A lock is for the whole server, so its name holds the database's. */
export function lockName(database: string): string {
  const name = `tidemark:migrate:${database}`;
  if ([...name].length <= LOCK_NAME_MAX_CHARS) return name;
  return `tidemark:migrate:${createHash('sha256').update(database).digest('hex').slice(0, 32)}`;
}

async function takeLock(connection: Connection, lock: string, seconds: number): Promise<void> {
  const [rows] = await connection.query<RowDataPacket[]>('SELECT GET_LOCK(?, ?) AS got', [
    lock,
    seconds,
  ]);
  const got: unknown = rows[0]?.got;
  if (got === 1) return;
  throw new MigrationLockError(
    got === 0
      ? `Expected to be the only migration of this database, got another one that still runs ` +
          `after ${seconds} s (lock ${lock}). Wait until it is done, then try again.`
      : `Expected the lock ${lock}, got an error of the server (killed, or out of memory?). ` +
          'Look into the log of the server, then try again.',
  );
}
