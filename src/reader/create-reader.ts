/** Puts readers together: from URLs, or from clients that the service has already. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'mysql2/promise';
import {
  assertDistinct,
  type Collection,
  type CollectionOptions,
  collectionOf,
  describeCollection,
} from '../core/collection.js';
import { parseCollections } from '../core/collections-text.js';
import { isPlainHttpUrl } from '../core/http-url.js';
import { DEFAULT_TABLE, type TableNames } from '../core/table.js';
import { isCron } from '../cron.js';
import { InvalidOptionsError } from '../errors.js';
import { LocalTier } from '../local/tier.js';
import { createLogger, type Logger } from '../logger.js';
import { hostsOf } from '../mysql/hosts.js';
import { MysqlLog } from '../mysql/log.js';
import { PollsTogether } from '../mysql/polls-together.js';
import { connectionOptionsOf, openPool } from '../mysql/pool.js';
import { GtidWake } from '../mysql/wake.js';
import { openRedis } from '../redis/client.js';
import { RedisHints } from '../redis/hints.js';
import { Roster } from '../redis/roster.js';
import { type RedisClient, RedisTier } from '../redis/tier.js';
import { DEFAULT_AUDIT_SAMPLE } from './auditor.js';
import { DEFAULT_MAX_WATCHERS } from './live.js';
import { type Loaded, mysqlLoads } from './loader.js';
import { Reader } from './reader.js';
import { Readers } from './readers.js';
import { Reconciler } from './reconciler.js';
import { TurnsTogether } from './turns-together.js';

interface Clients extends Partial<ReaderSettings> {
  /** MySQL in data center B: `mysql://user:password@host:3306/database`, with more hosts after a
   * comma if there are some (`host1:3306,host2:3306`), or a pool of mysql2/promise.
   * A pool that is passed in stays open; it must read at REPEATABLE READ or READ COMMITTED, with
   * `charset: 'utf8mb4'`, `dateStrings: true`, `supportBigNumbers: true`, and be in UTC. */
  readonly mysql: string | Pool;
  /** Redis in data center B: a URL, or an ioredis client, which stays open. Let a client of your own
   * fail fast: `enableOfflineQueue: false`, `maxRetriesPerRequest: 0`. */
  readonly redis: string | RedisClient;
  /** A pino logger, or one like it. Default: pino at LOG_LEVEL. */
  readonly logger?: Logger;
  /** Where others reach the read app of this process, for the roster of readers. */
  readonly advertiseUrl?: string | undefined;
}

export interface CreateReaderOptions extends Clients {
  readonly tableNames?: Partial<TableNames>;
  /** In place of `tableNames`: a table with an integer key, several columns, and so on. */
  readonly collection?: CollectionOptions | Collection;
}

export interface CreateReadersOptions extends Clients {
  /** The tracked tables, as `tidemark track` prints them, or one by one. */
  readonly collections: string | readonly (CollectionOptions | Collection)[];
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
  /** When to compare cached entries with MySQL-B, in cron's notation (with five fields, each reader
   * draws its own second), or 'off'. Default: AUDIT_CRON or each minute. */
  readonly auditCron: string;
  /** The most entries of each tier that one audit looks at. */
  readonly auditSample: number;
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
  auditCron: '* * * * *',
  auditSample: DEFAULT_AUDIT_SAMPLE,
  redisHints: 'off',
});

/**
 * Makes a reader; `await reader.start()` starts it, `await reader.stop()` ends it.
 * @throws InvalidOptionsError naming every fault of the options
 */
export function createReader(options: CreateReaderOptions): Reader {
  const settings = settingsOf(options);
  const { collection: described, tableNames } = options;
  const collection =
    described === undefined
      ? collectionOf({ ...DEFAULT_TABLE, ...tableNames })
      : asCollection(described);
  const opened = open(options, settings);
  const parts = partsOf(collection, settings, opened);
  const wake = wakeOf(opened, settings, collection);
  const redisHints = redisHintsOf(collection, settings, opened);
  return new Reader({
    ...parts,
    ...(wake === undefined ? {} : { wake }),
    ...(redisHints === undefined ? {} : { redisHints }),
    close: async () => {
      wake?.close();
      await opened.close();
    },
  });
}

/**
 * Makes a reader for each of several tables, over the same log: they share the clients, the poll of
 * the log and the early wake. What the settings say of entries, bytes and watches is for all of them
 * together, in equal parts. `await readers.start()`, then `readers.of(name)` as any reader.
 * @throws InvalidOptionsError naming every fault of the options
 */
export function createReaders(options: CreateReadersOptions): Readers {
  const collections = collectionsOf(options.collections);
  const [only] = collections;
  if (only !== undefined && collections.length === 1) {
    const reader = createReader({ ...options, collection: only });
    return new Readers(new Map([[only.name, reader]]), async () => {});
  }
  const all = settingsOf(options);
  const settings = shared(all, collections.length);
  const opened = open(options, all);
  const polls = new PollsTogether();
  const loads = mysqlLoads(all.mysqlConnections);
  const wake = wakeOf(opened, all);
  const turns = new TurnsTogether(wake);
  const readers = new Map<string, Reader>();
  for (const [index, collection] of collections.entries()) {
    const isFirst = index === 0; // who hears a hint hurries all
    const redisHints = isFirst ? redisHintsOf(collection, all, opened) : undefined;
    const reader = new Reader({
      ...partsOf(collection, settings, opened, polls),
      ...(redisHints === undefined ? {} : { redisHints }),
      mysqlLoads: loads,
      wake: Object.assign(turns.member(), { wakes: (isFirst && wake?.wakes) || NO_WAKES }),
      close: async () => {},
    });
    reader.metrics.setDefaultLabels({ collection: collection.name });
    readers.set(collection.name, reader);
  }
  return new Readers(readers, async () => {
    wake?.close();
    await opened.close();
  });
}

const NO_WAKES = Object.freeze({ news: 0, nothing: 0 });

function collectionsOf(given: CreateReadersOptions['collections']): readonly Collection[] {
  if (typeof given === 'string') return parseCollections(given);
  const collections = given.map(asCollection);
  assertDistinct(collections);
  return collections;
}

function asCollection(one: CollectionOptions | Collection): Collection {
  return 'keyColumns' in one ? one : describeCollection(one);
}

/** The part of one of `count` readers in what a process may hold. */
function shared(settings: ReaderSettings, count: number): ReaderSettings {
  const part = (whole: number) => Math.max(1, Math.floor(whole / count));
  return {
    ...settings,
    localMaxEntries: part(settings.localMaxEntries),
    localMaxBytes: part(settings.localMaxBytes),
    negativeMaxEntries: part(settings.negativeMaxEntries),
    maxWatchers: part(settings.maxWatchers),
  };
}

/** What readers stand on. `close` closes what was opened here. */
interface Opened {
  readonly pool: Pool;
  readonly client: RedisClient;
  readonly logger: Logger;
  readonly roster: Roster;
  readonly advertiseUrl: string | undefined;
  readonly close: () => Promise<void>;
}

function open(options: Clients, settings: ReaderSettings): Opened {
  const logger: Logger = options.logger ?? createLogger(process.env.LOG_LEVEL || 'info');
  const pool =
    typeof options.mysql === 'string'
      ? openPool(options.mysql, {
          connectionLimit: settings.mysqlConnections,
          severalHosts: {
            staleAfterMs: settings.staleAfterMs,
            onLeave: (left) => logger.warn(left, 'left a host of MySQL-B for the next one'),
          },
        })
      : options.mysql;
  const client =
    typeof options.redis === 'string'
      ? openRedis(options.redis, (error) => logger.debug({ reason: error.message }, 'Redis'))
      : options.redis;
  const close = async () => {
    if (client !== options.redis) client.disconnect();
    if (pool !== options.mysql) await pool.end();
  };
  const roster = new Roster({ client, prefix: settings.keyPrefix });
  return { pool, client, logger, roster, advertiseUrl: options.advertiseUrl, close };
}

/** The parts of one reader, but for what may be shared. */
function partsOf(
  collection: Collection,
  settings: ReaderSettings,
  { pool, client, logger, roster, advertiseUrl }: Opened,
  polls?: PollsTogether,
) {
  const { table } = collection;
  const monotonicMs = () => performance.now();
  const log = new MysqlLog(pool, collection, settings.readTimeoutMs, polls);
  const local = new LocalTier<Loaded>({
    maxEntries: settings.localMaxEntries,
    maxBytes: settings.localMaxBytes,
    ttlMs: settings.localTtlMs,
    maxAbsences: settings.negativeMaxEntries,
    negativeTtlMs: settings.negativeTtlMs,
  });
  const redis = new RedisTier({
    client,
    table,
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
    table,
    pageSize: settings.pageSize,
    onChange: settings.onChange,
    now: () => ({ monotonicMs: monotonicMs(), wallMs: Date.now() }),
  });
  const { redisHints: _, ...others } = settings;
  return {
    ...others,
    log,
    local,
    redis,
    reconciler,
    logger,
    table,
    roster,
    advertiseUrl,
    monotonicMs,
    sleep,
    random: Math.random,
  };
}

function redisHintsOf({ table }: Collection, settings: ReaderSettings, opened: Opened) {
  const { client, logger } = opened;
  const { keyPrefix: prefix } = settings;
  const onFault = (error: unknown) => logger.debug({ reason: String(error) }, 'hints over Redis');
  return settings.redisHints === 'off'
    ? undefined
    : new RedisHints({ client, prefix, table, onFault });
}

/** @param collection the only one */
function wakeOf(
  { pool, logger }: Opened,
  settings: ReaderSettings,
  collection?: Collection,
): GtidWake | undefined {
  if (settings.earlyWake === 'off') return undefined;
  return new GtidWake({
    connection: connectionOptionsOf(pool),
    collection,
    isOneServer: hostsOf(pool) === undefined,
    intervalMs: settings.pollIntervalMs,
    graceMs: settings.readTimeoutMs,
    onFault: (reason) =>
      logger.info({ reason }, 'no early wake for now; MySQL-B is polled at its interval'),
  });
}

/** Settings that a process can be given without its code. */
const FROM_ENVIRONMENT: Readonly<Record<string, string>> = {
  pollIntervalMs: 'POLL_INTERVAL_MS',
  earlyWake: 'EARLY_WAKE',
  auditCron: 'AUDIT_CRON',
};

function settingsOf(options: Clients): ReaderSettings {
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
  if (name === 'auditCron') return isCron(String(value)) ? undefined : "a cron expression or 'off'";
  if (typeof usual === 'number') {
    return Number.isSafeInteger(value) && Number(value) > 0 ? undefined : 'a whole number above 0';
  }
  const choices = CHOICES[name];
  if (choices === undefined || choices.includes(String(value))) return undefined;
  return choices.map((choice) => `'${choice}'`).join(' or ');
}
