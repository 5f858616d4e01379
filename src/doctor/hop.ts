/** The way from MySQL-A to MySQL-B as it shows in the log itself, which any reader may see: whether
 * what A has arrives in B, and whether both tell the same history. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { fingerprintOf } from '../core/position.js';
import type { HopFacts } from './facts.js';
import { select } from './server.js';

const AGAIN_AFTER_MS = 50;

/** @param patienceMs how long B may take to reach what A has now */
export async function collectHop(
  a: Connection,
  b: Connection,
  patienceMs: number,
): Promise<HopFacts> {
  const startedAtMs = performance.now();
  const waitedMs = () => performance.now() - startedAtMs;
  const headA = await headOf(a);
  const headBBefore = await headOf(b);
  let headBAfter = headBBefore;
  while (headBAfter < headA && waitedMs() < patienceMs) {
    await delay(AGAIN_AFTER_MS);
    headBAfter = await headOf(b);
  }
  const common = Math.min(headA, headBAfter);
  return {
    headA,
    headBBefore,
    headBAfter,
    waitedMs: waitedMs(),
    fingerprintA: await fingerprintAt(a, common),
    fingerprintB: await fingerprintAt(b, common),
  };
}

async function headOf(connection: Connection): Promise<number> {
  const [row] = await select(connection, 'SELECT head FROM config_stream WHERE id = 1');
  return Number(row?.head ?? 0);
}

/** Undefined when the log does not hold that version. */
export async function fingerprintAt(
  connection: Connection,
  version: number,
): Promise<string | undefined> {
  // As readers read it: a time is printed alike, and so the fingerprint is the same.
  const [[row]] = await connection.execute<RowDataPacket[]>(
    `SELECT table_name, row_key, CAST(changed_at AS CHAR) AS changed_at
     FROM config_changes WHERE version = ?`,
    [version],
  );
  if (row === undefined) return undefined;
  const { table_name: table, row_key: key, changed_at: changedAt } = row;
  return fingerprintOf({
    version,
    table: String(table),
    key: String(key),
    changedAt: String(changedAt),
  });
}
