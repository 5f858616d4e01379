/** A loader over a MySQL-B that a test makes up, and a Redis that has nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalTier } from '../../src/local/tier.js';
import type { ChangeLog } from '../../src/mysql/log.js';
import { type Loaded, Loader } from '../../src/reader/loader.js';
import type { RedisTier } from '../../src/redis/tier.js';

/** @param log all of it that loads call */
export function loaderOn(log: Pick<ChangeLog, 'fetch'>, monotonicMs = () => performance.now()) {
  const refused: number[] = [];
  const local = new LocalTier<Loaded>({
    maxEntries: 10,
    maxBytes: 1_000,
    ttlMs: 60_000,
    maxAbsences: 100,
    negativeTtlMs: 60_000,
  });
  const redis = {
    generationFor: () => undefined,
    bucketOf: () => 0,
    read: async () => [],
  } as unknown as RedisTier; // all that a load calls when there is no generation to fill
  const loader = new Loader({
    log: log as ChangeLog,
    redis,
    local,
    timeoutMs: 2_000,
    mysqlConnections: 8,
    monotonicMs,
    sleep,
    onRedisFault: () => undefined,
    onFill: () => undefined,
    onAnswer: () => undefined,
    onLoaded: () => undefined,
    onRefused: () => refused.push(1),
  });
  return { loader, local, refused };
}
