/**
 * The end of a run: no more writes, nothing under way, all caught up. Then MySQL-B, Redis and every
 * reader are asked for every key.
 */
import type { Checker } from './checker.js';
import { convergence } from './fault-runner.js';
import type { SettledRecord } from './history.js';
import type { Observers } from './observers.js';
import { scanBucket } from './redis-scan.js';
import { markSql } from './source-log.js';
import type { Stage } from './stage.js';

const SCAN_KEYS_AT_ONCE = 1_000;

export async function settle(
  stage: Stage,
  observers: Observers,
  checker: Checker,
  signal: AbortSignal,
): Promise<void> {
  const { servers, log, workload } = stage;
  await workload.stop();
  // What a client gave up on may still be under way in a write app; an orderly end waits for it.
  for (const app of stage.writeApps) await app.stop();
  await observers.stop();
  if (observers.failure !== undefined) throw observers.failure;
  await log.pullToEnd();
  await servers.caughtUp();
  await convergence(stage, signal);
  for (const reader of stage.readers) await reader.stopReading();
  const keys = [...log.keys];
  if (signal.aborted) return;
  checker.settled(await answersOfB(stage, keys));
  checker.settled(await answersOfRedis(stage, keys), ['redis']);
  for (const reader of stage.readers) {
    const answers = await reader.answers(keys);
    checker.settled([...answers].map(([key, value]) => ({ place: reader.name, key, value })));
  }
}

async function answersOfB({ servers }: Stage, keys: readonly string[]): Promise<SettledRecord[]> {
  const rows = await servers.b.query(
    `SELECT config_key, ${markSql('configs')} AS mark FROM configs`,
  );
  const found = new Map<string, string>(rows.map(({ config_key, mark }) => [config_key, mark]));
  return keys.map((key) => ({ place: 'mysql-b', key, value: found.get(key) ?? null }));
}

/** It holds what was read. An entry at a mark that is not the head's would not be read. */
async function answersOfRedis(stage: Stage, keys: readonly string[]): Promise<SettledRecord[]> {
  const settled: SettledRecord[] = [];
  for (let bucket = 0; bucket < stage.buckets; bucket++) {
    const node = await stage.redisMaster(bucket);
    for (let start = 0; start < keys.length; start += SCAN_KEYS_AT_ONCE) {
      const part = keys.slice(start, start + SCAN_KEYS_AT_ONCE);
      for (const seen of await scanBucket(node, bucket, stage.buckets, part)) {
        if (seen.markVersion !== stage.log.position) continue;
        if (seen.markFingerprint !== stage.log.fingerprintAt(seen.markVersion)) continue;
        settled.push({ place: 'redis', key: seen.key, value: seen.value });
      }
    }
  }
  return settled;
}
