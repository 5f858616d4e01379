/** What happens to replication, to the log, and to the history itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { failOver } from './failover.js';
import { type Fault, READERS } from './fault.js';
import { connectTo } from './source-log.js';
import { READER_USER, type Stage } from './stage.js';
import { HOLE_KEYS } from './workload.js';

const REMOVED_AT_ONCE = 100_000;
let conflicts = 0;

const replication: readonly Fault[] = [
  {
    ...{
      name: 'replication-stop',
      weight: 3,
      targets: [['b']],
      lastsMs: [200, 4_000],
      costMs: 150,
    },
    async start({ servers }) {
      await servers.stopReplication(servers.b);
      return () => servers.startReplication(servers.b);
    },
  },
  {
    ...{ name: 'replication-error', weight: 2, targets: [['b', 'a']] },
    ...{ lastsMs: [500, 3_000], costMs: 300 },
    async start({ servers }) {
      conflicts += 1;
      const insert = `INSERT INTO chaos_conflict (id) VALUES (${conflicts})`;
      const remove = `DELETE FROM chaos_conflict WHERE id = ${conflicts}`;
      await servers.onWritableB(insert);
      await servers.a.query(insert);
      return async () => {
        await servers.onWritableB(remove);
        await servers.startReplication(servers.b);
      };
    },
  },
  {
    ...{
      name: 'replication-delay',
      weight: 2,
      targets: [['b']],
      lastsMs: [1_500, 5_000],
      costMs: 400,
    },
    async start({ servers }, _target, random) {
      await servers.delayReplication(1 + random.below(3));
      return () => servers.delayReplication(0);
    },
  },
  {
    ...{ name: 'b-cut-connections', weight: 3, targets: [['b']], lastsMs: [0, 0], costMs: 100 },
    async start({ servers }) {
      await servers.killConnectionsOfB(READER_USER);
      return undefined;
    },
  },
];

const log: readonly Fault[] = [
  {
    ...{ name: 'pruned-past-reader', weight: 2, lastsMs: [800, 2_500], costMs: 400 },
    targets: READERS.map((reader) => [reader, 'a']),
    async start(stage, target) {
      const reader = stage.reader(target);
      reader.pause();
      return async () => {
        await prune(stage);
        await delay(150); // replication may carry it to B before the reader looks again
        reader.resume();
      };
    },
  },
  {
    ...{ name: 'log-hole', weight: 1, targets: [['a']], lastsMs: [0, 0], costMs: 200 },
    start: hole,
  },
];

const load: readonly Fault[] = [
  {
    ...{ name: 'big-transaction', weight: 0.3, targets: [['a']], lastsMs: [0, 0], costMs: 4_000 },
    async start({ workload }) {
      const client = workload.sql.client();
      try {
        await client.bulk();
      } finally {
        client.close();
      }
      return undefined;
    },
  },
  {
    ...{ name: 'big-values', weight: 0.7, targets: [['load']], lastsMs: [500, 2_000], costMs: 100 },
    async start({ workload }) {
      workload.bigValues = true;
      return async () => {
        workload.bigValues = false;
      };
    },
  },
  {
    ...{ name: 'hot-key', weight: 1.5, targets: [['load']], lastsMs: [1_000, 4_000], costMs: 50 },
    async start({ workload }, _target, random) {
      workload.hotKey = workload.key(random);
      return async () => {
        workload.hotKey = undefined;
      };
    },
  },
];

const history: readonly Fault[] = [
  {
    ...{ name: 'failover-losing-tail', weight: 0.7, targets: [['a']], lastsMs: [600, 2_500] },
    ...{ costMs: 9_000, alone: true },
    async start(stage) {
      await stage.servers.stopReplication(stage.servers.standby);
      return () => failOver(stage);
    },
  },
];

export const mysqlFaults: readonly Fault[] = [...replication, ...log, ...load, ...history];

/** As retention does it, much too early: all but the last of what was told to the checker. */
async function prune({ servers, log: source }: Stage): Promise<void> {
  await source.pullToEnd();
  await servers.a.query(
    `DELETE FROM config_changes WHERE version < ${source.position} LIMIT ${REMOVED_AT_ONCE}`,
  );
}

/** A change whose row in the log is gone before anyone could see it. The triggers' own record still
 * has it, so that the checker is told what it was. */
async function hole({ servers, workload }: Stage): Promise<undefined> {
  const connection = await connectTo(servers.a);
  const text = () => JSON.stringify({ mark: workload.mark(), pad: '' });
  try {
    await connection.query('BEGIN');
    await connection.query(
      `INSERT INTO configs (config_key, config_value) VALUES (?, ?)
       ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`,
      [HOLE_KEYS[0], text()],
    );
    const [rows] = await connection.query('SELECT head FROM config_stream');
    const version = Number((rows as { head: number }[])[0]?.head); // one row, by the migration
    await connection.query('DELETE FROM config_changes WHERE version = ?', [version]);
    await connection.query(
      `INSERT INTO configs (config_key, config_value) VALUES (?, ?)
       ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`,
      [HOLE_KEYS[1], text()],
    );
    await connection.query('COMMIT');
  } finally {
    connection.destroy();
  }
  return undefined;
}
