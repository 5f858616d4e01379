/** The facts of MySQL-A. */
import type { Connection } from 'mysql2/promise';
import type { Collection } from '../core/collection.js';
import { mysqlCodeOf } from '../mysql/fault.js';
import type { SourceFacts } from './facts.js';
import { collectServer, isDenied, select } from './server.js';

export async function collectSource(
  connection: Connection,
  collections: readonly Collection[],
): Promise<SourceFacts> {
  const server = await collectServer(connection, collections);
  return { ...server, binlogFilters: await collectBinlogFilters(connection, server.flavor) };
}

async function collectBinlogFilters(
  connection: Connection,
  flavor: SourceFacts['flavor'],
): Promise<SourceFacts['binlogFilters']> {
  try {
    const [row] = await showBinaryLog(connection);
    const value = {
      doDb: String(row?.Binlog_Do_DB ?? ''),
      ignoreDb: String(row?.Binlog_Ignore_DB ?? ''),
    };
    return { value };
  } catch (error) {
    if (!isDenied(error)) throw error;
    return { lacking: flavor === 'mysql' ? 'REPLICATION CLIENT ON *.*' : 'BINLOG MONITOR ON *.*' };
  }
}

/** MySQL 8.2 gave the statement another name. */
async function showBinaryLog(connection: Connection) {
  try {
    return await select(connection, 'SHOW BINARY LOG STATUS');
  } catch (error) {
    if (mysqlCodeOf(error) !== 'ER_PARSE_ERROR') throw error;
    return await select(connection, 'SHOW MASTER STATUS');
  }
}
