/**
 * What a MySQL URL says: an account, a database, and one host or, for readers, several of which one
 * is used at a time; with or without TLS.
 *
 * Faults are said by shape. The URL itself is never repeated: it holds a password.
 */
import { isIP } from 'node:net';
import type { PoolOptions, SslOptions } from 'mysql2/promise';
import { InvalidOptionsError } from '../errors.js';
import { readTlsFiles, TLS_FILES } from '../tls-files.js';

export const MYSQL_URL_SHAPE = 'mysql://user:password@host:3306/database';
export const MYSQL_HOSTS_SHAPE = 'mysql://user:password@host1:3306,host2:3306/database';

export interface MysqlAddress {
  readonly host: string;
  readonly port: number;
}

export interface MysqlTarget {
  /** At least one, in the order in which they are tried. */
  readonly addresses: readonly MysqlAddress[];
  readonly socketPath?: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Undefined: without TLS. */
  readonly ssl?: SslOptions;
}

const DEFAULT_PORT = 3306;
const URL_OPTIONS: readonly string[] = ['ssl-mode', ...TLS_FILES, 'socket'];
const SSL_MODES = ['DISABLED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'];
const AUTHORITY = /^([a-z]+:\/\/(?:[^/?#]*@)?)([^@/?#]*)([/?#].*)?$/is;

/** @throws InvalidOptionsError naming every fault without repeating any part that may be secret */
export function parseMysqlUrl(text: string): MysqlTarget {
  const parsed = readMysqlUrl(text);
  if ('faults' in parsed) throw new InvalidOptionsError(parsed.faults);
  return parsed.target;
}

/** What is wrong with a MySQL URL, one line per fault; empty when it is fine. */
export function mysqlUrlFaults(text: string, hosts: 'one' | 'several'): readonly string[] {
  const parsed = readMysqlUrl(text);
  if ('faults' in parsed) return parsed.faults;
  return hosts === 'one' ? severalHostsFaults(parsed.target) : [];
}

/** What is wrong with a target where there must be one host. */
export function severalHostsFaults({ addresses }: MysqlTarget): string[] {
  return addresses.length > 1
    ? [`Expected one host, like ${MYSQL_URL_SHAPE}: all writes go to one source`]
    : [];
}

/** The URL once for each of its hosts: no parser of URLs takes several. */
export function urlsByHost(text: string): string[] {
  const [, before = '', hosts = '', after = ''] = AUTHORITY.exec(text) ?? [];
  return hosts.includes(',') ? hosts.split(',').map((host) => `${before}${host}${after}`) : [text];
}

/** What mysql2 needs to know to connect to the first host. */
export function connectionOf({ addresses, ...rest }: MysqlTarget): PoolOptions {
  return { ...addresses[0], ...rest };
}

type Parsed = { readonly target: MysqlTarget } | { readonly faults: readonly string[] };

function readMysqlUrl(text: string): Parsed {
  const urls = urlsByHost(text);
  if (!urls.every((url) => URL.canParse(url))) {
    const shape = urls.length > 1 ? MYSQL_HOSTS_SHAPE : MYSQL_URL_SHAPE;
    return { faults: [`Expected a URL like ${shape}`] };
  }
  const [url] = urls.map((one) => new URL(one)) as [URL]; // there is at least one
  const addresses = urls.map((one) => addressOf(new URL(one)));
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
  if (addresses.some(({ host }) => host === '')) {
    faults.push(`Expected a host, like ${MYSQL_URL_SHAPE}`);
  }
  if (url.username === '') faults.push(`Expected a user, like ${MYSQL_URL_SHAPE}`);
  if (database === '' || database?.includes('/')) {
    faults.push(`Expected one database name after the host, like ${MYSQL_URL_SHAPE}`);
  }
  const options = readUrlOptions(url.searchParams, addresses, faults);
  if (user === undefined || password === undefined || database === undefined || faults.length > 0)
    return { faults };
  return { target: { addresses, user, password, database, ...options } };
}

function addressOf(url: URL): MysqlAddress {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, port: url.port === '' ? DEFAULT_PORT : Number(url.port) };
}

function readUrlOptions(
  parameters: URLSearchParams,
  addresses: readonly MysqlAddress[],
  faults: string[],
): Pick<MysqlTarget, 'socketPath' | 'ssl'> {
  for (const name of new Set(parameters.keys())) {
    if (!URL_OPTIONS.includes(name)) {
      faults.push(`Expected only the URL options ${URL_OPTIONS.join(', ')}, got another`);
    }
  }
  const socketPath = parameters.get('socket');
  if (socketPath !== null && addresses.length > 1) {
    faults.push('Expected one host with a socket, got several');
  }
  const ssl = readTls(parameters, addresses, faults);
  return { ...(socketPath !== null && { socketPath }), ...(ssl && { ssl }) };
}

/** Without `ssl-mode`, a file asks for TLS with the server's certificate checked, its name not: as
 * MySQL's own client does. */
function readTls(
  parameters: URLSearchParams,
  addresses: readonly MysqlAddress[],
  faults: string[],
): SslOptions | undefined {
  const hasFiles = TLS_FILES.some((name) => parameters.has(name));
  const mode = parameters.get('ssl-mode')?.toUpperCase() ?? (hasFiles ? 'VERIFY_CA' : 'DISABLED');
  if (!SSL_MODES.includes(mode)) {
    faults.push(`Expected ssl-mode to be one of ${SSL_MODES.join(', ')}`);
  }
  if (mode === 'DISABLED') return undefined;
  // mysql2 has no name to hold against the certificate then, and would take "localhost" for it.
  if (mode === 'VERIFY_IDENTITY' && addresses.some(({ host }) => isIP(host) !== 0)) {
    faults.push(
      'Expected names of hosts with ssl-mode=VERIFY_IDENTITY, got an IP address (VERIFY_CA takes it)',
    );
  }
  return {
    rejectUnauthorized: mode !== 'REQUIRED',
    verifyIdentity: mode === 'VERIFY_IDENTITY',
    ...readTlsFiles(parameters, faults),
  };
}

function decodeOrUndefined(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
