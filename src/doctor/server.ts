/**
 * The facts that MySQL-A and MySQL-B have in common. It reads only, with the least rights: what the
 * account may not see becomes the name of the right that would show it.
 */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Collection } from '../core/collection.js';
import { quoteIdentifier } from '../core/table.js';
import { mysqlCodeOf } from '../mysql/fault.js';
import { readLedger } from '../mysql/ledger.js';
import type {
  Cascade,
  ClockFacts,
  KeyCollation,
  LogFacts,
  Seen,
  ServerFacts,
  TableState,
  TrackedFacts,
} from './facts.js';
import { type Grants, holds, parseGrants } from './grants.js';

const CLOCK_SAMPLES = 3;
const RULES_THAT_CHANGE = "('CASCADE', 'SET NULL', 'SET DEFAULT')";

export const STREAM = 'config_stream';
export const CHANGES = 'config_changes';

/** Whether this error says that the account may not. */
export function isDenied(error: unknown): boolean {
  return /ACCESS_DENIED_ERROR$/.test(mysqlCodeOf(error) ?? '');
}

export async function select(
  connection: Connection,
  sql: string,
  values: readonly (string | number)[] = [],
): Promise<RowDataPacket[]> {
  const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
  return rows;
}

/** @throws what mysql2 throws when the server goes away */
export async function collectServer(
  connection: Connection,
  collections: readonly Collection[],
): Promise<ServerFacts> {
  const [who] = await select(
    connection,
    'SELECT VERSION() AS version, DATABASE() AS name, CURRENT_USER() AS account',
  );
  const version = String(who?.version);
  const database = String(who?.name);
  const grants = parseGrants(
    (await select(connection, 'SHOW GRANTS')).map((row) => String(Object.values(row)[0])),
  );
  const tables = await collectTables(connection, database, collections);
  const flavor = /mariadb/i.test(version) ? 'mariadb' : 'mysql';
  const tracked = new Map<string, TrackedFacts>();
  for (const { table, keyColumns } of collections) {
    tracked.set(table, {
      keyCollations: await collectKeyCollations(connection, table, keyColumns),
      triggers: await collectTriggers(connection, grants, database, table),
      cascades: await collectCascades(connection, flavor, grants, database, table),
    });
  }
  return {
    flavor,
    version,
    database,
    account: quotedAccount(String(who?.account)),
    variables: await collectVariables(connection),
    grants,
    clock: await collectClock(connection),
    tables,
    tracked,
    ledger: await collectLedger(connection, database),
    log: await collectLog(connection, tables),
  };
}

function quotedAccount(account: string): string {
  const at = account.lastIndexOf('@');
  return `'${account.slice(0, at)}'@'${account.slice(at + 1)}'`;
}

/** All of them: some thousand short rows, so that no list of names is kept in two places. */
async function collectVariables(connection: Connection): Promise<Map<string, string>> {
  const rows = await select(connection, 'SHOW GLOBAL VARIABLES');
  return new Map(rows.map((row) => [String(row.Variable_name), String(row.Value)]));
}

/** The sample with the shortest round trip says most. */
async function collectClock(connection: Connection): Promise<ClockFacts> {
  const samples: ClockFacts[] = [];
  for (let taken = 0; taken < CLOCK_SAMPLES; taken += 1) {
    const sentMs = performance.timeOrigin + performance.now();
    const [row] = await select(connection, 'SELECT UTC_TIMESTAMP(6) AS now');
    const gotMs = performance.timeOrigin + performance.now();
    const serverMs = Date.parse(`${String(row?.now).replace(' ', 'T')}Z`);
    samples.push({ aheadMs: serverMs - (sentMs + gotMs) / 2, errorMs: (gotMs - sentMs) / 2 });
  }
  return samples.reduce((best, one) => (one.errorMs < best.errorMs ? one : best));
}

async function collectTables(
  connection: Connection,
  database: string,
  collections: readonly Collection[],
): Promise<Map<string, TableState>> {
  const columns: [table: string, columns: readonly string[]][] = [
    [STREAM, ['id', 'head', 'beat_at']],
    [CHANGES, ['version', 'table_name', 'row_key', 'op', 'changed_at']],
    ...collections.map(columnsOf),
  ];
  const engines = new Map(
    (
      await select(
        connection,
        `SELECT table_name AS name, engine AS engine FROM information_schema.tables
         WHERE table_schema = ?`,
        [database],
      )
    ).map((row) => [String(row.name), String(row.engine)]),
  );
  const states = new Map<string, TableState>();
  for (const [name, needed] of columns) {
    const access = await accessOf(connection, name, needed);
    states.set(name, { access, engine: engines.get(name) });
  }
  return states;
}

function columnsOf(collection: Collection): [table: string, columns: readonly string[]] {
  const { table, keyColumns, valueColumns, versionColumn } = collection;
  return [table, [...keyColumns, ...valueColumns, versionColumn]];
}

async function accessOf(
  connection: Connection,
  table: string,
  columns: readonly string[],
): Promise<TableState['access']> {
  const list = columns.map(quoteIdentifier).join(', ');
  try {
    await select(connection, `SELECT ${list} FROM ${quoteIdentifier(table)} LIMIT 0`);
    return 'readable';
  } catch (error) {
    const code = mysqlCodeOf(error);
    if (code === 'ER_NO_SUCH_TABLE') return 'missing';
    if (code === 'ER_BAD_FIELD_ERROR') return 'columns';
    if (isDenied(error)) return 'denied';
    throw error;
  }
}

async function collectKeyCollations(
  connection: Connection,
  table: string,
  columns: readonly string[],
): Promise<Map<string, KeyCollation>> {
  const rows = await select(
    connection,
    `SELECT column_name AS name, collation_name AS collation FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = ?`,
    [table],
  );
  const collations = new Map<string, KeyCollation>();
  for (const { name, collation } of rows) {
    const column = columns.find((one) => one.toLowerCase() === String(name).toLowerCase());
    if (column !== undefined) collations.set(column, keyCollation(collation));
  }
  return collations;
}

function keyCollation(collation: unknown): KeyCollation {
  if (collation === null) return { name: 'binary', noPad: true }; // numbers and bytes
  const name = String(collation);
  // MySQL's newer collations do not pad, and have no name for it; `binary` pads with nothing.
  return { name, noPad: /_nopad_|_0900_|^binary$/.test(name) };
}

async function collectTriggers(
  connection: Connection,
  grants: Grants,
  database: string,
  table: string,
): Promise<TrackedFacts['triggers']> {
  const rows = await select(
    connection,
    `SELECT trigger_name AS name, action_timing AS timing, event_manipulation AS event,
            action_statement AS body
     FROM information_schema.triggers
     WHERE event_object_schema = ? AND event_object_table = ?`,
    [database, table],
  );
  if (rows.length === 0 && !holds(grants, 'TRIGGER', database, table)) {
    return { lacking: `TRIGGER ON ${quoteIdentifier(database)}.${quoteIdentifier(table)}` };
  }
  const value = rows.map(({ name, timing, event, body }) => ({
    name: String(name),
    timing: String(timing),
    event: String(event),
    body: String(body),
  }));
  return { value };
}

/** MariaDB shows them to those who hold more than SELECT on the table, MySQL to all. */
async function collectCascades(
  connection: Connection,
  flavor: ServerFacts['flavor'],
  grants: Grants,
  database: string,
  table: string,
): Promise<Seen<readonly Cascade[]>> {
  const rows = await select(
    connection,
    `SELECT constraint_name AS name, delete_rule AS on_delete, update_rule AS on_update,
            referenced_table_name AS parent
     FROM information_schema.referential_constraints
     WHERE constraint_schema = ? AND table_name = ?
       AND (delete_rule IN ${RULES_THAT_CHANGE} OR update_rule IN ${RULES_THAT_CHANGE})`,
    [database, table],
  );
  const seesAll = ['TRIGGER', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES'].some((privilege) =>
    holds(grants, privilege, database, table),
  );
  if (rows.length === 0 && flavor === 'mariadb' && !seesAll) {
    return { lacking: `TRIGGER ON ${quoteIdentifier(database)}.${quoteIdentifier(table)}` };
  }
  const changes = (rule: unknown) => RULES_THAT_CHANGE.includes(`'${String(rule)}'`);
  const value = rows.map((row) => ({
    constraint: String(row.name),
    parent: String(row.parent),
    rules: [
      ...(changes(row.on_delete) ? [`ON DELETE ${row.on_delete}`] : []),
      ...(changes(row.on_update) ? [`ON UPDATE ${row.on_update}`] : []),
    ].join(' '),
  }));
  return { value };
}

async function collectLedger(
  connection: Connection,
  database: string,
): Promise<ServerFacts['ledger']> {
  const lacking = `SELECT ON ${quoteIdentifier(database)}.tidemark_migrations`;
  try {
    await select(connection, 'SELECT name FROM tidemark_migrations LIMIT 0');
    return { value: await readLedger(connection) };
  } catch (error) {
    if (mysqlCodeOf(error) === 'ER_NO_SUCH_TABLE') return { value: [] };
    if (isDenied(error)) return { lacking };
    throw error;
  }
}

async function collectLog(
  connection: Connection,
  tables: ReadonlyMap<string, TableState>,
): Promise<LogFacts | undefined> {
  const isReadable = [STREAM, CHANGES].every((name) => tables.get(name)?.access === 'readable');
  if (!isReadable) return undefined;
  const [row] = await select(
    connection,
    `SELECT s.head AS head, c.version AS oldest,
            TIMESTAMPDIFF(MICROSECOND, s.beat_at, UTC_TIMESTAMP(6)) AS beat_age,
            TIMESTAMPDIFF(MICROSECOND, c.changed_at, UTC_TIMESTAMP(6)) AS oldest_age
     FROM config_stream s LEFT JOIN (
       SELECT version, changed_at FROM config_changes ORDER BY version LIMIT 1) c ON TRUE
     WHERE s.id = 1`,
  );
  if (row === undefined) return undefined;
  const oldest =
    row.oldest === null
      ? undefined
      : { version: Number(row.oldest), ageMs: Number(row.oldest_age) / 1000 };
  return { head: Number(row.head), beatAgeMs: Number(row.beat_age) / 1000, oldest };
}
