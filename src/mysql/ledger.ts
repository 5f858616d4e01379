/** The ledger, `tidemark_migrations`: which files are applied, and how far the one that is not. */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { LedgerRow, Migration, Script } from '../core/migration-plan.js';

/** The rows; none when there is no ledger yet. */
export async function readLedger(connection: Connection): Promise<LedgerRow[]> {
  if (!(await hasLedger(connection))) return [];
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT name, checksum, statements_done AS statementsDone, applied_at IS NOT NULL AS isApplied
     FROM tidemark_migrations ORDER BY name`,
  );
  return rows.map((row) => ({
    name: String(row.name),
    checksum: row.checksum === null ? null : String(row.checksum),
    statementsDone: Number(row.statementsDone),
    isApplied: Number(row.isApplied) === 1,
  }));
}

export async function hasLedger(connection: Connection): Promise<boolean> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT 1 FROM information_schema.tables
     WHERE table_schema = DATABASE() AND table_name = 'tidemark_migrations'`,
  );
  return rows.length > 0;
}

/** A script is begun, or some more of its statements are done. */
export async function recordProgress(
  connection: Connection,
  migration: Migration,
  script: Script,
  statementsDone: number,
): Promise<void> {
  await connection.query(
    `INSERT INTO tidemark_migrations (name, checksum, statements_done) VALUES (?, ?, ?)
     ON DUPLICATE KEY UPDATE checksum = VALUES(checksum),
       statements_done = VALUES(statements_done), applied_at = NULL`,
    [migration.name, script.checksum, statementsDone],
  );
}

/** All statements of a file are done; the file itself has set `applied_at`. */
export async function recordApplied(connection: Connection, migration: Migration): Promise<void> {
  await connection.query(
    'UPDATE tidemark_migrations SET checksum = ?, statements_done = ? WHERE name = ?',
    [migration.up.checksum, migration.up.groups.flat().length, migration.name],
  );
}
