/**
 * What a failed write means: whether trying the whole transaction again may help, and else which
 * of Tidemark's errors it is. The server's text is not passed on: it quotes keys and values.
 */
import type { TableNames } from '../core/table.js';
import {
  InvalidKeyError,
  InvalidValueError,
  OutcomeUnknownError,
  SchemaError,
  TidemarkError,
  UnavailableError,
  ValueTooLargeError,
} from '../errors.js';
import { KeyCollisionError } from '../writer/write-errors.js';
import { explainMysqlFault, mysqlCodeOf } from './fault.js';

const WHERE = 'MySQL-A (MYSQL_A_URL)';

/** The server undid the transaction, or never got to its end. */
const ROLLED_BACK = new Set([
  'ER_LOCK_DEADLOCK',
  'ER_LOCK_WAIT_TIMEOUT',
  'ER_CHECKREAD',
  'ER_TRANSACTION_ROLLBACK_DURING_COMMIT',
]);
const LOST = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'ECONNRESET',
  'EPIPE',
  'ER_SERVER_SHUTDOWN',
  'ER_CLIENT_INTERACTION_TIMEOUT',
]);
const READ_ONLY = new Set([
  'ER_OPTION_PREVENTS_STATEMENT',
  'ER_READ_ONLY_MODE',
  'ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION',
]);
/** What no single write can be the cause of. */
const OF_ALL = new Set([
  ...READ_ONLY,
  'ER_NO_SUCH_TABLE',
  'ER_BAD_FIELD_ERROR',
  'ER_ACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_COLUMNACCESS_DENIED_ERROR',
  'ER_BAD_DB_ERROR',
  'ER_SECURE_TRANSPORT_REQUIRED',
  'ER_CON_COUNT_ERROR',
  'ER_TOO_MANY_USER_CONNECTIONS',
  'ER_USER_LIMIT_REACHED',
  'ER_SERVER_SHUTDOWN',
]);
const SCHEMA_HINTS = new Map([
  ['ER_NO_SUCH_USER', 'the account that created the triggers is gone; create it again'],
  ['ER_NO_DEFAULT_FOR_FIELD', 'the table has another column without a default; give it one'],
  ['ER_BINLOG_STMT_MODE_AND_ROW_ENGINE', 'binlog_format is STATEMENT; set it to ROW'],
  ['ER_SP_DOES_NOT_EXIST', 'a trigger calls what does not exist; run `tidemark migrate`'],
]);
const UNFIT_VALUE = new Set([
  'ER_TRUNCATED_WRONG_VALUE_FOR_FIELD',
  'ER_CONSTRAINT_FAILED',
  'ER_CHECK_CONSTRAINT_VIOLATED',
  'ER_INVALID_JSON_TEXT',
  'ER_INVALID_JSON_TEXT_IN_PARAM',
  'ER_JSON_DOCUMENT_TOO_DEEP',
]);

/** Whether a transaction that failed with `error` before its COMMIT may succeed on another try. */
export function mayRetry(error: unknown): boolean {
  const code = mysqlCodeOf(error) ?? '';
  return !(error instanceof TidemarkError) && (ROLLED_BACK.has(code) || LOST.has(code));
}

/** Whether someone else kept a lock, longer than the statement was to wait. MariaDB has one code for
 * NOWAIT and for a wait that took too long. */
export function isLocked(error: unknown): boolean {
  return ['ER_LOCK_NOWAIT', 'ER_LOCK_WAIT_TIMEOUT'].includes(mysqlCodeOf(error) ?? '');
}

/** Whether a failed COMMIT certainly left nothing behind. */
export function wasRolledBack(error: unknown): boolean {
  return ROLLED_BACK.has(mysqlCodeOf(error) ?? '');
}

/** Whether a group of writes that failed with `error` may have failed because of one of them. */
export function mayBeOfOneWrite(error: unknown): boolean {
  if (error instanceof TidemarkError) {
    return !(error instanceof UnavailableError || error instanceof OutcomeUnknownError);
  }
  const code = mysqlCodeOf(error) ?? '';
  return !OF_ALL.has(code) && (LOST.has(code) || code.startsWith('ER_'));
}

export function explainWriteFault(error: unknown, names: TableNames): TidemarkError {
  if (error instanceof TidemarkError) return error;
  const code = mysqlCodeOf(error) ?? '';
  const text = error instanceof Error ? error.message : '';
  if (ROLLED_BACK.has(code)) {
    return new UnavailableError(
      `Expected the locks of ${names.table}, another transaction kept them (${code}). ` +
        'Nothing was written. Try again, and look for long transactions on MySQL-A.',
      { cause: error },
    );
  }
  if (READ_ONLY.has(code)) {
    return new UnavailableError(
      `Expected ${WHERE} to accept writes, got ${code}. Point it at the source, not a replica.`,
      { cause: error },
    );
  }
  return explainStatementFault(code, text, names) ?? explainMysqlFault(error, WHERE);
}

// None of these carries the server's error as its cause: its text may hold the key or the value.
function explainStatementFault(
  code: string,
  text: string,
  names: TableNames,
): TidemarkError | undefined {
  const hint = SCHEMA_HINTS.get(code);
  if (hint !== undefined) return new SchemaError(`Expected a writable ${names.table}: ${hint}.`);
  if (code === 'ER_SIGNAL_EXCEPTION' && text.startsWith('tidemark: ')) {
    return new SchemaError(`Expected Tidemark's tables to be whole on MySQL-A, got: ${text}.`);
  }
  if (code === 'ER_NET_PACKET_TOO_LARGE') {
    return new ValueTooLargeError(
      `Expected a write that fits max_allowed_packet of ${WHERE}, it does not. ` +
        'Raise max_allowed_packet there, and on the replica.',
    );
  }
  if (code === 'ER_DUP_ENTRY') return collision(names);
  const isOfKey = text.includes(`'${names.keyColumn}'`);
  if (code === 'ER_DATA_TOO_LONG') {
    const message = `Expected what fits the column ${isOfKey ? names.keyColumn : names.valueColumn}`;
    return isOfKey
      ? new InvalidKeyError(`${message}, got a longer key. Widen the column to VARCHAR(255).`)
      : new ValueTooLargeError(`${message}, got more. Widen the column to LONGTEXT.`);
  }
  if (!UNFIT_VALUE.has(code)) return undefined;
  const message = `Expected what the table's columns can hold, got ${code}`;
  return isOfKey
    ? new InvalidKeyError(`${message} for the key. Convert the column to utf8mb4.`)
    : new InvalidValueError(`${message} for the value. The column must be LONGTEXT in utf8mb4.`);
}

function collision(names: TableNames): KeyCollisionError {
  return new KeyCollisionError(
    `Expected a new key, but a unique index of ${names.table} takes it for one that is there, ` +
      'which differs in case, accents or trailing spaces. Nothing was written. Use the key as ' +
      `stored, or give the column ${names.keyColumn} a binary NO PAD collation.`,
  );
}
