/** A glance, taken as an early wake takes it. */
import type { Pool, RowDataPacket } from 'mysql2/promise';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { type Glance, GlanceStatement } from '../../src/mysql/glance.js';

export async function glanceOn(
  pool: Pool,
  seen: number,
  collection = DEFAULT_COLLECTION,
): Promise<Glance> {
  const connection = await pool.getConnection();
  const statement = await GlanceStatement.prepare(connection, collection);
  const { sql } = statement;
  const [rows] = await connection.query<RowDataPacket[]>(sql, statement.parameters(seen));
  connection.release();
  return statement.read(rows, { atMs: 1, clockMs: 2, seen });
}
