/**
 * What a reader asks of MySQL-B: the log, and the rows themselves. SELECT only.
 *
 * Times are text already when they leave the server: mysql2 would take longer to print one than to read
 * all the rest of a row, and would print it otherwise when it is not prepared.
 * Invariant: each function is ONE statement, hence one snapshot, and every snapshot of rows carries
 * its own head. That head is the as-of of all its values and absences. (`fetch` of many keys is
 * several such snapshots, each entry with its own as-of.)
 */
import type { Pool, PoolConnection, RowDataPacket } from 'mysql2/promise';
import { Entry } from '../core/entry.js';
import { type LogRow, type LogSnapshot, type Position, positionOf } from '../core/position.js';
import { quoteIdentifier, type TableNames } from '../core/table.js';
import { SchemaError } from '../errors.js';
import { explainMysqlFault } from './fault.js';

/** The part of data center B's database that the reader and the reconciler stand on. */
export interface ChangeLog {
  /** Head, heartbeat, and at most `limit` rows of the log from `version` on. */
  poll(version: number, limit: number): Promise<LogSnapshot>;
  /** Head, heartbeat, and the head's own row. */
  tip(): Promise<LogSnapshot>;
  /** An entry for each of `keys`, absences too. */
  fetch(keys: readonly string[]): Promise<Map<string, Entry>>;
  /** The same, unless a value has more than `mostBytes` bytes: then no value, but their sizes. */
  fetchSmall(keys: readonly string[], mostBytes: number): Promise<SmallOrSizes>;
  /** Keys that begin with `prefix`, in the table's order, after the key `after`. */
  list(prefix: string, after: string | undefined, limit: number): Promise<KeyList>;
}

export type SmallOrSizes =
  | { readonly kind: 'small'; readonly entries: ReadonlyMap<string, Entry> }
  /** By key; one without a row is left out. */
  | { readonly kind: 'sizes'; readonly sizes: ReadonlyMap<string, number> };

export interface KeyList {
  readonly asOf: number;
  readonly keys: readonly { readonly key: string; readonly bytes: number }[];
  /** The last key looked at when there may be more: where the next page starts. */
  readonly next: string | undefined;
}

const SNAPSHOT = `s.head, CAST(s.beat_at AS CHAR) AS beat_at,
  c.version, c.table_name, c.row_key, CAST(c.changed_at AS CHAR) AS changed_at`;

/** List sizes of prepared statements: few, so that the servers' statement caches stay small. */
const LIST_SIZES = [1, 8, 64, 512];
const LARGEST_LIST = 512;
/** More bytes than any value has. */
const NO_LIMIT = 2 ** 32;

export class MysqlLog implements ChangeLog {
  readonly #pool: Pool;
  readonly #timeoutMs: number;
  readonly #table: string;
  readonly #key: string;
  readonly #value: string;
  readonly #version: string;

  /** @param timeoutMs after which a statement that was not answered gives up its connection */
  constructor(pool: Pool, names: TableNames, timeoutMs: number) {
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
    this.#table = quoteIdentifier(names.table);
    this.#key = quoteIdentifier(names.keyColumn);
    this.#value = quoteIdentifier(names.valueColumn);
    this.#version = quoteIdentifier(names.versionColumn);
  }

  async poll(version: number, limit: number): Promise<LogSnapshot> {
    const rows = await this.#select(
      `SELECT ${SNAPSHOT} FROM config_changes c STRAIGHT_JOIN config_stream s ON s.id = 1
       WHERE c.version >= ? ORDER BY c.version LIMIT ${Math.trunc(limit)}`,
      [version],
    );
    return rows.length > 0 ? toSnapshot(rows) : this.#pollAlsoNothing(version, limit);
  }

  /** The same when the log has no such row, as far as is known: then the head is wanted all the same.
   * It takes the servers a temporary table, and twice as long. */
  async #pollAlsoNothing(version: number, limit: number): Promise<LogSnapshot> {
    return toSnapshot(
      await this.#select(
        `SELECT ${SNAPSHOT} FROM config_stream s LEFT JOIN (
           SELECT version, table_name, row_key, changed_at FROM config_changes
           WHERE version >= ? ORDER BY version LIMIT ${Math.trunc(limit)}) c ON TRUE
         WHERE s.id = 1 ORDER BY c.version`,
        [version],
      ),
    );
  }

  async tip(): Promise<LogSnapshot> {
    return toSnapshot(
      await this.#select(
        `SELECT ${SNAPSHOT} FROM config_stream s
         LEFT JOIN config_changes c ON c.version = s.head WHERE s.id = 1`,
        [],
      ),
    );
  }

  async fetch(keys: readonly string[]): Promise<Map<string, Entry>> {
    const entries = new Map<string, Entry>();
    for (const list of listsOf(keys)) await this.#fetchInto(entries, new Map(), list, NO_LIMIT);
    return entries;
  }

  async fetchSmall(keys: readonly string[], mostBytes: number): Promise<SmallOrSizes> {
    const entries = new Map<string, Entry>();
    const sizes = new Map<string, number>();
    for (const list of listsOf(keys)) await this.#fetchInto(entries, sizes, list, mostBytes);
    const isSmall = [...sizes.values()].every((bytes) => bytes <= mostBytes);
    return isSmall ? { kind: 'small', entries } : { kind: 'sizes', sizes };
  }

  async #fetchInto(
    entries: Map<string, Entry>,
    sizes: Map<string, number>,
    keys: readonly string[],
    mostBytes: number,
  ): Promise<void> {
    const { marks, values } = placeholders(keys);
    const rows = await this.#select(
      `SELECT s.head, c.table_name AS head_table, c.row_key AS head_key,
              CAST(c.changed_at AS CHAR) AS head_at,
              t.${this.#key} AS row_key, t.${this.#version} AS version,
              LENGTH(t.${this.#value}) AS bytes,
              IF(LENGTH(t.${this.#value}) <= ?,
                 CAST(CONVERT(t.${this.#value} USING utf8mb4) AS BINARY), NULL) AS value_bytes
       FROM config_stream s LEFT JOIN config_changes c ON c.version = s.head
       LEFT JOIN ${this.#table} t ON t.${this.#key} IN (${marks})
       WHERE s.id = 1`,
      [mostBytes, ...values],
    );
    const at = toHeadPosition(theStream(rows));
    const absence = new Entry(at, 0, null);
    for (const key of keys) entries.set(key, absence);
    for (const row of rows) {
      // The column's collation may find 'E' for 'e': only the very key is an answer.
      if (row.bytes === null || !entries.has(row.row_key)) continue;
      sizes.set(row.row_key, Number(row.bytes));
      if (row.value_bytes === null) continue;
      entries.set(row.row_key, new Entry(at, toVersion(row.version), row.value_bytes));
    }
  }

  async list(prefix: string, after: string | undefined, limit: number): Promise<KeyList> {
    const pattern = `${prefix.replaceAll(/[|%_]/g, '|$&')}%`;
    // MariaDB's LIKE, on an index, ends at U+FFFF: emoji and the like after the prefix are beyond.
    const beyondLike = [`${prefix}\uffff`, `${prefix}${'\u{10ffff}'.repeat(4)}`];
    const rows = await this.#select(
      `SELECT s.head, k.row_key, k.bytes FROM config_stream s LEFT JOIN (
         SELECT ${this.#key} AS row_key, LENGTH(${this.#value}) AS bytes FROM ${this.#table}
         WHERE (${this.#key} LIKE ? ESCAPE '|' OR ${this.#key} > ? AND ${this.#key} < ?)
         ${after === undefined ? '' : `AND ${this.#key} > ?`}
         ORDER BY ${this.#key} LIMIT ${Math.trunc(limit)}) k ON TRUE
       WHERE s.id = 1 ORDER BY k.row_key`,
      [pattern, ...beyondLike, ...(after === undefined ? [] : [after])],
    );
    const asOf = toVersion(theStream(rows).head);
    const scanned = rows.filter((row) => row.row_key !== null);
    const keys = scanned
      .filter((row) => row.bytes !== null && String(row.row_key).startsWith(prefix))
      .map((row) => ({ key: String(row.row_key), bytes: Number(row.bytes) }));
    return { asOf, keys, next: scanned.length < limit ? undefined : scanned.at(-1)?.row_key };
  }

  async #select(sql: string, values: (string | number)[]): Promise<RowDataPacket[]> {
    let connection: PoolConnection | undefined;
    try {
      connection = await this.#pool.getConnection();
      const [rows] = await connection.execute<RowDataPacket[]>({
        sql,
        values,
        timeout: this.#timeoutMs,
      });
      connection.release();
      return rows;
    } catch (error) {
      // Whatever went wrong, a connection in an unknown state is worth less than a new one.
      connection?.destroy();
      throw explainMysqlFault(error, 'MySQL-B (MYSQL_B_URL)');
    }
  }
}

function listsOf(keys: readonly string[]): string[][] {
  const count = Math.ceil(keys.length / LARGEST_LIST);
  return Array.from({ length: count }, (_, list) =>
    keys.slice(list * LARGEST_LIST, (list + 1) * LARGEST_LIST),
  );
}

function placeholders(keys: readonly string[]): { marks: string; values: string[] } {
  const size = LIST_SIZES.find((candidate) => candidate >= keys.length) ?? LARGEST_LIST;
  const last = keys.at(-1) ?? '';
  const values = Array.from({ length: size }, (_, index) => keys[index] ?? last);
  return { marks: values.map(() => '?').join(', '), values };
}

function toSnapshot(rows: RowDataPacket[]): LogSnapshot {
  const { head, beat_at } = theStream(rows);
  return {
    head: toVersion(head),
    beatAtMs: Date.parse(`${String(beat_at).replace(' ', 'T')}Z`),
    rows: rows.filter((row) => row.version !== null).map(toLogRow),
  };
}

function toHeadPosition(row: RowDataPacket): Position {
  const version = toVersion(row.head);
  if (row.head_at === null) return { version, fingerprint: '' };
  const { head_table: table_name, head_key: row_key, head_at: changed_at } = row;
  return positionOf(toLogRow({ ...row, version, table_name, row_key, changed_at }));
}

function toLogRow(row: RowDataPacket): LogRow {
  return {
    version: toVersion(row.version),
    table: String(row.table_name),
    key: String(row.row_key),
    changedAt: String(row.changed_at),
  };
}

function theStream(rows: RowDataPacket[]): RowDataPacket {
  const [row] = rows;
  if (row !== undefined) return row;
  throw new SchemaError(
    'Expected the one row of config_stream on MySQL-B, got none. Check that replication from ' +
      'data center A has carried the migration (`tidemark migrate`) and filters none of its tables.',
  );
}

/** Versions stay below 2^53, where JavaScript and Lua numbers are exact. */
function toVersion(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new SchemaError(`Expected a version from 0 to 2^53 - 1, got ${String(value)}.`);
}
