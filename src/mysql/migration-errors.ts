/** What can go wrong in a migration, and the next step for each. */
import type { Step } from '../core/migration-plan.js';
import { TidemarkError } from '../errors.js';
import { mysqlCodeOf } from './fault.js';

/** Another run holds the lock, or the lock cannot be had. */
export class MigrationLockError extends TidemarkError {
  readonly code = 'migration_lock';
}

/** The server refused a statement. What was done before it is noted; the next run goes on there. */
export class MigrationError extends TidemarkError {
  readonly code = 'migration';
}

const HINTS: Record<string, string> = {
  ER_BINLOG_CREATE_ROUTINE_NEED_SUPER:
    'With the binary log on, creating triggers needs log_bin_trust_function_creators = 1 (SET ' +
    'GLOBAL, or the parameter group of a managed MySQL), or an account with SUPER. Set it, run ' +
    '`tidemark migrate` again; it may be taken back afterwards.',
  ER_OPTION_PREVENTS_STATEMENT:
    'This server is read-only: set MYSQL_A_URL to the source in data center A; replication ' +
    'carries the schema to data center B.',
  ER_LOCK_WAIT_TIMEOUT:
    'An open transaction uses the table. End it, or wait, then run `tidemark migrate` again.',
  ER_TRG_ALREADY_EXISTS:
    'It was made by hand, perhaps by a file that ended half-way. Apply the down file with the ' +
    'plain client, then run `tidemark migrate` again.',
};
HINTS.ER_ALTER_OPERATION_NOT_SUPPORTED =
  'This table cannot take a column so. Take what is done down (`tidemark migrate --to`), delete the ' +
  'two files, run `tidemark track` again with --algorithm inplace, or copy, and apply what it ' +
  'writes at a quiet hour.';
HINTS.ER_ALTER_OPERATION_NOT_SUPPORTED_REASON = HINTS.ER_ALTER_OPERATION_NOT_SUPPORTED;
HINTS.ER_TABLE_EXISTS_ERROR = HINTS.ER_TRG_ALREADY_EXISTS ?? '';

/** Its number is another error's on the other server, so that it is known by its text. */
const OTHER_TRIGGERS = /^Referenced trigger/;
const OTHER_TRIGGERS_HINT =
  'The table has other triggers than when `tidemark track` looked at it. Take what is done down ' +
  '(`tidemark migrate --to`), delete the two files, and run `tidemark track` again.';

const DENIED = /_DENIED_ERROR$/;
const DENIED_HINT =
  'The account of MYSQL_A_URL needs, on this database: CREATE, DROP, ALTER, INDEX, TRIGGER, ' +
  'SELECT, INSERT, UPDATE, DELETE. Grant them, or let a DBA apply the files in migrations/.';

/** @param index of the statement in its file, from 0 */
export function explainStatement(cause: unknown, step: Step, index: number): MigrationError {
  const code = mysqlCodeOf(cause) ?? 'no code';
  const file = `${step.migration.name}${step.direction === 'down' ? '.down' : ''}.sql`;
  const text = cause instanceof Error ? cause.message : String(cause);
  const hint = hintFor(code, text);
  const next = hint ?? 'Remove the cause, then run `tidemark migrate` again; it goes on there.';
  const what = `Expected statement ${index + 1} of ${file} to run, got ${code}: ${text}`;
  return new MigrationError(`${what}. ${next}`, { cause });
}

function hintFor(code: string, text: string): string | undefined {
  if (OTHER_TRIGGERS.test(text)) return OTHER_TRIGGERS_HINT;
  return DENIED.test(code) ? DENIED_HINT : HINTS[code];
}
