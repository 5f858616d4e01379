/**
 * What a URL of Redis says: one server, a master that Sentinel knows by name, or a cluster; with or
 * without TLS. Several hosts are separated by commas, which no parser of URLs takes, hence this one.
 *
 * All faults are told at once, by shape. The URL itself is never repeated: it holds a password.
 */
import type { ConnectionOptions } from 'node:tls';
import { InvalidOptionsError } from '../errors.js';
import { readTlsFiles, TLS_FILES } from '../tls-files.js';

export const REDIS_URL_SHAPES = [
  'redis://user:password@host:6379/0',
  'redis-sentinel://user:password@host1:26379,host2:26379/mymaster',
  'redis-cluster://user:password@host1:6379,host2:6379',
] as const;

/** For an error: every shape that fits. */
export const REDIS_URL_SHAPE = `${REDIS_URL_SHAPES.slice(0, 2).join(', ')} or ${REDIS_URL_SHAPES[2]} (rediss for TLS)`;

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

interface Credentials {
  readonly username?: string;
  readonly password?: string;
}

export interface RedisTarget {
  readonly kind: 'server' | 'sentinel' | 'cluster';
  /** Of the sentinels, when there are some. */
  readonly addresses: readonly RedisAddress[];
  readonly credentials: Credentials;
  readonly database: number;
  /** The name of the master, '' without sentinels. */
  readonly master: string;
  readonly sentinelCredentials: Credentials;
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined;
}

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const URL_PARTS =
  /^redis(s?)(?:-(sentinel|cluster))?:\/\/(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/;
const ADDRESS = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i;
const TLS_OPTIONS: readonly string[] = ['ssl-mode', ...TLS_FILES];
const SENTINEL_OPTIONS = ['sentinel-user', 'sentinel-password'];
const SSL_MODES = ['REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'];

/** @throws InvalidOptionsError naming every fault without repeating any part that may be secret */
export function parseRedisUrl(text: string): RedisTarget {
  const parsed = readRedisUrl(text);
  if ('faults' in parsed) throw new InvalidOptionsError(parsed.faults);
  return parsed;
}

/** What is wrong with a URL of Redis, one line per fault; empty when it is fine. */
export function redisUrlFaults(text: string): readonly string[] {
  const parsed = readRedisUrl(text);
  return 'faults' in parsed ? parsed.faults : [];
}

function readRedisUrl(text: string): RedisTarget | { faults: string[] } {
  const parts = URL_PARTS.exec(text);
  if (parts === null) return { faults: [`Expected a URL like ${REDIS_URL_SHAPE}`] };
  const [, s, suffix, user, hosts = '', path = '', query = ''] = parts;
  const kind = suffix === 'sentinel' || suffix === 'cluster' ? suffix : 'server';
  const faults: string[] = [];
  // A password may hold a plus sign, which these parameters would take for a space.
  const parameters = new URLSearchParams(query.replaceAll('+', '%2B'));
  const options = [...(s ? TLS_OPTIONS : []), ...(kind === 'sentinel' ? SENTINEL_OPTIONS : [])];
  for (const name of new Set(parameters.keys())) {
    if (options.includes(name)) continue;
    if (TLS_OPTIONS.includes(name)) faults.push(`Expected rediss, with TLS, because of ${name}`);
    else if (options.length === 0) faults.push('Expected no URL options, got one');
    else faults.push(`Expected only the URL options ${options.join(', ')}, got another`);
  }
  const target: RedisTarget = {
    kind,
    addresses: readAddresses(hosts, kind, faults),
    credentials: readCredentials(user, faults),
    ...readPath(path, kind, faults),
    sentinelCredentials: sentinelCredentials(parameters, faults),
    tls: s ? readTls(parameters, faults) : undefined,
  };
  return faults.length > 0 ? { faults } : target;
}

function readAddresses(hosts: string, kind: RedisTarget['kind'], faults: string[]): RedisAddress[] {
  const defaultPort = kind === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT;
  const addresses = hosts.split(',').map((one) => {
    const [, v6, name, port] = ADDRESS.exec(one) ?? [];
    return { host: v6 ?? name ?? '', port: port === undefined ? defaultPort : Number(port) };
  });
  if (kind === 'server' && addresses.length > 1) {
    faults.push(`Expected one host, or redis-sentinel or redis-cluster, like ${REDIS_URL_SHAPE}`);
  }
  if (addresses.some(({ host }) => host === '')) {
    const many = kind === 'server' ? 'a host' : 'hosts separated by commas, each';
    faults.push(`Expected ${many} with or without a port, got something else`);
  }
  if (addresses.some(({ port }) => port < 1 || port > 65_535)) {
    faults.push('Expected ports from 1 to 65535');
  }
  return addresses;
}

function readCredentials(text: string | undefined, faults: string[]): Credentials {
  if (text === undefined || text === '') return {};
  const colon = text.indexOf(':');
  if (colon === -1) {
    faults.push('Expected a password after the user, as in user:password@ or :password@');
    return {};
  }
  const [username, password] = [text.slice(0, colon), text.slice(colon + 1)].map(decodeOrUndefined);
  if (username === undefined || password === undefined) {
    faults.push('Expected user and password percent-encoded (% itself is %25)');
    return {};
  }
  return credentialsOf(username, password);
}

function credentialsOf(username: string, password: string): Credentials {
  if (username === '' && password === '') return {};
  return username === '' ? { password } : { username, password };
}

function sentinelCredentials(parameters: URLSearchParams, faults: string[]): Credentials {
  const user = parameters.get('sentinel-user') ?? '';
  const password = parameters.get('sentinel-password') ?? '';
  if (user !== '' && password === '') faults.push('Expected sentinel-password with sentinel-user');
  return credentialsOf(user, password);
}

function readPath(path: string, kind: RedisTarget['kind'], faults: string[]) {
  const segments = path.split('/').slice(1);
  const [first = ''] = segments;
  const master = kind === 'sentinel' ? decodeOrUndefined(first) : '';
  const database = (kind === 'sentinel' ? segments[1] : first) || '0';
  if (kind === 'sentinel' && !master) {
    faults.push(`Expected the master's name after the hosts, like ${REDIS_URL_SHAPES[1]}`);
  }
  if (!/^\d{1,6}$/.test(database) || segments.length > (kind === 'sentinel' ? 2 : 1)) {
    faults.push('Expected nothing but a number of a database at the end of the path');
  } else if (kind === 'cluster' && Number(database) !== 0) {
    faults.push('Expected no database, or 0: a cluster has no other');
  }
  return { master: master ?? '', database: Number(database) };
}

/** The server's certificate and name are checked unless `ssl-mode` says otherwise. */
function readTls(parameters: URLSearchParams, faults: string[]): ConnectionOptions {
  const mode = parameters.get('ssl-mode')?.toUpperCase() ?? 'VERIFY_IDENTITY';
  if (!SSL_MODES.includes(mode))
    faults.push(`Expected ssl-mode to be one of ${SSL_MODES.join(', ')}`);
  const tls: ConnectionOptions = { rejectUnauthorized: mode !== 'REQUIRED' };
  if (mode !== 'VERIFY_IDENTITY') tls.checkServerIdentity = () => undefined;
  return Object.assign(tls, readTlsFiles(parameters, faults));
}

function decodeOrUndefined(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
