/**
 * The readers of a run, each unlike the others: what one does a thousand times a second, another one
 * does never. All wait less and are sooner stale than in production, so that more happens in a run.
 */
import type { AgentOptions } from './agent.js';
import { AgentPlace } from './agent-place.js';
import type { Checker } from './checker.js';
import { READERS } from './fault.js';
import type { FaultProxy } from './proxy.js';
import type { Random } from './random.js';
import { ReadApp, type ReadAppOptions } from './read-app.js';
import type { ReaderPlace } from './reader-place.js';
import { allKeys, bulkKey, HOLE_KEYS, type Workload } from './workload.js';

export const STALE_AFTER_MS = 3_000;

export interface MakeReadersOptions {
  readonly mysqlUrl: (port: number) => string;
  /** In the order of READERS. */
  readonly mysqlProxies: readonly FaultProxy[];
  readonly redisProxyFor: () => Promise<{ url: string; proxies: readonly FaultProxy[] }>;
  readonly buckets: number;
  readonly checker: Checker;
  readonly random: Random;
  readonly workload: Workload;
  readonly env: NodeJS.ProcessEnv;
  readonly lying: boolean;
  /** Of all embedded readers together. */
  readonly readsPerSecond: number;
  /** How many the readers' account has open, as far as is known. */
  readonly connectionsOfB: () => number;
}

/** What one reader has that the others do not. */
const OWN_SETTINGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'reader-1': {},
  // Small and short: evicts by itself, and lets entries expire.
  'reader-2': { localMaxEntries: 300, localMaxBytes: 200_000, localTtlMs: 4_000, pageSize: 37 },
  'reader-3': { onChange: 'refresh', negativeTtlMs: 3_000, redisTtlMs: 5_000, mysqlConnections: 3 },
};
// Redis may take longer than in production: the machine has more to do than a reader's has.
const SHARED = {
  pollIntervalMs: 50,
  readTimeoutMs: 1_000,
  redisTimeoutMs: 200,
  staleAfterMs: STALE_AFTER_MS,
  auditCron: '*/3 * * * * *',
};
const AGENTS = READERS.length - 1;
const BULK_KEYS_READ = 300;
const LYING_READER = 'reader-1';

export async function makeReaders(options: MakeReadersOptions): Promise<ReaderPlace[]> {
  const readers: ReaderPlace[] = [];
  for (const [index, name] of READERS.entries()) {
    const mysql = options.mysqlProxies[index];
    if (mysql === undefined) throw new RangeError('Expected a proxy for each reader.');
    const redis = await options.redisProxyFor();
    const urls = { mysql: options.mysqlUrl(mysql.port), redis: redis.url };
    readers.push(
      name === 'read-app'
        ? new ReadApp(readAppOptions(options, name, mysql, redis.proxies, urls))
        : new AgentPlace(name, mysql, redis.proxies, agentOptions(options, name, urls)),
    );
  }
  return readers;
}

interface Urls {
  readonly mysql: string;
  readonly redis: string;
}

function agentOptions(options: MakeReadersOptions, name: string, urls: Urls): AgentOptions {
  const { checker, buckets, random } = options;
  const bulk = Array.from({ length: BULK_KEYS_READ }, (_, index) => bulkKey(index));
  return {
    reader: { ...SHARED, ...OWN_SETTINGS[name], ...urls, redisBuckets: buckets },
    keys: [...allKeys(), ...HOLE_KEYS, ...bulk],
    readsPerSecond: options.readsPerSecond / AGENTS,
    seed: random.below(2 ** 31),
    lying: options.lying && name === LYING_READER,
    onRead: (record) => checker.read(record),
    onSample: (record) => checker.sample({ ...record, mysqlConnections: options.connectionsOfB() }),
    onInstance: (instance, atMs) => checker.started(instance, atMs),
  };
}

function readAppOptions(
  { buckets, random, env, workload, checker }: MakeReadersOptions,
  name: string,
  mysql: FaultProxy,
  redis: readonly FaultProxy[],
  urls: Urls,
): ReadAppOptions {
  return {
    ...{ name, mysql, redis, random: random.fork(), checker },
    env: {
      ...env,
      MYSQL_B_URL: urls.mysql,
      REDIS_URL: urls.redis,
      REDIS_BUCKETS: String(buckets),
      POLL_INTERVAL_MS: String(SHARED.pollIntervalMs),
      READ_TIMEOUT_MS: String(SHARED.readTimeoutMs),
      REDIS_TIMEOUT_MS: String(SHARED.redisTimeoutMs),
      STALE_AFTER_MS: String(STALE_AFTER_MS),
    },
    key: (chance) => workload.key(chance),
    knownVersion: () => checker.head,
  };
}
