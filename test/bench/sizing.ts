/**
 * `npm run sizing [-- mysql | mariadb]`: what docs/sizing.md says that things take: bytes of a poll,
 * connections of a reader, a change in the log and in the binary log, an entry in Redis. Sizes, not
 * speed: they are the same on a busy machine.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { RowDataPacket } from 'mysql2/promise';
import { createConnection } from 'mysql2/promise';
import type { Flavor } from '../../src/demo/data-centers.js';
import type { Reader } from '../../src/index.js';
import { until } from '../support/until.js';
import { Stage } from './stage.js';

const ENTRIES = 20_000;
const CHANGES = 100_000;
const ROWS_AT_ONCE = 1_000;
const POLL_FOR_MS = 5_000;
const VALUE_BYTES = 200;
const VALUE = Buffer.from(JSON.stringify({ pad: 'x'.repeat(VALUE_BYTES - 10) }));

const keyOf = (index: number) => `sizing/service-${index % 100}/key-${index}`;

type Run = (sql: string) => Promise<RowDataPacket[]>;

async function measure(flavor: Flavor): Promise<Record<string, number>> {
  const stage = await Stage.open(flavor);
  try {
    const [a, b] = await Promise.all([runner(stage, 'a'), runner(stage, 'b')]);
    const keys = Array.from({ length: ENTRIES }, (_, index) => keyOf(index));
    await stage.fill(new Map(keys.map((key) => [key, VALUE])));
    return {
      ...(await sizeOfPolls(stage, b)),
      ...(await sizeOfEntries(stage, keys)),
      ...(await sizeOfChanges(stage, a)),
    };
  } finally {
    await stage.stop();
  }
}

async function runner(stage: Stage, side: 'a' | 'b'): Promise<Run> {
  const connection = await createConnection(stage.centers[side].url());
  stage.after(async () => connection.destroy());
  return async (sql) => (await connection.query<RowDataPacket[]>(sql))[0];
}

/** Of a reader that finds nothing, by what the server has counted. */
async function sizeOfPolls(stage: Stage, b: Run): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const earlyWake of ['off', 'auto'] as const) {
    const reader = await stage.reader({ earlyWake, pollIntervalMs: 50 });
    const before = { bytes: await bytesOf(b), polls: await pollsOf(reader) };
    await delay(POLL_FOR_MS);
    const polls = (await pollsOf(reader)) - before.polls;
    const which = earlyWake === 'off' ? 'poll' : 'poll and wait';
    sizes[`bytes of a ${which} that finds nothing`] = ((await bytesOf(b)) - before.bytes) / polls;
    const [row] = await b(
      "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = 'tidemark_reader'",
    );
    sizes[`connections at rest, early wake ${earlyWake}`] = Number(row?.n);
    await reader.stop();
  }
  return sizes;
}

async function bytesOf(run: Run): Promise<number> {
  const rows = await run(
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Bytes_sent', 'Bytes_received')",
  );
  return rows.reduce((sum, row) => sum + Number(row.Value), 0);
}

async function pollsOf(reader: Reader): Promise<number> {
  const metric = await reader.metrics.getSingleMetric('tidemark_polls_total')?.get();
  return metric?.values[0]?.value ?? 0;
}

/** In Redis, over the key and the value themselves. */
async function sizeOfEntries(stage: Stage, keys: readonly string[]) {
  const redis = new Redis(stage.redis);
  stage.after(async () => redis.disconnect());
  const memory = async () =>
    Number(/used_memory_dataset:(\d+)/.exec(await redis.info('memory'))?.[1]);
  // However busy the machine is, no fill is to be lost.
  const patient = { redisTimeoutMs: 10_000, readTimeoutMs: 30_000 };
  const reader = await stage.reader({ earlyWake: 'off', ...patient });
  await until('a ready reader', () => reader.ready);
  const before = { bytes: await memory(), keys: await redis.dbsize() };
  for (let start = 0; start < keys.length; start += ROWS_AT_ONCE) {
    await reader.getMany(keys.slice(start, start + ROWS_AT_ONCE));
  }
  await until('all entries', async () => (await redis.dbsize()) >= before.keys + keys.length);
  const perEntry = ((await memory()) - before.bytes) / keys.length;
  const content = keys.reduce((sum, key) => sum + key.length, 0) / keys.length + VALUE.length;
  await reader.stop();
  return {
    'Redis, bytes of an entry': perEntry,
    'Redis, of those beside key and value': perEntry - content,
  };
}

/** In the table of the log and in the binary log, with the triggers and without. */
async function sizeOfChanges(stage: Stage, a: Run): Promise<Record<string, number>> {
  const tracked = await change(stage, a, CHANGES);
  await a('DROP TRIGGER configs_tidemark_update');
  const untracked = await change(stage, a, CHANGES / 10);
  return {
    'log, MB per million changes': tracked.log,
    'binary log, bytes of a tracked change': tracked.binlog,
    'binary log, bytes of the same, untracked': untracked.binlog,
  };
}

async function change(stage: Stage, a: Run, changes: number) {
  const before = { log: await sizeOfLog(stage), binlog: await sizeOfBinlogs(a) };
  for (let done = 0; done < changes; done += ROWS_AT_ONCE) {
    const first = done % ENTRIES;
    const keys = Array.from({ length: ROWS_AT_ONCE }, (_, index) => `'${keyOf(first + index)}'`);
    await a(
      `UPDATE configs SET config_value = JSON_SET(config_value, '$.n', ${done})
       WHERE config_key IN (${keys.join(', ')})`,
    );
  }
  return {
    log: ((await sizeOfLog(stage)) - before.log) / changes,
    binlog: ((await sizeOfBinlogs(a)) - before.binlog) / changes,
  };
}

async function sizeOfLog({ centers }: Stage): Promise<number> {
  const file = `a/data/${centers.a.endpoint.database}/config_changes.ibd`;
  return (await stat(join(centers.folder, file))).size;
}

async function sizeOfBinlogs(a: Run): Promise<number> {
  const rows = await a('SHOW BINARY LOGS');
  return rows.reduce((sum, row) => sum + Number(row.File_size), 0);
}

const [flavor = 'mysql'] = process.argv.slice(2);
if (flavor !== 'mysql' && flavor !== 'mariadb') throw new Error('Expected mysql or mariadb');
for (const [what, size] of Object.entries(await measure(flavor))) {
  console.log(`${what}: ${size < 10 ? size : Math.round(size)}`);
}
