/**
 * What a reader asks of MySQL-B: the log, and the rows themselves. SELECT only.
 *
 * Times are text already when they leave the server: mysql2 would take longer to print one than to read
 * all the rest of a row, and would print it otherwise when it is not prepared.
 * Invariant: each function is ONE statement, hence one snapshot, and every snapshot of rows carries
 * its own head. That head is the as-of of all its values and absences. (`fetch` of many keys is
 * several such snapshots, each entry with its own as-of.)
 */
import type { Pool, RowDataPacket } from 'mysql2/promise';
import type { Look } from '../core/audit.js';
import type { Collection } from '../core/collection.js';
import { Entry, etagFrom } from '../core/entry.js';
import { type LogRow, type LogSnapshot, type Position, positionOf } from '../core/position.js';
import { keyTextSql, valueSql } from '../core/row-key.js';
import { quoteIdentifier } from '../core/table.js';
import { SchemaError } from '../errors.js';
import type { Hosts, Sent } from './hosts.js';
import { type Among, KeyConditions, LARGEST_LIST, type Range } from './key-conditions.js';
import type { PollsTogether } from './polls-together.js';
import { ImpossibleText, Selects } from './selects.js';

/** The part of data center B's database that the reader and the reconciler stand on. */
export interface ChangeLog {
  /** Head, heartbeat, and at most `limit` rows of the log from `version` on. */
  poll(version: number, limit: number): Promise<LogSnapshot>;
  /** Head, heartbeat, and the head's own row. */
  tip(): Promise<LogSnapshot>;
  /** An entry for each of `keys`, absences too.
   * @param onSend called each time that a statement is sent, which it is once more when its answer is
   * lost: from then on an answer can be of another history. Without it, that is an error. */
  fetch(keys: readonly string[], onSend?: () => void): Promise<Map<string, Entry>>;
  /** The same, unless a value has more than `mostBytes` bytes: then no value, but their sizes. */
  fetchSmall(keys: readonly string[], mostBytes: number): Promise<SmallOrSizes>;
  /** The same as `fetch`, with the values' entity tags instead of the values. */
  tags(keys: readonly string[], onSend?: () => void): Promise<Map<string, Look>>;
  /** Keys that begin with `prefix`, in the table's order, after the key `after`. */
  list(
    prefix: string,
    after: string | undefined,
    limit: number,
    onSend?: () => void,
  ): Promise<KeyList>;
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

/** What to select of a value, and its parameters. */
interface Content {
  readonly sql: string;
  readonly values: readonly number[];
}

/** A row that there is. */
interface Row<Selected> {
  readonly key: string;
  readonly version: number;
  readonly bytes: number;
  readonly content: Selected;
}

/** The log is judged by a position that stands still until it is answered, whenever it was read. */
const WHENEVER = (): void => undefined;
/** The columns of a snapshot of the log. */
export const SNAPSHOT = `s.head, CAST(s.beat_at AS CHAR) AS beat_at, CAST(UTC_TIMESTAMP(6) AS CHAR) AS now_at,
  c.version, c.table_name, c.row_key, CAST(c.changed_at AS CHAR) AS changed_at`;

export class MysqlLog implements ChangeLog {
  readonly #selects: Selects;
  readonly #polls: PollsTogether | undefined;
  readonly #table: string;
  readonly #keys: KeyConditions;
  /** The texts of key and value, of the alias `t`. */
  readonly #key: string;
  readonly #value: string;
  /** The bytes that are served. */
  readonly #bytes: string;
  readonly #version: string;

  /** @param timeoutMs after which a statement that was not answered gives up its connection
   * @param polls shared with other collections of the same log */
  constructor(pool: Pool, collection: Collection, timeoutMs: number, polls?: PollsTogether) {
    this.#selects = new Selects(pool, timeoutMs, tellHosts);
    this.#polls = polls;
    this.#table = quoteIdentifier(collection.table);
    this.#keys = new KeyConditions(collection, 't');
    this.#key = keyTextSql(collection, 't');
    this.#value = valueSql(collection, 't');
    this.#bytes = contentSql(this.#value);
    this.#version = `t.${quoteIdentifier(collection.versionColumn)}`;
  }

  poll(version: number, limit: number): Promise<LogSnapshot> {
    if (this.#polls === undefined) return this.#poll(version, limit);
    return this.#polls.ask(version, limit, (from, most) => this.#poll(from, most));
  }

  async #poll(version: number, limit: number): Promise<LogSnapshot> {
    const rows = await this.#selects.run(
      `SELECT ${SNAPSHOT} FROM config_changes c STRAIGHT_JOIN config_stream s ON s.id = 1
       WHERE c.version >= ? ORDER BY c.version LIMIT ${Math.trunc(limit)}`,
      [version],
      WHENEVER,
    );
    return rows.length > 0 ? toSnapshot(rows) : this.#pollAlsoNothing(version, limit);
  }

  /** The same when the log has no such row, as far as is known: then the head is wanted all the same.
   * It takes the servers a temporary table, and twice as long. */
  async #pollAlsoNothing(version: number, limit: number): Promise<LogSnapshot> {
    return toSnapshot(
      await this.#selects.run(
        `SELECT ${SNAPSHOT} FROM config_stream s LEFT JOIN (
           SELECT version, table_name, row_key, changed_at FROM config_changes
           WHERE version >= ? ORDER BY version LIMIT ${Math.trunc(limit)}) c ON TRUE
         WHERE s.id = 1 ORDER BY c.version`,
        [version],
        WHENEVER,
      ),
    );
  }

  async tip(onSend = WHENEVER): Promise<LogSnapshot> {
    return toSnapshot(
      await this.#selects.run(
        `SELECT ${SNAPSHOT} FROM config_stream s
         LEFT JOIN config_changes c ON c.version = s.head WHERE s.id = 1`,
        [],
        onSend,
      ),
    );
  }

  async fetch(keys: readonly string[], onSend?: () => void): Promise<Map<string, Entry>> {
    const content = { sql: this.#bytes, values: [] };
    const make = (at: Position, row?: Row<Buffer>) =>
      new Entry(at, row?.version ?? 0, row?.content ?? null);
    return await this.#lookUp(keys, content, make, onSend);
  }

  async fetchSmall(keys: readonly string[], mostBytes: number): Promise<SmallOrSizes> {
    const sql = `IF(LENGTH(${this.#value}) <= ?, ${this.#bytes}, NULL)`;
    const content = { sql, values: [mostBytes] };
    const sizes = new Map<string, number>();
    const entries = await this.#lookUp(keys, content, (at, row?: Row<Buffer | null>) => {
      if (row !== undefined) sizes.set(row.key, row.bytes);
      return new Entry(at, row?.version ?? 0, row?.content ?? null);
    });
    const isSmall = [...sizes.values()].every((bytes) => bytes <= mostBytes);
    return isSmall ? { kind: 'small', entries } : { kind: 'sizes', sizes };
  }

  async tags(keys: readonly string[], onSend?: () => void): Promise<Map<string, Look>> {
    const content = { sql: `SHA2(CONVERT(${this.#value} USING utf8mb4), 256)`, values: [] };
    const make = (at: Position, row?: Row<string>) => ({
      at,
      etag: row === undefined ? undefined : etagFrom(row.version, row.content),
    });
    return await this.#lookUp(keys, content, make, onSend);
  }

  /** @param make makes what is told of a key, and gets no row for one without */
  async #lookUp<Selected, Found>(
    keys: readonly string[],
    content: Content,
    make: (at: Position, row?: Row<Selected>) => Found,
    onSend?: () => void,
  ): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    for (let start = 0; start < keys.length; start += LARGEST_LIST) {
      const list = keys.slice(start, start + LARGEST_LIST);
      await this.#onlyPossible(list, async (asked, { isOneOf, values }) => {
        const rows = await this.#selects.run(
          `SELECT s.head, c.table_name AS head_table, c.row_key AS head_key,
                  CAST(c.changed_at AS CHAR) AS head_at, ${this.#key} AS row_key,
                  ${this.#version} AS version, LENGTH(${this.#value}) AS bytes,
                  ${content.sql} AS content
           FROM config_stream s LEFT JOIN config_changes c ON c.version = s.head
           LEFT JOIN ${this.#table} t ON ${isOneOf}
           WHERE s.id = 1`,
          [...content.values, ...values],
          onSend,
        );
        const at = toHeadPosition(theStream(rows));
        const absence = make(at);
        for (const key of asked) found.set(key, absence);
        for (const { row_key: key, version, bytes, content: selected } of rows) {
          // The column's collation may find 'E' for 'e': only the very key is an answer.
          if (bytes === null || !found.has(key)) continue;
          const row = { key, version: toVersion(version), bytes: Number(bytes) };
          found.set(key, make(at, { ...row, content: selected }));
        }
      });
    }
    return found;
  }

  /** Asks for `keys`; by halves, when the servers refuse a text that no row can have. */
  async #onlyPossible(
    keys: readonly string[],
    ask: (keys: readonly string[], among: Among) => Promise<void>,
  ): Promise<void> {
    try {
      await ask(keys, this.#keys.among(keys));
    } catch (error) {
      if (!(error instanceof ImpossibleText)) throw error;
      if (keys.length === 1) return await ask(keys, { isOneOf: 'FALSE', values: [] });
      const middle = Math.ceil(keys.length / 2);
      await this.#onlyPossible(keys.slice(0, middle), ask);
      await this.#onlyPossible(keys.slice(middle), ask);
    }
  }

  async list(
    prefix: string,
    after: string | undefined,
    limit: number,
    onSend?: () => void,
  ): Promise<KeyList> {
    for (const reach of ['all', 'beyond no LIKE'] as const) {
      try {
        return await this.#list(this.#keys.range(prefix, after, reach), prefix, limit, onSend);
      } catch (error) {
        if (!(error instanceof ImpossibleText)) throw error;
      }
    }
    const { head } = await this.tip(onSend);
    return { asOf: head, keys: [], next: undefined };
  }

  async #list(
    { condition, values }: Range,
    prefix: string,
    limit: number,
    onSend?: () => void,
  ): Promise<KeyList> {
    const order = this.#keys.columns.map((_, index) => `k.key_${index}`);
    const rows = await this.#selects.run(
      `SELECT s.head, k.row_key, k.bytes FROM config_stream s LEFT JOIN (
         SELECT ${this.#key} AS row_key, LENGTH(${this.#value}) AS bytes,
           ${this.#keys.columns.map((column, index) => `${column} AS key_${index}`).join(', ')}
         FROM ${this.#table} t WHERE ${condition}
         ORDER BY ${this.#keys.columns.join(', ')} LIMIT ${Math.trunc(limit)}) k ON TRUE
       WHERE s.id = 1 ORDER BY ${order.join(', ')}`,
      values,
      onSend,
    );
    const asOf = toVersion(theStream(rows).head);
    const scanned = rows.filter((row) => row.row_key !== null);
    const keys = scanned
      .filter((row) => row.bytes !== null && String(row.row_key).startsWith(prefix))
      .map((row) => ({ key: String(row.row_key), bytes: Number(row.bytes) }));
    return { asOf, keys, next: scanned.length < limit ? undefined : scanned.at(-1)?.row_key };
  }
}

/** The bytes of a value that are served, as an SQL expression. */
export function contentSql(value: string): string {
  return `CAST(CONVERT(${value} USING utf8mb4) AS BINARY)`;
}

export function toSnapshot(rows: RowDataPacket[]): LogSnapshot {
  return {
    ...toBeat(theStream(rows)),
    clockMs: toClockMs(theStream(rows).now_at),
    rows: rows.filter((row) => row.version !== null).map(toLogRow),
  };
}

/** Hosts judge each other by what their answers show. */
function tellHosts(hosts: Hosts, sent: Sent, [row]: RowDataPacket[]): void {
  if (row?.beat_at !== undefined) hosts.polled(sent, toBeat(row));
  else if (row?.head !== undefined) hosts.answered(toVersion(row.head));
}

function toHeadPosition(row: RowDataPacket): Position {
  const version = toVersion(row.head);
  if (row.head_at === null) return { version, fingerprint: '' };
  const { head_table: table_name, head_key: row_key, head_at: changed_at } = row;
  return positionOf(toLogRow({ ...row, version, table_name, row_key, changed_at }));
}

export function toLogRow(row: RowDataPacket): LogRow {
  return {
    version: toVersion(row.version),
    table: String(row.table_name),
    key: String(row.row_key),
    changedAt: String(row.changed_at),
  };
}

function toBeat({ head, beat_at }: RowDataPacket): Pick<LogSnapshot, 'head' | 'beatAtMs'> {
  return { head: toVersion(head), beatAtMs: toMs(beat_at) };
}

/** A server's clock, rounded up: nothing looks fresher for it. */
export function toClockMs(utc: unknown): number {
  return toMs(utc) + 1;
}

/** @param utc as the server prints it */
function toMs(utc: unknown): number {
  return Date.parse(`${String(utc).replace(' ', 'T')}Z`);
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
export function toVersion(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new SchemaError(`Expected a version from 0 to 2^53 - 1, got ${String(value)}.`);
}
