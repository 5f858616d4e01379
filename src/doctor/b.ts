/** The facts of MySQL-B: those of any server, and how it follows its source. */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Collection } from '../core/collection.js';
import { mysqlCodeOf } from '../mysql/fault.js';
import type { Channel, ReplicaFacts, Seen, ServerFacts } from './facts.js';
import type { Filters } from './filters.js';
import { collectServer, isDenied, select } from './server.js';

export async function collectReplica(
  connection: Connection,
  collections: readonly Collection[],
): Promise<ReplicaFacts> {
  const server = await collectServer(connection, collections);
  const status = await collectStatus(connection, server.flavor);
  if ('lacking' in status) {
    return { ...server, channels: status, filters: filtersOfVariables(server) ?? status };
  }
  const rows = status.value;
  return {
    ...server,
    channels: { value: rows.map(toChannel) },
    filters: { value: rows.map((row) => toFilters((name) => text(row[`Replicate_${name}`]))) },
  };
}

async function collectStatus(
  connection: Connection,
  flavor: ServerFacts['flavor'],
): Promise<Seen<RowDataPacket[]>> {
  try {
    return { value: await showReplica(connection, flavor) };
  } catch (error) {
    if (!isDenied(error)) throw error;
    return { lacking: flavor === 'mysql' ? 'REPLICATION CLIENT ON *.*' : 'SLAVE MONITOR ON *.*' };
  }
}

/** One row for each source that it follows. MySQL before 8.0.22 knows the old name only. */
async function showReplica(
  connection: Connection,
  flavor: ServerFacts['flavor'],
): Promise<RowDataPacket[]> {
  if (flavor === 'mariadb') return await select(connection, 'SHOW ALL SLAVES STATUS');
  try {
    return await select(connection, 'SHOW REPLICA STATUS');
  } catch (error) {
    if (mysqlCodeOf(error) !== 'ER_PARSE_ERROR') throw error;
    return await select(connection, 'SHOW SLAVE STATUS');
  }
}

/** The errors' numbers only: their texts quote rows. */
function toChannel(row: RowDataPacket): Channel {
  const seconds = row.Seconds_Behind_Source ?? row.Seconds_Behind_Master ?? null;
  return {
    name: text(row.Channel_Name ?? row.Connection_name),
    io: text(row.Replica_IO_Running ?? row.Slave_IO_Running),
    sql: text(row.Replica_SQL_Running ?? row.Slave_SQL_Running),
    secondsBehind: seconds === null ? null : Number(seconds),
    delaySeconds: Number(row.SQL_Delay ?? 0),
    ioErrno: Number(row.Last_IO_Errno ?? 0),
    sqlErrno: Number(row.Last_SQL_Errno ?? 0),
    sourceServerId: text(row.Source_Server_Id ?? row.Master_Server_Id),
    usesGtid: Number(row.Auto_Position ?? 0) === 1 || !/^(|No)$/i.test(text(row.Using_Gtid)),
  };
}

/** MariaDB keeps the default channel's filters in variables, too, which anyone may see. */
function filtersOfVariables({ flavor, variables }: ServerFacts): Seen<Filters[]> | undefined {
  if (flavor !== 'mariadb') return undefined;
  const value = toFilters((name) => variables.get(`replicate_${name.toLowerCase()}`) ?? '');
  return { value: [value] };
}

function toFilters(get: (name: string) => string): Filters {
  return {
    doDb: get('Do_DB'),
    ignoreDb: get('Ignore_DB'),
    doTable: get('Do_Table'),
    ignoreTable: get('Ignore_Table'),
    wildDoTable: get('Wild_Do_Table'),
    wildIgnoreTable: get('Wild_Ignore_Table'),
    rewriteDb: get('Rewrite_DB'),
  };
}

function text(value: unknown): string {
  return value === undefined || value === null ? '' : String(value);
}
