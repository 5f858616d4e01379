/**
 * The settings of the commands: one table, from which the flags, the help and the
 * table in docs/settings.md are made, and by which env.ts reads and checks them. Defaults have one home,
 * the part that uses them.
 */
import { DEFAULT_MAX_VALUE_BYTES } from './core/document.js';
import { DEFAULT_TABLE } from './core/table.js';
import { DEFAULT_MAX_EVENT_LOOP_DELAY_MS, SERVER_DEFAULTS } from './http/limits.js';
import { READER_DEFAULTS } from './reader/create-reader.js';
import { MAINTENANCE_DEFAULTS } from './writer/maintenance.js';

export type CommandName =
  | 'migrate'
  | 'track'
  | 'write'
  | 'read'
  | 'doctor'
  | 'status'
  | 'verify'
  | 'prune'
  | 'rebase';

interface Common {
  /** The name in the environment. */
  readonly env: string;
  /** The flag without its dashes; camel-cased, it is the setting's name. */
  readonly flag: string;
  readonly commands: readonly CommandName[];
  readonly help: string;
}

export type Setting = Common &
  (
    | {
        readonly kind: 'mysql-url';
        readonly hosts: 'one' | 'several';
        /** Commands that can do without it. */
        readonly optionalFor: readonly CommandName[];
      }
    | { readonly kind: 'redis-url'; readonly optionalFor: readonly CommandName[] }
    | { readonly kind: 'tokens' | 'http-urls' | 'http-url' | 'networks' | 'collections' }
    | { readonly kind: 'text' | 'identifier' | 'cron'; readonly default: string }
    | {
        readonly kind: 'integer' | 'number';
        readonly default: number | Readonly<Partial<Record<CommandName, number>>>;
        readonly min: number;
        readonly max: number;
      }
    | { readonly kind: 'choice'; readonly default: string; readonly choices: readonly string[] }
  );

const MIB = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;
const WRITE = ['write'] as const;
const READ = ['read'] as const;
const BOTH = ['write', 'read'] as const;
const DOCTOR = ['doctor'] as const;
const READ_DOCTOR = ['read', 'doctor'] as const;
/** Who looks for what readers left in Redis. */
const IN_REDIS = ['read', 'doctor', 'verify', 'rebase'] as const;
const OF_ROWS = ['write', 'read', 'doctor', 'verify'] as const;

export const SETTINGS = {
  mysqlAUrl: {
    env: 'MYSQL_A_URL',
    flag: 'mysql-a-url',
    kind: 'mysql-url',
    hosts: 'one',
    commands: ['migrate', 'track', 'write', 'doctor', 'prune'],
    optionalFor: DOCTOR,
    help: 'MySQL in data center A',
  },
  mysqlBUrl: {
    env: 'MYSQL_B_URL',
    flag: 'mysql-b-url',
    kind: 'mysql-url',
    hosts: 'several',
    commands: ['read', 'doctor', 'status', 'verify'],
    optionalFor: ['doctor', 'status'],
    help: 'MySQL in data center B, one replica of A or several; SELECT on three tables is enough',
  },
  redisUrl: {
    env: 'REDIS_URL',
    flag: 'redis-url',
    kind: 'redis-url',
    commands: ['read', 'doctor', 'status', 'verify', 'prune', 'rebase'],
    optionalFor: ['doctor', 'prune'],
    help: 'Redis in data center B: one server, redis-sentinel:// or redis-cluster://',
  },
  host: {
    env: 'HOST',
    flag: 'host',
    kind: 'text',
    default: '127.0.0.1',
    commands: BOTH,
    help: 'address to listen on; the write side needs WRITE_TOKENS beyond loopback',
  },
  port: {
    env: 'PORT',
    flag: 'port',
    kind: 'integer',
    default: { write: 8080, read: 8081 },
    min: 0,
    max: 65_535,
    commands: BOTH,
    help: 'port to listen on; 0 takes a free one',
  },
  logLevel: {
    env: 'LOG_LEVEL',
    flag: 'log-level',
    kind: 'choice',
    default: 'info',
    choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    commands: BOTH,
    help: 'the least that is logged; debug also logs each request and each key that is loaded',
  },
  opentelemetry: {
    env: 'OPENTELEMETRY',
    flag: 'opentelemetry',
    kind: 'choice',
    default: 'off',
    choices: ['on', 'off'],
    commands: BOTH,
    help: 'on: metrics go to OpenTelemetry as well, by @opentelemetry/api, which you install',
  },
  maxConnections: {
    env: 'MAX_CONNECTIONS',
    flag: 'max-connections',
    kind: 'integer',
    default: SERVER_DEFAULTS.maxConnections,
    min: 1,
    max: 1_000_000,
    commands: BOTH,
    help: 'most connections of clients at once; one more is closed at once',
  },
  maxEventLoopDelayMs: {
    env: 'MAX_EVENT_LOOP_DELAY_MS',
    flag: 'max-event-loop-delay-ms',
    kind: 'integer',
    default: DEFAULT_MAX_EVENT_LOOP_DELAY_MS,
    min: 0,
    max: 60_000,
    commands: BOTH,
    help: 'requests get 503 while the process is so far behind with its work, in ms; 0 turns it off',
  },
  rateLimitPerSecond: {
    env: 'RATE_LIMIT_PER_SECOND',
    flag: 'rate-limit-per-second',
    kind: 'integer',
    default: 0,
    min: 0,
    max: 1_000_000,
    commands: BOTH,
    help: 'most requests a second of one token, or address without tokens, else 429; 0 turns it off',
  },
  trustProxy: {
    env: 'TRUST_PROXY',
    flag: 'trust-proxy',
    kind: 'networks',
    commands: BOTH,
    help: 'load balancers, by address or network, whose X-Forwarded-For tells the client; else nobody',
  },
  pollIntervalMs: {
    env: 'POLL_INTERVAL_MS',
    flag: 'poll-interval-ms',
    kind: 'integer',
    default: READER_DEFAULTS.pollIntervalMs,
    min: 5,
    max: 60_000,
    commands: READ,
    help: 'how often the log on MySQL-B is polled, in ms',
  },
  earlyWake: {
    env: 'EARLY_WAKE',
    flag: 'early-wake',
    kind: 'choice',
    default: READER_DEFAULTS.earlyWake,
    choices: ['auto', 'off'],
    commands: READ_DOCTOR,
    help: 'auto: at once when MySQL-B has applied a change; off: at the interval only',
  },
  localMaxEntries: {
    env: 'LOCAL_MAX_ENTRIES',
    flag: 'local-max-entries',
    kind: 'integer',
    default: READER_DEFAULTS.localMaxEntries,
    min: 1,
    max: 100_000_000,
    commands: READ,
    help: 'most values held in the process',
  },
  localMaxBytes: {
    env: 'LOCAL_MAX_BYTES',
    flag: 'local-max-bytes',
    kind: 'integer',
    default: READER_DEFAULTS.localMaxBytes,
    min: 1024,
    max: 1024 * 1024 * MIB,
    commands: READ,
    help: 'most bytes of values held in the process',
  },
  localTtlMs: {
    env: 'LOCAL_TTL_MS',
    flag: 'local-ttl-ms',
    kind: 'integer',
    default: READER_DEFAULTS.localTtlMs,
    min: 1,
    max: 30 * DAY_MS,
    commands: READ,
    help: 'life of a local entry, in ms: a backstop, eviction keeps them true',
  },
  redisTtlMs: {
    env: 'REDIS_TTL_MS',
    flag: 'redis-ttl-ms',
    kind: 'integer',
    default: READER_DEFAULTS.redisTtlMs,
    min: 1,
    max: 30 * DAY_MS,
    commands: READ,
    help: 'life of an entry in Redis, in ms: a backstop',
  },
  negativeTtlMs: {
    env: 'NEGATIVE_TTL_MS',
    flag: 'negative-ttl-ms',
    kind: 'integer',
    default: READER_DEFAULTS.negativeTtlMs,
    min: 1,
    max: 30 * DAY_MS,
    commands: READ,
    help: 'life of an absence (a key that does not exist), in ms',
  },
  negativeMaxEntries: {
    env: 'NEGATIVE_MAX_ENTRIES',
    flag: 'negative-max-entries',
    kind: 'integer',
    default: READER_DEFAULTS.negativeMaxEntries,
    min: 1,
    max: 100_000_000,
    commands: READ,
    help: 'most absences held in the process',
  },
  redisTimeoutMs: {
    env: 'REDIS_TIMEOUT_MS',
    flag: 'redis-timeout-ms',
    kind: 'integer',
    default: READER_DEFAULTS.redisTimeoutMs,
    min: 1,
    max: 10_000,
    commands: READ,
    help: 'longest wait for Redis in a read, in ms; then MySQL-B is asked',
  },
  redisBuckets: {
    env: 'REDIS_BUCKETS',
    flag: 'redis-buckets',
    kind: 'integer',
    default: READER_DEFAULTS.redisBuckets,
    min: 1,
    max: 1024,
    commands: IN_REDIS,
    help: 'parts of the key space in Redis, one hash slot each; the same on all readers',
  },
  readTimeoutMs: {
    env: 'READ_TIMEOUT_MS',
    flag: 'read-timeout-ms',
    kind: 'integer',
    default: READER_DEFAULTS.readTimeoutMs,
    min: 1,
    max: 60_000,
    commands: READ,
    help: 'longest time of one read, in ms',
  },
  staleAfterMs: {
    env: 'STALE_AFTER_MS',
    flag: 'stale-after-ms',
    kind: 'integer',
    default: READER_DEFAULTS.staleAfterMs,
    min: 1,
    max: DAY_MS,
    commands: READ_DOCTOR,
    help: 'answers are marked stale when A was last heard from so long ago, in ms',
  },
  pageSize: {
    env: 'PAGE_SIZE',
    flag: 'page-size',
    kind: 'integer',
    default: READER_DEFAULTS.pageSize,
    min: 1,
    max: 10_000,
    commands: READ,
    help: 'most changes taken in at once',
  },
  onChange: {
    env: 'ON_CHANGE',
    flag: 'on-change',
    kind: 'choice',
    default: READER_DEFAULTS.onChange,
    choices: ['evict', 'refresh'],
    commands: READ,
    help: 'what a change does to a local entry: drop it, or replace it at once',
  },
  maxWatchers: {
    env: 'MAX_WATCHERS',
    flag: 'max-watchers',
    kind: 'integer',
    default: READER_DEFAULTS.maxWatchers,
    min: 1,
    max: 1_000_000,
    commands: READ,
    help: 'most watches, and most long polls, that are open at once; one more gets 503',
  },
  auditCron: {
    env: 'AUDIT_CRON',
    flag: 'audit-cron',
    kind: 'cron',
    default: READER_DEFAULTS.auditCron,
    commands: READ,
    help: "when cached entries are compared with MySQL-B, in cron's notation, or off",
  },
  auditSample: {
    env: 'AUDIT_SAMPLE',
    flag: 'audit-sample',
    kind: 'integer',
    default: READER_DEFAULTS.auditSample,
    min: 1,
    max: 10_000_000,
    commands: READ,
    help: 'most entries of the process, and of Redis, that one audit compares',
  },
  redisHints: {
    env: 'REDIS_HINTS',
    flag: 'redis-hints',
    kind: 'choice',
    default: READER_DEFAULTS.redisHints,
    choices: ['on', 'off'],
    commands: READ,
    help: 'on: a hint that one reader gets reaches all of them, through Redis',
  },
  advertiseUrl: {
    env: 'ADVERTISE_URL',
    flag: 'advertise-url',
    kind: 'http-url',
    commands: READ,
    help: 'where others reach this read app; tidemark verify asks it there',
  },
  page: {
    env: 'PAGE',
    flag: 'page',
    kind: 'choice',
    default: 'off',
    choices: ['on', 'off'],
    commands: READ,
    help: 'on: a page for people at GET /, read-only; its data needs a token where there are any',
  },
  keyPrefix: {
    env: 'KEY_PREFIX',
    flag: 'key-prefix',
    kind: 'text',
    default: READER_DEFAULTS.keyPrefix,
    commands: ['read', 'doctor', 'status', 'verify', 'prune', 'rebase'],
    help: 'start of all keys in Redis; the same on all readers',
  },
  maxValueBytes: {
    env: 'MAX_VALUE_BYTES',
    flag: 'max-value-bytes',
    kind: 'integer',
    default: DEFAULT_MAX_VALUE_BYTES,
    min: 1,
    max: 64 * MIB,
    commands: WRITE,
    help: 'largest value that is accepted, in bytes',
  },
  retentionHours: {
    env: 'RETENTION_HOURS',
    flag: 'retention-hours',
    kind: 'number',
    default: MAINTENANCE_DEFAULTS.retentionSeconds / 3600,
    min: 0.001,
    max: 24 * 365,
    commands: ['write', 'doctor'],
    help: 'changes older than this leave the log, in hours',
  },
  hintUrls: {
    env: 'HINT_URLS',
    flag: 'hint-urls',
    kind: 'http-urls',
    commands: WRITE,
    help: 'read apps that are told of each new version, separated by commas',
  },
  hintTokens: {
    env: 'HINT_TOKENS',
    flag: 'hint-tokens',
    kind: 'tokens',
    commands: WRITE,
    help: 'bearer tokens for HINT_URLS: one for all, or one for each, separated by commas',
  },
  table: {
    env: 'TABLE',
    flag: 'table',
    kind: 'identifier',
    default: DEFAULT_TABLE.table,
    commands: ['write', 'read', 'doctor', 'status', 'verify', 'rebase'],
    help: 'the tracked table',
  },
  keyColumn: {
    env: 'KEY_COLUMN',
    flag: 'key-column',
    kind: 'identifier',
    default: DEFAULT_TABLE.keyColumn,
    commands: OF_ROWS,
    help: 'its column of keys',
  },
  valueColumn: {
    env: 'VALUE_COLUMN',
    flag: 'value-column',
    kind: 'identifier',
    default: DEFAULT_TABLE.valueColumn,
    commands: OF_ROWS,
    help: 'its column of values',
  },
  versionColumn: {
    env: 'VERSION_COLUMN',
    flag: 'version-column',
    kind: 'identifier',
    default: DEFAULT_TABLE.versionColumn,
    commands: OF_ROWS,
    help: 'its column of versions',
  },
  collections: {
    env: 'COLLECTIONS',
    flag: 'collections',
    kind: 'collections',
    commands: ['write', 'read', 'doctor', 'status', 'verify', 'rebase'],
    help: 'tracked tables, as `name=table(key: value); ...`; without it, TABLE as `configs`',
  },
  writeTokens: {
    env: 'WRITE_TOKENS',
    flag: 'write-tokens',
    kind: 'tokens',
    commands: WRITE,
    help: 'bearer tokens that may write, separated by commas',
  },
  readTokens: {
    env: 'READ_TOKENS',
    flag: 'read-tokens',
    kind: 'tokens',
    commands: ['read', 'verify'],
    help: 'bearer tokens that may read, separated by commas; without any, all may; verify uses the first',
  },
} as const satisfies Record<string, Setting>;
