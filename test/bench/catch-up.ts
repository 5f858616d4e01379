/**
 * catch-up: a reader that is 100,000 changes behind, from its first poll until it stands at the
 * head with Redis in step, against a SELECT of the same rows and pipelined SETs of them.
 */
import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const CHANGES = { full: 100_000, quick: 10_000 };
const PAGE = 500;
const TTL_MS = 1_800_000;
const VALUE = Buffer.from(JSON.stringify({ pad: 'x'.repeat(190) }));
/** Long enough that the reader polls only when a read demands a version. */
const SELDOM_MS = 600_000;

export async function catchUp(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const count = quick ? CHANGES.quick : CHANGES.full;
  const values = new Map(Array.from({ length: count }, (_, index) => [`catch-up/${index}`, VALUE]));
  const behind = await stage.head();
  await stage.fill(values);
  await stage.centers.caughtUp();
  const head = await stage.head();
  const redis = new Redis(stage.redis);
  stage.after(async () => redis.disconnect());

  const ours = async () => {
    await redis.flushall();
    const reader = await stage.reader({
      pollIntervalMs: SELDOM_MS,
      earlyWake: 'off',
      pageSize: PAGE,
    });
    // The same changes once more: the reader stood at the head before them.
    const from = await stage.head();
    await stage.fill(values);
    await stage.centers.caughtUp();
    const minVersion = await stage.head();
    const start = performance.now();
    await reader.get('(nobody)', { minVersion, timeoutMs: 300_000 });
    const seconds = (performance.now() - start) / 1000;
    await stage.clearLast();
    return (minVersion - from) / seconds;
  };
  const peer = async () => {
    await redis.flushall();
    const connection = await createConnection(stage.b);
    const start = performance.now();
    let rows = 0;
    for (let after = ''; ; ) {
      const [page] = await connection.execute<RowDataPacket[]>(
        `SELECT config_key, config_value, version FROM configs
         WHERE config_key LIKE 'catch-up/%' AND config_key > ? ORDER BY config_key LIMIT ${PAGE}`,
        [after],
      );
      if (page.length === 0) break;
      const pipeline = redis.pipeline();
      for (const { config_key, config_value } of page) {
        pipeline.set(`plain:${config_key}`, config_value, 'PX', TTL_MS);
      }
      await pipeline.exec();
      rows += page.length;
      after = page.at(-1)?.config_key;
    }
    const seconds = (performance.now() - start) / 1000;
    await connection.end();
    if (rows !== count) throw new Error(`Expected ${count} rows, got ${rows}`);
    return rows / seconds;
  };
  if (head - behind < count) throw new Error('Expected each row to be a change');
  const peerName = 'SELECT of the rows and pipelined SET';
  return [
    await compare(
      { name: 'catch-up', peerName, unit: '1/s', better: 'higher', target: 0.7, ours, peer },
      quick ? rounds.atMost(1) : rounds,
    ),
  ];
}
