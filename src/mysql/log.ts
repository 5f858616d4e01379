/**
 * What a reader asks of MySQL-B: the log, and the rows themselves. SELECT only.
 *
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
import { connectionFrom, type Hosts, hostsOf } from './hosts.js';

/** The part of data center B's database that the reader and the reconciler stand on. */
export interface ChangeLog {
  /** Head, heartbeat, and at most `limit` rows of the log from `version` on. */
  poll(version: number, limit: number): Promise<LogSnapshot>;
  /** Head, heartbeat, and the head's own row. */
  tip(): Promise<LogSnapshot>;
  /** An entry for each of `keys`, absences too. */
  fetch(keys: readonly string[]): Promise<Map<string, Entry>>;
  /** The values' sizes in bytes; a key without a row is left out. */
  sizes(keys: readonly string[]): Promise<Map<string, number>>;
  /** Keys that begin with `prefix`, in the table's order, after the key `after`. */
  list(prefix: string, after: string | undefined, limit: number): Promise<KeyList>;
}

export interface KeyList {
  readonly asOf: number;
  readonly keys: readonly { readonly key: string; readonly bytes: number }[];
  /** The last key looked at when there may be more: where the next page starts. */
  readonly next: string | undefined;
}

/** List sizes of prepared statements: few, so that the servers' statement caches stay small. */
const LIST_SIZES = [1, 8, 64, 512];
const LARGEST_LIST = 512;

export class MysqlLog implements ChangeLog {
  readonly #pool: Pool;
  readonly #hosts: Hosts | undefined;
  readonly #timeoutMs: number;
  readonly #table: string;
  readonly #key: string;
  readonly #value: string;
  readonly #version: string;

  /** @param timeoutMs after which a statement that was not answered gives up its connection */
  constructor(pool: Pool, names: TableNames, timeoutMs: number) {
    this.#pool = pool;
    this.#hosts = hostsOf(pool);
    this.#timeoutMs = timeoutMs;
    this.#table = quoteIdentifier(names.table);
    this.#key = quoteIdentifier(names.keyColumn);
    this.#value = quoteIdentifier(names.valueColumn);
    this.#version = quoteIdentifier(names.versionColumn);
  }

  async poll(version: number, limit: number): Promise<LogSnapshot> {
    return toSnapshot(
      await this.#select(
        `SELECT s.head, s.beat_at, c.version, c.table_name, c.row_key, c.changed_at
         FROM config_stream s LEFT JOIN (
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
        `SELECT s.head, s.beat_at, c.version, c.table_name, c.row_key, c.changed_at
         FROM config_stream s LEFT JOIN config_changes c ON c.version = s.head WHERE s.id = 1`,
        [],
      ),
    );
  }

  async fetch(keys: readonly string[]): Promise<Map<string, Entry>> {
    const entries = new Map<string, Entry>();
    for (let start = 0; start < keys.length; start += LARGEST_LIST) {
      await this.#fetchInto(entries, keys.slice(start, start + LARGEST_LIST));
    }
    return entries;
  }

  async #fetchInto(entries: Map<string, Entry>, keys: readonly string[]): Promise<void> {
    const { marks, values } = placeholders(keys);
    const rows = await this.#select(
      `SELECT s.head, c.table_name AS head_table, c.row_key AS head_key, c.changed_at AS head_at,
              t.${this.#key} AS row_key, t.${this.#version} AS version,
              CAST(CONVERT(t.${this.#value} USING utf8mb4) AS BINARY) AS value_bytes
       FROM config_stream s LEFT JOIN config_changes c ON c.version = s.head
       LEFT JOIN ${this.#table} t ON t.${this.#key} IN (${marks})
       WHERE s.id = 1`,
      values,
    );
    const at = toHeadPosition(theStream(rows));
    const absence = new Entry(at, 0, null);
    for (const key of keys) entries.set(key, absence);
    for (const row of rows) {
      // The column's collation may find 'E' for 'e': only the very key is an answer.
      if (row.value_bytes === null || !entries.has(row.row_key)) continue;
      entries.set(row.row_key, new Entry(at, toVersion(row.version), row.value_bytes));
    }
  }

  async sizes(keys: readonly string[]): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    for (let start = 0; start < keys.length; start += LARGEST_LIST) {
      const { marks, values } = placeholders(keys.slice(start, start + LARGEST_LIST));
      const rows = await this.#select(
        `SELECT t.${this.#key} AS row_key, LENGTH(t.${this.#value}) AS bytes
         FROM ${this.#table} t WHERE t.${this.#key} IN (${marks})`,
        values,
      );
      for (const row of rows) sizes.set(row.row_key, Number(row.bytes ?? 0));
    }
    return sizes;
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
    try {
      if (this.#hosts === undefined) return await this.#selectOnce(sql, values);
      return await this.#selectOnHosts(this.#hosts, sql, values);
    } catch (error) {
      throw explainMysqlFault(error, 'MySQL-B (MYSQL_B_URL)');
    }
  }

  /** Of several hosts, one may go away before it has answered, or lag: then the next one is asked. */
  async #selectOnHosts(hosts: Hosts, sql: string, values: (string | number)[]) {
    for (let failures = 1; ; failures += 1) {
      const connection = await connectionFrom(this.#pool, hosts);
      const sent = hosts.now;
      try {
        const rows = await this.#execute(connection, sql, values);
        const [row] = rows;
        if (row?.beat_at !== undefined) hosts.polled(sent, toBeat(row));
        else if (row?.head !== undefined) hosts.answered(toVersion(row.head));
        return rows;
      } catch (error) {
        if (!hosts.mayRepeat(sent, error, failures)) throw error;
      }
    }
  }

  async #selectOnce(sql: string, values: (string | number)[]): Promise<RowDataPacket[]> {
    return await this.#execute(await this.#pool.getConnection(), sql, values);
  }

  async #execute(connection: PoolConnection, sql: string, values: (string | number)[]) {
    try {
      const timeout = this.#timeoutMs;
      const [rows] = await connection.execute<RowDataPacket[]>({ sql, values, timeout });
      connection.release();
      return rows;
    } catch (error) {
      // Whatever went wrong, a connection in an unknown state is worth less than a new one.
      connection.destroy();
      throw error;
    }
  }
}

function placeholders(keys: readonly string[]): { marks: string; values: string[] } {
  const size = LIST_SIZES.find((candidate) => candidate >= keys.length) ?? LARGEST_LIST;
  const last = keys.at(-1) ?? '';
  const values = Array.from({ length: size }, (_, index) => keys[index] ?? last);
  return { marks: values.map(() => '?').join(', '), values };
}

function toSnapshot(rows: RowDataPacket[]): LogSnapshot {
  return {
    ...toBeat(theStream(rows)),
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

function toBeat({ head, beat_at }: RowDataPacket): Pick<LogSnapshot, 'head' | 'beatAtMs'> {
  const beatAtMs = Date.parse(`${String(beat_at).replace(' ', 'T')}Z`);
  return { head: toVersion(head), beatAtMs };
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
