/**
 * write: PUTs by 64 clients through the writer, against the same rows as one-row autocommits from 64
 * connections into an identical table that no trigger tracks.
 * trigger-cost: one connection, autocommit UPDATEs of one row each, tracked against untracked; and what
 * tracking costs those that change many rows at once, or many at once one row each.
 */
import { type Connection, createConnection, createPool } from 'mysql2/promise';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const CLIENTS = 64;
/** Connections that no writer stands before. */
const MANY = 16;
const ROWS = { full: 6_000, quick: 2_500 };
const UPDATES = { full: 1_500, quick: 300 };
const KEYS = 2_000;
const VALUE = JSON.stringify({ pad: 'x'.repeat(190) });
const PLAIN = `INSERT INTO plain_configs (config_key, config_value) VALUES (?, ?)
               ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`;

async function makePlainTable(stage: Stage): Promise<void> {
  const connection = await createConnection(stage.a);
  await connection.query('CREATE TABLE IF NOT EXISTS plain_configs LIKE configs');
  await connection.end();
}

/** MySQL-B is another machine's in service, and would share this one's processors here. */
async function withoutReplica(stage: Stage): Promise<void> {
  await stage.centers.caughtUp();
  await stage.centers.stopReplication();
  stage.after(() => stage.centers.startReplication());
}

/** As servers come, and as most are run: a commit is on the disk, twice, before it is answered. */
async function withDisks(stage: Stage): Promise<void> {
  const connection = await createConnection(stage.a);
  const wait = async (syncBinlog: number, flushLog: number) => {
    await connection.query(`SET GLOBAL sync_binlog = ${syncBinlog}`);
    await connection.query(`SET GLOBAL innodb_flush_log_at_trx_commit = ${flushLog}`);
  };
  stage.after(async () => {
    await wait(0, 2);
    await connection.end();
  });
  await wait(1, 1);
}

let serial = 10_000_000;

/** Unlike any before: a row that is written as it is already costs next to nothing. */
function nextValue(): string {
  serial += 1;
  return VALUE.replace('xxxxxxxx', String(serial));
}

/** Rows per second of so many clients that each write one row after the other. */
async function rowsPerSecond(
  rows: number,
  put: (key: string, value: string) => Promise<unknown>,
): Promise<number> {
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
  await withoutReplica(stage);
  const writer = stage.writer();
  const pool = createPool({ uri: stage.a, connectionLimit: CLIENTS });
  stage.after(() => pool.end());
  const figure = (name: string) =>
    compare(
      {
        name,
        peerName: 'one-row autocommits, no triggers',
        unit: '1/s',
        better: 'higher',
        target: 2,
        ours: () => rowsPerSecond(rows, (key, value) => writer.put(key, value)),
        peer: () => rowsPerSecond(rows, (key, value) => pool.execute(PLAIN, [key, value])),
      },
      rounds,
    );
  const undurable = await figure('write, disks not waited for');
  await withDisks(stage);
  return [await figure('write'), undurable];
}

export async function triggerCost(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const updates = quick ? UPDATES.quick : UPDATES.full;
  await makePlainTable(stage);
  const keys = Array.from({ length: KEYS }, (_, index) => `trigger-cost/${index}`);
  await stage.fill(new Map(keys.map((key) => [key, Buffer.from(VALUE)])));
  const connections = await Promise.all(
    Array.from({ length: MANY }, () => createConnection(stage.a)),
  );
  stage.after(() => Promise.all(connections.map((connection) => connection.end())));
  await connections[0]?.query('REPLACE INTO plain_configs SELECT * FROM configs');
  await withoutReplica(stage);
  const cost = (shape: Shape, target: number | 'none') => {
    const of = (table: string) => () => rowsUpdatedPerSecond(connections, table, updates, shape);
    const { clients, rows } = shape;
    const shapeName =
      (clients > 1 ? `, ${clients} connections` : '') + (rows > 1 ? `, ${rows} rows at once` : '');
    return compare(
      {
        name: `trigger-cost${shapeName}`,
        peerName: 'untracked table',
        unit: '1/s',
        better: 'higher',
        target,
        ours: of('configs'),
        peer: of('plain_configs'),
      },
      rounds,
    );
  };
  const byHand = await compare(
    {
      name: 'trigger-cost, by trigger',
      peerName: 'the same three rows by hand, in one round trip',
      unit: '1/s',
      better: 'higher',
      target: 'none',
      ours: () => rowsUpdatedPerSecond(connections, 'configs', updates, { clients: 1, rows: 1 }),
      peer: () => rowsByHandPerSecond(stage, updates),
    },
    rounds,
  );
  return [
    await cost({ clients: 1, rows: 1 }, 0.8),
    byHand,
    await cost({ clients: 1, rows: 64 }, 'none'),
    await cost({ clients: MANY, rows: 1 }, 'none'),
  ];
}

/** So many connections that each change so many rows in a transaction. */
interface Shape {
  readonly clients: number;
  readonly rows: number;
}

async function rowsUpdatedPerSecond(
  connections: readonly Connection[],
  table: string,
  updates: number,
  { clients, rows }: Shape,
): Promise<number> {
  let next = 0;
  const start = performance.now();
  const run = async (connection: Connection) => {
    while (next < updates) {
      if (rows > 1) await connection.beginTransaction();
      for (let row = 0; row < rows; row++) {
        await connection.execute(`UPDATE ${table} SET config_value = ? WHERE config_key = ?`, [
          nextValue(),
          `trigger-cost/${next++ % KEYS}`,
        ]);
      }
      if (rows > 1) await connection.commit();
    }
  };
  await Promise.all(connections.slice(0, clients).map(run));
  return next / ((performance.now() - start) / 1000);
}

/** What the trigger does, without one, into tables of the same kind. */
async function rowsByHandPerSecond(stage: Stage, updates: number): Promise<number> {
  const connection = await createConnection({ uri: stage.a, multipleStatements: true });
  await connection.query(
    `CREATE TABLE IF NOT EXISTS plain_stream LIKE config_stream;
     REPLACE INTO plain_stream SELECT * FROM config_stream;
     CREATE TABLE IF NOT EXISTS plain_changes LIKE config_changes`,
  );
  const start = performance.now();
  for (let update = 0; update < updates; update++) {
    const value = nextValue();
    await connection.query(
      `BEGIN;
       UPDATE plain_stream SET head = head + 1 WHERE id = 1;
       INSERT INTO plain_changes VALUES (?, 'configs', ?, 'update', UTC_TIMESTAMP(6));
       UPDATE plain_configs SET config_value = ? WHERE config_key = ?;
       COMMIT`,
      [serial, `trigger-cost/${update % KEYS}`, value, `trigger-cost/${update % KEYS}`],
    );
  }
  const perSecond = updates / ((performance.now() - start) / 1000);
  await connection.end();
  return perSecond;
}
