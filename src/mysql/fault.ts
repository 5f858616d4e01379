/** Turns what mysql2 throws into Tidemark's errors: what was expected, and what to do next. */
import { AccessDeniedError, SchemaError, TidemarkError, UnavailableError } from '../errors.js';

const MISSING = new Set(['ER_NO_SUCH_TABLE', 'ER_BAD_FIELD_ERROR']);
const DENIED = new Set([
  'ER_ACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_COLUMNACCESS_DENIED_ERROR',
  'ER_BAD_DB_ERROR',
]);

/** The number and symbol of a server's error, without its text where that may hold data. */
export function mysqlCodeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return String(error.code);
}

/** @param where the server, by its role and the setting that names it; never a URL */
export function explainMysqlFault(error: unknown, where: string): TidemarkError {
  if (error instanceof TidemarkError) return error;
  const code = mysqlCodeOf(error) ?? 'no code';
  if (MISSING.has(code)) {
    return new SchemaError(
      `Expected Tidemark's tables on ${where}, got ${code}. Run \`tidemark migrate\` with ` +
        'MYSQL_A_URL set to data center A; replication carries the tables to data center B.',
      { cause: error },
    );
  }
  if (DENIED.has(code)) {
    return new AccessDeniedError(
      `Expected ${where} to let this account in, got ${code}. Check user, password and database ` +
        'in the URL, and the grants (migrations/grant_reader.sql lists what a reader needs).',
      { cause: error },
    );
  }
  return new UnavailableError(
    `Expected ${where} to answer, got ${code}. Check that the server runs and can be reached.`,
    { cause: error },
  );
}
