/** What a server says of a table that is to be tracked. It reads only, from `information_schema`. */
import type { Connection, RowDataPacket } from 'mysql2/promise';

export interface TableFacts {
  readonly flavor: 'mysql' | 'mariadb';
  readonly database: string;
  readonly table: string;
  /** Such as `BASE TABLE` or `VIEW`; undefined when there is none, or it may not be seen. */
  readonly kind: string | undefined;
  readonly engine: string;
  readonly rowFormat: string;
  readonly partitions: number;
  readonly columns: readonly ColumnFacts[];
  /** Its primary key and unique indexes, but for those of expressions and of parts of columns. */
  readonly uniqueKeys: readonly { readonly name: string; readonly columns: readonly string[] }[];
  readonly hasFulltext: boolean;
  readonly triggers: readonly TriggerFacts[];
  /** Foreign keys that change its rows without firing triggers. */
  readonly cascades: readonly CascadeFacts[];
}

export interface ColumnFacts {
  readonly name: string;
  /** Such as `varchar`. */
  readonly type: string;
  /** Such as `varchar(255)`. */
  readonly fullType: string;
  /** Of texts. */
  readonly maxChars: number | undefined;
  /** Of texts. */
  readonly collation: string | undefined;
  readonly isNullable: boolean;
  readonly isGenerated: boolean;
  /** `ON UPDATE CURRENT_TIMESTAMP`. */
  readonly changesByItself: boolean;
}

export interface TriggerFacts {
  readonly name: string;
  readonly timing: string;
  readonly event: string;
  readonly body: string;
}

export interface CascadeFacts {
  readonly constraint: string;
  readonly parent: string;
  /** Such as `ON DELETE CASCADE`. */
  readonly rules: string;
}

export async function inspectTable(connection: Connection, table: string): Promise<TableFacts> {
  const [server] = await select(connection, 'SELECT VERSION() AS version, DATABASE() AS name');
  const [found] = await select(
    connection,
    `SELECT table_name AS name, table_type AS kind, engine AS engine, row_format AS format
     FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?`,
    [table],
  );
  const indexes = await select(
    connection,
    `SELECT index_name AS name, non_unique AS non_unique, index_type AS type,
       column_name AS col, sub_part AS part
     FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name = ? ORDER BY index_name, seq_in_index`,
    [table],
  );
  return {
    flavor: /mariadb/i.test(String(server?.version)) ? 'mariadb' : 'mysql',
    database: String(server?.name),
    table: String(found?.name ?? table),
    kind: found === undefined ? undefined : String(found.kind),
    engine: String(found?.engine),
    rowFormat: String(found?.format).toUpperCase(),
    partitions: await countPartitions(connection, table),
    columns: await columnsOf(connection, table),
    uniqueKeys: uniqueKeysOf(indexes),
    hasFulltext: indexes.some(({ type }) => type === 'FULLTEXT'),
    triggers: await triggersOf(connection, table),
    cascades: await cascadesOf(connection, table),
  };
}

async function columnsOf(connection: Connection, table: string): Promise<ColumnFacts[]> {
  const rows = await select(
    connection,
    `SELECT column_name AS name, data_type AS type, column_type AS full_type,
       character_maximum_length AS chars, collation_name AS collation, is_nullable AS nullable,
       extra AS extra
     FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position`,
    [table],
  );
  return rows.map((row) => ({
    name: String(row.name),
    type: String(row.type).toLowerCase(),
    fullType: String(row.full_type).toLowerCase(),
    maxChars: row.chars === null ? undefined : Number(row.chars),
    collation: row.collation === null ? undefined : String(row.collation),
    isNullable: row.nullable === 'YES',
    isGenerated: /(VIRTUAL|STORED|PERSISTENT) GENERATED/i.test(String(row.extra)),
    changesByItself: /on update/i.test(String(row.extra)),
  }));
}

function uniqueKeysOf(indexes: readonly RowDataPacket[]): TableFacts['uniqueKeys'] {
  const names = new Set(indexes.map(({ name }) => String(name)));
  return [...names].flatMap((name) => {
    const parts = indexes.filter((row) => row.name === name);
    const isWhole = parts.every((row) => row.col !== null && row.part === null);
    const isUnique = parts.every((row) => Number(row.non_unique) === 0);
    return isWhole && isUnique ? [{ name, columns: parts.map(({ col }) => String(col)) }] : [];
  });
}

async function countPartitions(connection: Connection, table: string): Promise<number> {
  const [row] = await select(
    connection,
    `SELECT COUNT(partition_name) AS count FROM information_schema.partitions
     WHERE table_schema = DATABASE() AND table_name = ?`,
    [table],
  );
  return Number(row?.count);
}

/** In the order in which they run. */
async function triggersOf(connection: Connection, table: string): Promise<TriggerFacts[]> {
  const rows = await select(
    connection,
    `SELECT trigger_name AS name, action_timing AS timing, event_manipulation AS event,
       action_statement AS body
     FROM information_schema.triggers
     WHERE event_object_schema = DATABASE() AND event_object_table = ? ORDER BY action_order`,
    [table],
  );
  return rows.map((row) => ({
    name: String(row.name),
    timing: String(row.timing),
    event: String(row.event),
    body: String(row.body),
  }));
}

async function cascadesOf(connection: Connection, table: string): Promise<CascadeFacts[]> {
  const rows = await select(
    connection,
    `SELECT constraint_name AS name, referenced_table_name AS parent,
       delete_rule AS on_delete, update_rule AS on_update
     FROM information_schema.referential_constraints
     WHERE constraint_schema = DATABASE() AND table_name = ?`,
    [table],
  );
  return rows.flatMap((row) => {
    const rules = [`ON DELETE ${row.on_delete}`, `ON UPDATE ${row.on_update}`].filter((rule) =>
      / (CASCADE|SET NULL|SET DEFAULT)$/.test(rule),
    );
    if (rules.length === 0) return [];
    return [{ constraint: String(row.name), parent: String(row.parent), rules: rules.join(' ') }];
  });
}

async function select(
  connection: Connection,
  sql: string,
  values: readonly string[] = [],
): Promise<RowDataPacket[]> {
  const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
  return rows;
}
