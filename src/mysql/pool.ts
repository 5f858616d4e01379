/**
 * A pool of MySQL connections from one URL, each set up so that the server's own defaults do not
 * matter: UTC, REPEATABLE READ (one snapshot per transaction), autocommit, and a strict sql_mode
 * (a value that does not fit is an error, never cut short; backslashes mean what mysql2 expects).
 */
import type { Duplex } from 'node:stream';
import { type Connection, type ConnectionOptions, createPool, type Pool } from 'mysql2/promise';
import { InvalidOptionsError } from '../errors.js';
import { Hosts, type HostsOptions, setHosts } from './hosts.js';
import { connectionOf, parseMysqlUrl, severalHostsFaults } from './url.js';

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
  /** The URL may name several hosts, of which one is used at a time. Default: one host. */
  readonly severalHosts?: HostsOptions;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000;
/** Of one host among several: a read waits for it and for the next one. */
const HOST_CONNECT_TIMEOUT_MS = 1_000;
const KEEP_ALIVE_DELAY_MS = 10_000;
/** Far more than there are statements. mysql2 makes room for so many at once: 16,000 take 0.7 MB. */
const MAX_PREPARED_STATEMENTS = 256;

/** Opens nothing yet: connections come with the first query.
 * @throws InvalidOptionsError when the URL does not have the shape of MYSQL_URL_SHAPE */
export function openPool(url: string, options: OpenPoolOptions): Pool {
  const target = parseMysqlUrl(url);
  const faults = options.severalHosts === undefined ? severalHostsFaults(target) : [];
  if (faults.length > 0) throw new InvalidOptionsError(faults);
  const hosts =
    options.severalHosts !== undefined && target.addresses.length > 1
      ? new Hosts(target.addresses, options.connectionLimit, options.severalHosts)
      : undefined;
  const usualTimeoutMs = hosts === undefined ? DEFAULT_CONNECT_TIMEOUT_MS : HOST_CONNECT_TIMEOUT_MS;
  const pool = createPool({
    ...connectionOf(target),
    ...(hosts && { stream: hosts.connect }),
    connectionLimit: options.connectionLimit,
    connectTimeout: options.connectTimeoutMs ?? usualTimeoutMs,
    multipleStatements: options.multipleStatements ?? false,
    maxPreparedStatements: MAX_PREPARED_STATEMENTS,
    enableKeepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
    charset: 'UTF8MB4_BIN',
    timezone: 'Z',
    dateStrings: true,
    jsonStrings: true,
    supportBigNumbers: true,
    trace: false,
  });
  if (hosts !== undefined) setHosts(pool, hosts);
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

/** Closes a connection at once. mysql2's own `destroy` ends its half only, and keeps the socket until
 * the peer has ended the other one, which a peer that has vanished never does. */
export function hangUp(connection: Connection): void {
  connection.destroy();
  const { connection: inner } = connection as { connection?: { stream?: Duplex } }; // not in its types
  inner?.stream?.destroy();
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

/** What makes a session independent of the server's defaults. */
export function sessionStatements(
  options: Pick<OpenPoolOptions, 'lockWaitTimeoutSeconds' | 'isolation'> = {},
): string[] {
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
