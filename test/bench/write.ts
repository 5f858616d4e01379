/**
 * write: PUTs by 64 clients through the writer, against the same rows as one-row autocommits from 64
 * connections into an identical table that no trigger tracks.
 * trigger-cost: one connection, autocommit UPDATEs of one row each, tracked against untracked.
 */
import { createConnection, createPool } from 'mysql2/promise';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const CLIENTS = 64;
const ROWS = { full: 6_000, quick: 2_500 };
const UPDATES = { full: 1_500, quick: 600 };
const KEYS = 2_000;
const VALUE = JSON.stringify({ pad: 'x'.repeat(190) });
const PLAIN = `INSERT INTO plain_configs (config_key, config_value) VALUES (?, ?)
               ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`;

async function makePlainTable(stage: Stage): Promise<void> {
  const connection = await createConnection(stage.a);
  await connection.query('CREATE TABLE IF NOT EXISTS plain_configs LIKE configs');
  await connection.end();
}

let serial = 10_000_000;

/** Unlike any before: a row that is written as it is already costs next to nothing. */
function nextValue(): string {
  serial += 1;
  return VALUE.replace('xxxxxxxx', String(serial));
}

/** Rows per second of so many clients that each write one row after the other. */
async function rowsPerSecond(
  stage: Stage,
  rows: number,
  put: (key: string, value: string) => Promise<unknown>,
): Promise<number> {
  await stage.centers.caughtUp(); // the replica still works on what the other side wrote
  let next = 0;
  const start = performance.now();
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (next < rows) {
      const row = next++;
      await put(`write/${row % KEYS}`, nextValue());
    }
  });
  await Promise.all(clients);
  return rows / ((performance.now() - start) / 1000);
}

export async function write(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const rows = quick ? ROWS.quick : ROWS.full;
  await makePlainTable(stage);
  const writer = stage.writer();
  const pool = createPool({ uri: stage.a, connectionLimit: CLIENTS });
  stage.after(() => pool.end());
  return [
    await compare(
      {
        name: 'write',
        peerName: 'one-row autocommits, no triggers',
        unit: '1/s',
        better: 'higher',
        target: 2,
        ours: () => rowsPerSecond(stage, rows, (key, value) => writer.put(key, value)),
        peer: () => rowsPerSecond(stage, rows, (key, value) => pool.execute(PLAIN, [key, value])),
      },
      rounds,
    ),
  ];
}

export async function triggerCost(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const updates = quick ? UPDATES.quick : UPDATES.full;
  await makePlainTable(stage);
  const connection = await createConnection(stage.a);
  stage.after(() => connection.end());
  for (const table of ['configs', 'plain_configs']) {
    await connection.query(
      `INSERT INTO ${table} (config_key, config_value) VALUES ('trigger-cost', '0')
       ON DUPLICATE KEY UPDATE config_value = '0'`,
    );
  }
  const updatesOf = (table: string) => async () => {
    await stage.centers.caughtUp();
    const start = performance.now();
    for (let update = 0; update < updates; update++) {
      await connection.execute(
        `UPDATE ${table} SET config_value = ? WHERE config_key = 'trigger-cost'`,
        [nextValue()],
      );
    }
    return updates / ((performance.now() - start) / 1000);
  };
  return [
    await compare(
      {
        name: 'trigger-cost',
        peerName: 'untracked table',
        unit: '1/s',
        better: 'higher',
        target: 0.8,
        ours: updatesOf('configs'),
        peer: updatesOf('plain_configs'),
      },
      rounds,
    ),
  ];
}
