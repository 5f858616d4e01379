/**
 * bulk: one transaction updates 50,000 rows with values of 1 KB. What does a reader that takes it in
 * need of memory, and how long does its event loop keep others waiting, over the same reader idle?
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { type Figure, figureOf, type Rounds } from './figure.js';
import { ReadersProcess, type Watched } from './readers-process.js';
import type { Stage } from './stage.js';

const ROWS = { full: 50_000, quick: 10_000 };
const IDLE_MS = { full: 3_000, quick: 1_000 };
const MOST_MIB = 64;
const MOST_DELAY_MS = 20;
const VALUE = Buffer.from(JSON.stringify({ pad: 'x'.repeat(1_014) }));

export async function bulk(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const rows = quick ? ROWS.quick : ROWS.full;
  await stage.fill(
    new Map(Array.from({ length: rows }, (_, index) => [`bulk/${index}`, VALUE] as const)),
  );
  const idle: Watched[] = [];
  const busy: Watched[] = [];
  const planned = quick ? rounds.atMost(1) : rounds;
  for (let round = 0; planned.hasMore(round); round++) {
    await stage.centers.caughtUp();
    const readers = await ReadersProcess.start({ count: 1, mysql: stage.b, redis: stage.redis });
    stage.after(() => readers.stop());
    await readers.reach(await stage.head());
    await readers.ask('watch');
    await delay(quick ? IDLE_MS.quick : IDLE_MS.full);
    idle.push(await readers.ask('watch'));
    await updateAll(stage, rows);
    await readers.reach(await stage.head());
    busy.push(await readers.ask('watch'));
    await readers.stop();
  }
  const common = { peerName: 'the same reader, idle', better: 'lower' } as const;
  const of = (name: string) => `bulk ${name}, ${rows.toLocaleString('en')} rows`;
  return [
    figureOf(
      { ...common, name: of('memory'), unit: 'MiB', target: { atMostOverPeer: MOST_MIB } },
      busy.map(({ peakMiB }) => peakMiB),
      idle.map(({ memoryMiB }) => memoryMiB),
    ),
    figureOf(
      { ...common, name: of('loop delay p99'), unit: 'ms', target: { atMost: MOST_DELAY_MS } },
      busy.map(({ delayP99Ms }) => delayP99Ms),
      idle.map(({ delayP99Ms }) => delayP99Ms),
    ),
  ];
}

async function updateAll(stage: Stage, rows: number): Promise<void> {
  const a = await createConnection(stage.a);
  const [result] = await a.query(
    `UPDATE configs SET config_value = CONCAT(config_value, ' ')
     WHERE config_key LIKE 'bulk/%'`,
  );
  await a.end();
  if (!('changedRows' in result) || result.changedRows !== rows) {
    throw new Error(`Expected ${rows} rows to change`);
  }
}
