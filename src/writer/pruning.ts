/**
 * Taking old changes out of the log, in small batches.
 *
 * Invariant: the newest change is never removed: every position must have a row to be checked against.
 * The DELETE is told how many rows there are before a boundary, and stops there: servers may plan it
 * as a scan that would go on to the end of the log, and wait there for those who append.
 */
import type { Connection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { toVersion } from '../mysql/tracked-rows.js';

export const PRUNE_ROWS = 1_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** It reads the whole log. */
const COUNT_TIMEOUT_MS = 120_000;

/** The first version that stays when all older changes go, but the newest of all. */
export async function boundaryByAge(connection: Connection, seconds: number): Promise<number> {
  const [rows] = await connection.query<RowDataPacket[]>({
    sql: `SELECT COALESCE(
            MIN(CASE WHEN changed_at >= UTC_TIMESTAMP(6) - INTERVAL ? SECOND THEN version END),
            MAX(version), 0) AS boundary
          FROM config_changes`,
    values: [seconds],
    timeout: COUNT_TIMEOUT_MS,
  });
  return toVersion(rows[0]?.boundary ?? 0);
}

/** The first version that stays when the newest `keep` changes do; `keep` is 1 or more. */
export async function boundaryByCount(connection: Connection, keep: number): Promise<number> {
  const [rows] = await connection.query<RowDataPacket[]>({
    sql: `SELECT version FROM config_changes ORDER BY version DESC LIMIT 1 OFFSET ${Math.trunc(keep) - 1}`,
    timeout: COUNT_TIMEOUT_MS,
  });
  return toVersion(rows[0]?.version ?? 0);
}

/** How many changes are before the boundary. */
export async function countBefore(connection: Connection, boundary: number): Promise<number> {
  const [rows] = await connection.query<RowDataPacket[]>({
    sql: 'SELECT COUNT(*) AS count FROM config_changes WHERE version < ?',
    values: [boundary],
    timeout: COUNT_TIMEOUT_MS,
  });
  return Number(rows[0]?.count ?? 0);
}

/** Removes the oldest `rows` changes, all of which are before the boundary.
 * @returns how many were still there */
export async function removeOldest(
  connection: Connection,
  boundary: number,
  rows: number,
): Promise<number> {
  const [{ affectedRows }] = await connection.query<ResultSetHeader>({
    sql: `DELETE FROM config_changes WHERE version < ? ORDER BY version LIMIT ${Math.trunc(rows)}`,
    values: [boundary],
    timeout: STATEMENT_TIMEOUT_MS,
  });
  return affectedRows;
}
