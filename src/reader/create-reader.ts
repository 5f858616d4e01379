/** Puts a reader together: from URLs, or from clients that the service has already. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'mysql2/promise';
import { pino } from 'pino';
import { isPlainHttpUrl } from '../core/http-url.js';
import { DEFAULT_TABLE, type TableNames } from '../core/table.js';
import { InvalidOptionsError } from '../errors.js';
import { LocalTier } from '../local/tier.js';
import type { Logger } from '../logger.js';
import { MysqlLog } from '../mysql/log.js';
import { connectionOptionsOf, openPool } from '../mysql/pool.js';
import { GtidWake } from '../mysql/wake.js';
import { openRedis } from '../redis/client.js';
import { RedisHints } from '../redis/hints.js';
import { Roster } from '../redis/roster.js';
import { type RedisClient, RedisTier } from '../redis/tier.js';
import { DEFAULT_MAX_WATCHERS } from './live.js';
import type { Loaded } from './loader.js';
import { Reader } from './reader.js';
import { Reconciler } from './reconciler.js';

export interface CreateReaderOptions extends Partial<ReaderSettings> {
  /** MySQL in data center B: `mysql://user:password@host:3306/database`, or a pool of mysql2/promise.
   * A pool that is passed in stays open; it must read at REPEATABLE READ or READ COMMITTED, with
   * `charset: 'utf8mb4'`, `dateStrings: true`, `supportBigNumbers: true`, and be in UTC. */
  readonly mysql: string | Pool;
  /** Redis in data center B: a URL, or an ioredis client, which stays open. Let a client of your own
   * fail fast: `enableOfflineQueue: false`, `maxRetriesPerRequest: 0`. */
  readonly redis: string | RedisClient;
  /** A pino logger, or one like it. Default: pino at LOG_LEVEL. */
  readonly logger?: Logger;
  readonly tableNames?: Partial<TableNames>;
  /** Where others reach the read app of this process, for the roster of readers. */
  readonly advertiseUrl?: string | undefined;
}

export interface ReaderSettings {
  /** How often MySQL-B is asked for news, in ms, jittered by 10 %. Default: POLL_INTERVAL_MS or 250. */
  readonly pollIntervalMs: number;
  /** 'auto': one more connection waits for the replica's next transaction, and a poll follows at
   * once. 'off': polls at their interval only. Default: EARLY_WAKE or 'auto'. */
  readonly earlyWake: 'auto' | 'off';
  /** What a change does to a local entry: away with it, or replace it at once. */
  readonly onChange: 'evict' | 'refresh';
  /** The most changes taken in by one turn. */
  readonly pageSize: number;
  readonly localMaxEntries: number;
  readonly localMaxBytes: number;
  /** A backstop only: eviction keeps local entries true. */
  readonly localTtlMs: number;
  /** Absent keys remembered locally, and for how long (in Redis, too). */
  readonly negativeMaxEntries: number;
  readonly negativeTtlMs: number;
  readonly redisTtlMs: number;
  /** The longest that a read waits for Redis. */
  readonly redisTimeoutMs: number;
  /** Parts of the key space in Redis, each in one cluster slot. Changing it starts a cold cache. */
  readonly redisBuckets: number;
  readonly keyPrefix: string;
  /** The longest that a read takes, unless it brings its own `timeoutMs`. */
  readonly readTimeoutMs: number;
  /** Knowledge older than this is marked stale. Over the heartbeat's second plus replication. */
  readonly staleAfterMs: number;
  readonly mysqlConnections: number;
  /** The most watches, and the most waits for changes of keys, at once. */
  readonly maxWatchers: number;
  /** 'on': a hint that one reader gets is passed on to all readers through Redis. */
  readonly redisHints: 'on' | 'off';
}

export const READER_DEFAULTS: ReaderSettings = Object.freeze({
  pollIntervalMs: 250,
  earlyWake: 'auto',
  onChange: 'evict',
  pageSize: 500,
  localMaxEntries: 100_000,
  localMaxBytes: 256 * 1024 * 1024,
  localTtlMs: 30 * 60_000,
  negativeMaxEntries: 10_000,
  negativeTtlMs: 60_000,
  redisTtlMs: 30 * 60_000,
  redisTimeoutMs: 50,
  redisBuckets: 1,
  keyPrefix: 'tidemark',
  readTimeoutMs: 2_000,
  staleAfterMs: 5_000,
  mysqlConnections: 8,
  maxWatchers: DEFAULT_MAX_WATCHERS,
  redisHints: 'off',
});

/**
 * Makes a reader; `await reader.start()` starts it, `await reader.stop()` ends it.
 * @throws InvalidOptionsError naming every fault of the options
 */
export function createReader(options: CreateReaderOptions): Reader {
  const settings = settingsOf(options);
  const names = { ...DEFAULT_TABLE, ...options.tableNames };
  const logger: Logger = options.logger ?? pino({ level: process.env.LOG_LEVEL ?? 'info' });
  const pool =
    typeof options.mysql === 'string'
      ? openPool(options.mysql, { connectionLimit: settings.mysqlConnections })
      : options.mysql;
  const client =
    typeof options.redis === 'string'
      ? openRedis(options.redis, (error) => logger.debug({ reason: error.message }, 'Redis'))
      : options.redis;
  const close = async () => {
    wake?.close();
    if (client !== options.redis) client.disconnect();
    if (pool !== options.mysql) await pool.end();
  };
  const monotonicMs = () => performance.now();
  const log = new MysqlLog(pool, names, settings.readTimeoutMs);
  const local = new LocalTier<Loaded>({
    maxEntries: settings.localMaxEntries,
    maxBytes: settings.localMaxBytes,
    ttlMs: settings.localTtlMs,
    maxAbsences: settings.negativeMaxEntries,
    negativeTtlMs: settings.negativeTtlMs,
  });
  const redis = new RedisTier({
    client,
    table: names.table,
    prefix: settings.keyPrefix,
    buckets: settings.redisBuckets,
    timeoutMs: settings.redisTimeoutMs,
    ttlMs: settings.redisTtlMs,
    negativeTtlMs: settings.negativeTtlMs,
    random: Math.random,
  });
  const reconciler = new Reconciler({
    log,
    redis,
    local,
    table: names.table,
    pageSize: settings.pageSize,
    onChange: settings.onChange,
    now: () => ({ monotonicMs: monotonicMs(), wallMs: Date.now() }),
  });
  const wake =
    settings.earlyWake === 'off' ? undefined : wakeOf(pool, settings, reconciler, logger);
  const { redisHints: hintsAre, ...others } = settings;
  const onFault = (error: unknown) => logger.debug({ reason: String(error) }, 'hints over Redis');
  const redisHints =
    hintsAre === 'off'
      ? undefined
      : new RedisHints({ client, prefix: settings.keyPrefix, table: names.table, onFault });
  return new Reader({
    ...others,
    ...(wake === undefined ? {} : { wake }),
    ...(redisHints === undefined ? {} : { redisHints }),
    roster: new Roster({ client, prefix: settings.keyPrefix }),
    advertiseUrl: options.advertiseUrl,
    log,
    local,
    redis,
    reconciler,
    logger,
    table: names.table,
    monotonicMs,
    sleep,
    random: Math.random,
    close,
  });
}

function wakeOf(
  pool: Pool,
  settings: ReaderSettings,
  reconciler: Reconciler,
  logger: Logger,
): GtidWake {
  return new GtidWake({
    connection: connectionOptionsOf(pool),
    intervalMs: settings.pollIntervalMs,
    graceMs: settings.readTimeoutMs,
    news: () => reconciler.news,
    onFault: (reason) =>
      logger.info({ reason }, 'no early wake for now; MySQL-B is polled at its interval'),
  });
}

/** Settings that a process can be given without its code. */
const FROM_ENVIRONMENT: Readonly<Record<string, string>> = {
  pollIntervalMs: 'POLL_INTERVAL_MS',
  earlyWake: 'EARLY_WAKE',
};

function settingsOf(options: CreateReaderOptions): ReaderSettings {
  const faults: string[] = [];
  const settings: Record<string, unknown> = {};
  for (const [name, usual] of Object.entries(READER_DEFAULTS)) {
    const given = options[name as keyof ReaderSettings]; // the names are READER_DEFAULTS' own
    const variable = given === undefined ? (FROM_ENVIRONMENT[name] ?? '') : '';
    const text = process.env[variable] || undefined; // empty counts as not set
    settings[name] = given ?? (typeof usual === 'number' && text ? Number(text) : text) ?? usual;
    const fault = faultOf(name, usual, settings[name]);
    if (fault === undefined) continue;
    const [what, got] = text === undefined ? [name, given] : [variable, text];
    faults.push(`Expected ${what} to be ${fault}, got ${String(got)}`);
  }
  if (options.advertiseUrl !== undefined && !isPlainHttpUrl(options.advertiseUrl)) {
    faults.push('Expected advertiseUrl to be like http://host:8081, got another text');
  }
  if (options.mysql === undefined) faults.push('Expected mysql: a URL or a mysql2 pool, got none');
  if (options.redis === undefined)
    faults.push('Expected redis: a URL or an ioredis client, got none');
  if (faults.length > 0) throw new InvalidOptionsError(faults);
  return settings as unknown as ReaderSettings; // each member was checked above
}

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  onChange: ['evict', 'refresh'],
  earlyWake: ['auto', 'off'],
  redisHints: ['on', 'off'],
};

function faultOf(name: string, usual: unknown, value: unknown): string | undefined {
  if (typeof usual === 'number') {
    return Number.isSafeInteger(value) && Number(value) > 0 ? undefined : 'a whole number above 0';
  }
  const choices = CHOICES[name];
  if (choices === undefined || choices.includes(String(value))) return undefined;
  return choices.map((choice) => `'${choice}'`).join(' or ');
}
