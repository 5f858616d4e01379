/** Waits until a replica has executed all that its source has committed, by GTID. */
import type { RowDataPacket } from 'mysql2/promise';
import type { Flavor } from './server-kind.js';
import { ServerError } from './server-process.js';

/** Runs one statement on one server. */
export type Query = (
  sql: string,
  values?: readonly (string | number)[],
) => Promise<RowDataPacket[]>;

const TIMEOUT_S = 60;

const SQL = {
  mysql: {
    position: 'SELECT @@global.gtid_executed AS position',
    waitFor: 'SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?) AS late',
    status: 'SHOW REPLICA STATUS',
  },
  mariadb: {
    position: 'SELECT @@global.gtid_binlog_pos AS position',
    waitFor: 'SELECT MASTER_GTID_WAIT(?, ?) AS late',
    status: 'SHOW SLAVE STATUS',
  },
} as const;

export async function untilCaughtUp(flavor: Flavor, source: Query, replica: Query): Promise<void> {
  const sql = SQL[flavor];
  const [at] = await source(sql.position);
  const position = String(at?.position ?? '');
  const [waited] = await replica(sql.waitFor, [position, TIMEOUT_S]);
  if (waited?.late === 0) return;
  const [status] = await replica(sql.status);
  const faults = [status?.Last_IO_Error, status?.Last_SQL_Error].filter(Boolean).join(' ');
  throw new ServerError(
    `Expected the replica to reach ${position} within ${TIMEOUT_S} s, it did not. ${faults}`,
  );
}
