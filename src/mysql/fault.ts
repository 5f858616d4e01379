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
/** What mysql2 calls a handshake of TLS that failed, and one that the server has no part in. */
const TLS_FAILED = 'HANDSHAKE_SSL_ERROR';
const NO_TLS = 'HANDSHAKE_NO_SSL_SUPPORT';
const TLS_DEMANDED = 'ER_SECURE_TRANSPORT_REQUIRED';

/** The code of a statement that was not answered in time. */
export const SILENCE = 'PROTOCOL_SEQUENCE_TIMEOUT';

/** As mysql2's own timeout would have it. */
export function silence(): Error {
  return Object.assign(new Error('Expected an answer in time, got none.'), { code: SILENCE });
}

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
  if (code === TLS_DEMANDED) {
    return new AccessDeniedError(
      `Expected ${where} to let this account in, got ${code}: it takes TLS only. ` +
        'Set ssl-ca and ssl-mode in the URL: the file of its CA, and VERIFY_CA or VERIFY_IDENTITY.',
      { cause: error },
    );
  }
  if (DENIED.has(code)) {
    return new AccessDeniedError(
      `Expected ${where} to let this account in, got ${code}. Check user, password and database ` +
        'in the URL, ssl-ca and ssl-mode if server or account take TLS only (MariaDB does not say ' +
        'so), and the grants (migrations/grant_*.sql list what each part needs).',
      { cause: error },
    );
  }
  if (code === TLS_FAILED || code === NO_TLS) {
    return new UnavailableError(`Expected a TLS connection to ${where}, ${tlsFault(code, error)}`, {
      cause: error,
    });
  }
  return new UnavailableError(
    `Expected ${where} to answer, got ${code}. Check that the server runs and can be reached.`,
    { cause: error },
  );
}

/** The texts of OpenSSL and Node name certificates and hosts, and nothing secret. */
function tlsFault(code: string, error: unknown): string {
  if (code === NO_TLS) {
    return (
      `got ${code}: it has no certificate. Give it one, or take ssl-mode and ssl-ca out of the ` +
      'URL.'
    );
  }
  const text = error instanceof Error ? error.message.replace(/\.$/, '') : '';
  if (text.includes("does not match certificate's")) {
    const [, names = 'others'] = /the cert's \w+: (.*)$/.exec(text) ?? [];
    return (
      `got ${code}: the certificate is for ${names}. Name the host in the URL as its certificate ` +
      'does; ssl-mode=VERIFY_CA checks no name.'
    );
  }
  return (
    `got ${code}: ${text}. Check that ssl-ca in the URL is the file of the CA that signed the ` +
    "server's certificate, and that this has not expired; ssl-mode says what is checked."
  );
}
