/**
 * A pool of MySQL connections from one URL, each set up so that the server's own defaults do not
 * matter: UTC, REPEATABLE READ (one snapshot per transaction), autocommit, and a strict sql_mode
 * (a value that does not fit is an error, never cut short; backslashes mean what mysql2 expects).
 *
 * Faults of a URL are said by its shape. The URL itself is never repeated: it holds a password.
 */
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, createPool, type Pool, type PoolOptions } from 'mysql2/promise';
import { InvalidOptionsError } from '../errors.js';

export interface OpenPoolOptions {
  readonly connectionLimit: number;
  /** How long one connection attempt may take, in ms. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** How long a statement waits for a row lock, in s. Default: the server's own (50). */
  readonly lockWaitTimeoutSeconds?: number;
  /** Several statements in one round trip. Default false. */
  readonly multipleStatements?: boolean;
  /** Default: REPEATABLE READ. */
  readonly isolation?: 'READ COMMITTED';
}

export const MYSQL_URL_SHAPE = 'mysql://user:password@host:3306/database';

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000;
const KEEP_ALIVE_DELAY_MS = 10_000;
const DEFAULT_PORT = 3306;
const URL_OPTIONS = ['ssl-mode', 'ssl-ca', 'socket'];
const SSL_MODES = ['DISABLED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'];

/** Opens nothing yet: connections come with the first query.
 * @throws InvalidOptionsError when the URL does not have the shape of {@link MYSQL_URL_SHAPE} */
export function openPool(url: string, options: OpenPoolOptions): Pool {
  const pool = createPool({
    ...parseMysqlUrl(url),
    connectionLimit: options.connectionLimit,
    connectTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    multipleStatements: options.multipleStatements ?? false,
    enableKeepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
    charset: 'UTF8MB4_BIN',
    timezone: 'Z',
    dateStrings: true,
    jsonStrings: true,
    supportBigNumbers: true,
    trace: false,
  });
  // The statements queue on the connection ahead of the first one of whoever asked for it.
  pool.pool.on('connection', (connection) => {
    for (const sql of sessionStatements(options)) {
      connection.query(sql, (error) => {
        if (error) connection.destroy();
      });
    }
  });
  return pool;
}

/** How to reach the server that a pool reaches, on a connection beside it. */
export function connectionOptionsOf(pool: Pool): ConnectionOptions {
  // mysql2's types know the options that a pool was made of, its pools hold them one level deeper.
  const { connectionConfig } = pool.pool.config as { connectionConfig?: ConnectionOptions };
  const { host, port, socketPath, user, password, database, ssl, stream, authPlugins } =
    connectionConfig ?? pool.pool.config;
  return {
    ...{ host, port, socketPath, user, password, database, stream, authPlugins },
    ...(ssl ? { ssl } : {}),
  };
}

function sessionStatements(options: OpenPoolOptions): string[] {
  const settings = [
    "time_zone = '+00:00'",
    'autocommit = 1',
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
  ];
  if (options.lockWaitTimeoutSeconds !== undefined) {
    settings.push(`innodb_lock_wait_timeout = ${Math.ceil(options.lockWaitTimeoutSeconds)}`);
  }
  return [
    `SET SESSION ${settings.join(', SESSION ')}`,
    `SET SESSION TRANSACTION ISOLATION LEVEL ${options.isolation ?? 'REPEATABLE READ'}`,
  ];
}

/** What mysql2 needs to know to connect, from a URL.
 * @throws InvalidOptionsError naming every fault without repeating any part that may be secret */
export function parseMysqlUrl(text: string): PoolOptions {
  const parsed = readMysqlUrl(text);
  if ('faults' in parsed) throw new InvalidOptionsError(parsed.faults);
  return parsed.options;
}

/** What is wrong with a MySQL URL, one line per fault; empty when it is fine. */
export function mysqlUrlFaults(text: string): readonly string[] {
  const parsed = readMysqlUrl(text);
  return 'faults' in parsed ? parsed.faults : [];
}

function readMysqlUrl(text: string): { options: PoolOptions } | { faults: string[] } {
  if (!URL.canParse(text)) return { faults: [`Expected a URL like ${MYSQL_URL_SHAPE}`] };
  const url = new URL(text);
  const faults: string[] = [];
  if (url.protocol !== 'mysql:' && url.protocol !== 'mariadb:') {
    faults.push(`Expected a URL that starts with mysql://, like ${MYSQL_URL_SHAPE}`);
  }
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(
    decodeOrUndefined,
  );
  if (user === undefined || password === undefined || database === undefined) {
    faults.push('Expected user, password and database percent-encoded (% itself is %25)');
  }
  if (url.hostname === '') faults.push(`Expected a host, like ${MYSQL_URL_SHAPE}`);
  if (url.username === '') faults.push(`Expected a user, like ${MYSQL_URL_SHAPE}`);
  if (database === '' || database?.includes('/')) {
    faults.push(`Expected one database name after the host, like ${MYSQL_URL_SHAPE}`);
  }
  const options: PoolOptions = {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    user,
    password,
    database,
  };
  applyUrlOptions(url.searchParams, options, faults);
  return faults.length > 0 ? { faults } : { options };
}

function applyUrlOptions(parameters: URLSearchParams, options: PoolOptions, faults: string[]) {
  for (const name of new Set(parameters.keys())) {
    if (!URL_OPTIONS.includes(name)) {
      faults.push(`Expected only the URL options ${URL_OPTIONS.join(', ')}, got another`);
    }
  }
  const socket = parameters.get('socket');
  if (socket !== null) options.socketPath = socket;
  const ca = parameters.get('ssl-ca');
  const mode =
    parameters.get('ssl-mode')?.toUpperCase() ?? (ca === null ? 'DISABLED' : 'VERIFY_CA');
  if (!SSL_MODES.includes(mode)) {
    faults.push(`Expected ssl-mode to be one of ${SSL_MODES.join(', ')}`);
  }
  if (mode === 'DISABLED') return;
  options.ssl = {
    rejectUnauthorized: mode !== 'REQUIRED',
    verifyIdentity: mode === 'VERIFY_IDENTITY',
  };
  if (ca === null) return;
  try {
    options.ssl.ca = readFileSync(ca, 'utf8');
  } catch {
    faults.push('Expected ssl-ca to name a file that can be read, with PEM certificates');
  }
}

function decodeOrUndefined(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
