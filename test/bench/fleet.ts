/**
 * fleet: 50 readers (10 when quick) on one Redis and one MySQL-B, 100 changes a second, against one reader. What one
 * has put into Redis no other should write again; and what does a poll that finds nothing cost the
 * replica? (Its whole process, over that of a replica that nobody reads.) And what does it cost
 * together with the wait for early wake, of which there is one for each such poll?
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import type { Reader } from '../../src/index.js';
import { alternate, type Figure, figureOf, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const READERS = { full: 50, quick: 10 };
const CHANGES = { full: 500, quick: 80 };
const CHANGES_PER_SECOND = 100;
const IDLE_MS = { full: 6_000, quick: 1_000 };
/** So that a few seconds have thousands of polls; the cost of one does not depend on it. */
const IDLE_POLL_INTERVAL_MS = 50;
const KEYS = 1_000;
const VALUE = Buffer.from(JSON.stringify({ pad: 'x'.repeat(190) }));
const MOST_US = 60;
/** Of /proc/PID/stat, on Linux everywhere. */
const TICK_US = 10_000;

export async function fleet(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const keys = Array.from({ length: KEYS }, (_, index) => `fleet/${index}`);
  await stage.fill(new Map(keys.map((key) => [key, VALUE])));
  await stage.centers.caughtUp();
  const redis = new Redis(stage.redis);
  stage.after(async () => redis.disconnect());
  const changes = quick ? CHANGES.quick : CHANGES.full;
  const many = quick ? READERS.quick : READERS.full;
  const writes = (count: number) => () => writesPerChange(stage, redis, count, changes);
  const redisWrites = await alternate(writes(many), writes(1), rounds.atMost(quick ? 1 : 5));
  const idleMs = quick ? IDLE_MS.quick : IDLE_MS.full;
  const idleCpu = (earlyWake: 'auto' | 'off') => {
    const of = (count: number) => () => cpuPerIdlePoll(stage, count, idleMs, earlyWake);
    return alternate(of(many), of(many / 10), rounds.atMost(quick ? 1 : 3));
  };
  const peerName = many === 10 ? 'one reader' : `${many / 10} readers`;
  const common = { peerName, unit: 'us', better: 'lower' } as const;
  const withWake = async () =>
    figureOf(
      { ...common, name: 'fleet MySQL-B CPU per idle poll and early wake', target: 'none' },
      ...(await idleCpu('auto')),
    );
  return [
    figureOf(
      {
        name: `fleet Redis writes per change${quick ? `, ${many} readers` : ''}`,
        peerName: 'one reader',
        unit: 'writes',
        better: 'lower',
        target: 1.2,
      },
      ...redisWrites,
    ),
    figureOf(
      { ...common, name: 'fleet MySQL-B CPU per idle poll', target: { atMost: MOST_US } },
      ...(await idleCpu('off')),
    ),
    ...(quick ? [] : [await withWake()]),
  ];
}

/** Changes of the data set that Redis counts, for each change in A, without those that it would count in
 * that time if nothing changed. */
async function writesPerChange(stage: Stage, redis: Redis, count: number, changes: number) {
  const readers = await stage.readers(count);
  const before = await writesOf(redis);
  const a = await createConnection(stage.a);
  const beganAtMs = performance.now();
  for (let change = 0; change < changes; change++) {
    await delay(Math.max(0, beganAtMs + (change * 1000) / CHANGES_PER_SECOND - performance.now()));
    await a.execute('UPDATE configs SET config_value = ? WHERE config_key = ?', [
      JSON.stringify({ change, at: beganAtMs, pad: 'x'.repeat(160) }),
      `fleet/${(change * 7_919) % KEYS}`,
    ]);
  }
  await a.end();
  await stage.centers.caughtUp();
  const minVersion = await stage.head();
  const options = { minVersion, timeoutMs: 60_000 };
  await Promise.all(readers.map((reader) => reader.get('(nobody)', options)));
  const writes = (await writesOf(redis)) - before;
  const tookMs = performance.now() - beganAtMs;
  await delay(tookMs);
  const atRest = (await writesOf(redis)) - before - writes; // the readers' roster
  await stopReaders(readers);
  return (writes - atRest) / changes;
}

async function writesOf(redis: Redis): Promise<number> {
  const [, writes] =
    /rdb_changes_since_last_save:(\d+)/.exec(await redis.info('persistence')) ?? [];
  return Number(writes);
}

/** us of the CPU. */
async function cpuPerIdlePoll(
  stage: Stage,
  count: number,
  idleMs: number,
  earlyWake: 'auto' | 'off',
): Promise<number> {
  const unread = (await cpuOver(stage, idleMs)).perMs;
  const readers = await stage.readers(count, { pollIntervalMs: IDLE_POLL_INTERVAL_MS, earlyWake });
  await delay(2 * IDLE_POLL_INTERVAL_MS);
  const before = await pollsOf(readers);
  const { cpuUs, tookMs } = await cpuOver(stage, idleMs);
  const polls = (await pollsOf(readers)) - before;
  await stopReaders(readers);
  return (cpuUs - unread * tookMs) / polls;
}

async function cpuOver(stage: Stage, ms: number) {
  const [before, beganAtMs] = [await cpuOf(stage), performance.now()];
  await delay(ms);
  const tookMs = performance.now() - beganAtMs;
  const cpuUs = (await cpuOf(stage)) - before;
  return { cpuUs, tookMs, perMs: cpuUs / tookMs };
}

/** us that MySQL-B has had of the CPU, in user mode and in the kernel. */
async function cpuOf(stage: Stage): Promise<number> {
  const pid = (await readFile(join(stage.centers.folder, 'b/data/server.pid'), 'utf8')).trim();
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third on
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

async function pollsOf(readers: readonly Reader[]): Promise<number> {
  const metrics = await Promise.all(
    readers.map((reader) => reader.metrics.getSingleMetric('tidemark_polls_total')?.get()),
  );
  return metrics.reduce((sum, metric) => sum + (metric?.values[0]?.value ?? 0), 0);
}

async function stopReaders(readers: readonly Reader[]): Promise<void> {
  await Promise.all(readers.map((reader) => reader.stop()));
}
