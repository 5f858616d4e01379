/** How much there is to compare, for the progress bar: rows of the table, and of the log. */
import type { Pool, RowDataPacket } from 'mysql2/promise';
import { quoteIdentifier } from '../core/table.js';
import { explainMysqlFault } from '../mysql/fault.js';
import { anyConnectionOf } from '../mysql/hosts.js';

export async function workOf(pool: Pool, table: string): Promise<number> {
  try {
    const connection = await anyConnectionOf(pool);
    const [rows] = await connection
      .query<RowDataPacket[]>(
        `SELECT (SELECT COUNT(*) FROM ${quoteIdentifier(table)})
              + (SELECT COUNT(*) FROM config_changes) AS work`,
      )
      .finally(() => connection.release());
    return Number(rows[0]?.work ?? 0);
  } catch (error) {
    throw explainMysqlFault(error, 'MySQL-B (MYSQL_B_URL)');
  }
}
