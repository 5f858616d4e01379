/** A loader over a MySQL-B and a Redis that a test makes up. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LocalTier } from '../../src/local/tier.js';
import type { ChangeLog } from '../../src/mysql/log.js';
import { type Loaded, Loader } from '../../src/reader/loader.js';
import type { RedisTier } from '../../src/redis/tier.js';

export function localTier(): LocalTier<Loaded> {
  return new LocalTier({
    maxEntries: 10,
    maxBytes: 1_000,
    ttlMs: 60_000,
    maxAbsences: 100,
    negativeTtlMs: 60_000,
  });
}

/** @param log all of it that loads call
 * @param read of Redis, which has nothing by default */
export function loaderOn(
  log: Pick<ChangeLog, 'fetch'>,
  monotonicMs = () => performance.now(),
  read: RedisTier['read'] = async () => [],
) {
  const refused: number[] = [];
  const local = localTier();
  const redis = {
    generationFor: () => undefined,
    bucketOf: () => 0,
    read,
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
