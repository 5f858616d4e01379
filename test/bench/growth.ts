/**
 * growth: does a poll, or an entry in memory, cost more when there is more of it all? Two databases on
 * one server differ only in how many rows the tracked table and the log hold.
 *
 * They are made on MySQL-A, outside its binlog: the same program as MySQL-B, which is read-only. A
 * poll of one change loads rows that changed last, as in service, so they are in the buffer pool.
 */
import { createConnection } from 'mysql2/promise';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { MysqlLog } from '../../src/mysql/log.js';
import { openPool } from '../../src/mysql/pool.js';
import { alternate, compare, type Figure, figureOf, type Rounds } from './figure.js';
import { ReadersProcess } from './readers-process.js';
import type { Stage } from './stage.js';

interface Size {
  readonly configs: number;
  readonly changes: number;
}

const SMALL: Size = { configs: 1_000, changes: 10_000 };
const BIG = {
  full: { configs: 1_000_000, changes: 5_000_000 },
  quick: { configs: 10_000, changes: 100_000 },
};
const ENTRIES = { full: 10_000, quick: 2_000 };
const POLLS = { full: 300, quick: 100 };
const PAGE = 500;
const TIMEOUT_MS = 10_000;
const RECENT = 50;
const MOST = 1.15;
const HELD_OPTIONS = {
  localMaxEntries: 2_000_000,
  localMaxBytes: 2 ** 34,
  earlyWake: 'off',
} as const;

export async function growth(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const big = quick ? BIG.quick : BIG.full;
  const few = quick ? ENTRIES.quick : ENTRIES.full;
  await makeDatabase(stage, 'growth_small', SMALL);
  await makeDatabase(stage, 'growth_big', big);
  const polls = quick ? POLLS.quick : POLLS.full;
  const ours = pollsOf(stage, 'growth_big', big, polls);
  const peer = pollsOf(stage, 'growth_small', SMALL, polls);
  const sizes = ({ configs, changes }: Size) =>
    `${short(configs)} configs, ${short(changes)} changes`;
  const common = { peerName: sizes(SMALL), better: 'lower', target: MOST } as const;
  const title = (name: string) => `growth ${name}, ${sizes(big)}`;
  const memory = await alternate(
    () => bytesPerEntry(stage, big.configs),
    () => bytesPerEntry(stage, few),
    rounds.atMost(quick ? 1 : 3),
  );
  return [
    await compare(
      { ...common, name: title('empty poll'), unit: 'us', ours: ours.empty, peer: peer.empty },
      rounds,
    ),
    await compare(
      { ...common, name: title('one-change poll'), unit: 'us', ours: ours.one, peer: peer.one },
      rounds,
    ),
    figureOf(
      {
        name: `growth memory per entry, ${short(big.configs)} entries`,
        peerName: `${short(few)} entries`,
        unit: 'bytes',
        better: 'lower',
        target: MOST,
      },
      ...memory,
    ),
  ];
}

/** us of a poll that finds nothing, and of one that finds one change and loads it. */
function pollsOf(stage: Stage, database: string, { configs, changes }: Size, polls: number) {
  const pool = openPool(stage.centers.a.url(database), { connectionLimit: 1 });
  stage.after(() => pool.end());
  const log = new MysqlLog(pool, DEFAULT_COLLECTION, TIMEOUT_MS);
  const usPer = async (poll: (call: number) => Promise<void>) => {
    const start = performance.now();
    for (let call = 0; call < polls; call++) await poll(call);
    return ((performance.now() - start) * 1000) / polls;
  };
  return {
    empty: () =>
      usPer(async () => {
        const { rows } = await log.poll(changes, PAGE + 1);
        if (rows.length !== 1) throw new Error(`Expected 1 row, got ${rows.length}`);
      }),
    one: () =>
      usPer(async (call) => {
        const { rows } = await log.poll(changes - 1, PAGE + 1);
        if (rows.length !== 2) throw new Error(`Expected 2 rows, got ${rows.length}`);
        const key = keyOf((changes - (call % RECENT)) % configs);
        const entry = (await log.fetch([key])).get(key);
        if (entry?.value == null) throw new Error(`Expected the row of ${key}`);
      }),
  };
}

/** Of a reader that holds so many, over the same one that holds a few. */
async function bytesPerEntry(stage: Stage, entries: number): Promise<number> {
  const mysql = stage.centers.a.url('growth_big');
  const keyPrefix = `growth-${entries}`;
  const options = { count: 1, mysql, redis: stage.redis, keyPrefix, ...HELD_OPTIONS };
  const readers = await ReadersProcess.start(options);
  const keys = Array.from({ length: entries }, (_, index) => keyOf(index));
  const few = await readers.ask('hold', keys.slice(0, PAGE));
  const all = await readers.ask('hold', keys.slice(PAGE));
  await readers.stop();
  if (all.entries !== entries) throw new Error(`Expected ${entries} entries, got ${all.entries}`);
  return (all.bytes - few.bytes) / (all.entries - few.entries);
}

function keyOf(index: number): string {
  return `growth/${index}`;
}

function short(count: number): string {
  return count >= 1e6 ? `${count / 1e6}M` : `${count / 1e3}k`;
}

const ROWS_AT_ONCE = 500_000;
/** Numbers from 1 on, at most a million: 1,000 is as deep as either server goes unasked. */
const NUMBERS = `WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 1000),
  n (i) AS (SELECT low.i + 1000 * (high.i - 1) FROM k low CROSS JOIN k high WHERE high.i <= ?)`;

async function makeDatabase(stage: Stage, database: string, { configs, changes }: Size) {
  const { database: tidemark } = stage.centers.a.endpoint;
  const connection = await createConnection(stage.a);
  const insert = async (into: string, rows: number, more: readonly unknown[]) => {
    for (let start = 0; start < rows; start += ROWS_AT_ONCE) {
      const thousands = Math.ceil(Math.min(ROWS_AT_ONCE, rows - start) / 1000);
      await connection.query(into, [
        thousands,
        ...more.map((one) => (one === 'start' ? start : one)),
      ]);
    }
  };
  await connection.query('SET SESSION sql_log_bin = 0');
  await connection.query(`DROP DATABASE IF EXISTS ${database}`);
  await connection.query(`CREATE DATABASE ${database}`);
  await connection.query(`USE ${database}`);
  for (const table of ['configs', 'config_stream', 'config_changes']) {
    await connection.query(`CREATE TABLE ${table} LIKE ${tidemark}.${table}`); // without triggers
  }
  await insert(
    `INSERT INTO configs (config_key, config_value, version) ${NUMBERS}
     SELECT CONCAT('growth/', i - 1 + ?), CONCAT('{"pad":"', REPEAT('x', 190), '"}'), i + ? FROM n`,
    configs,
    ['start', 'start'],
  );
  await insert(
    `INSERT INTO config_changes (version, table_name, row_key, op, changed_at) ${NUMBERS}
     SELECT i + ?, 'configs', CONCAT('growth/', (i + ?) % ?), 'update', UTC_TIMESTAMP(6) FROM n`,
    changes,
    ['start', 'start', configs],
  );
  await connection.query('INSERT INTO config_stream VALUES (1, ?, UTC_TIMESTAMP(6))', [changes]);
  await connection.query('ANALYZE TABLE configs, config_changes');
  await connection.end();
}
