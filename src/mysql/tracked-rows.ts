/**
 * The rows of a tracked table, as a writer in data center A locks, changes and reads them back:
 * many rows per statement.
 *
 * Invariant: a row answers a key only when it is that key byte for byte. The column's collation may
 * find 'a' for 'A'; such a row is never taken, changed or deleted in the other's name: a statement
 * that reached more or fewer rows than it has keys is an error.
 * A function says what to send and how to read what comes back; transaction.ts sends it.
 */
import type { RowDataPacket } from 'mysql2/promise';
import type { Document } from '../core/document.js';
import { quoteIdentifier, type TableNames } from '../core/table.js';
import { SchemaError } from '../errors.js';
import type { Result, Statement, Step } from './transaction.js';

export interface StoredRow {
  readonly version: number;
  /** SHA-256 of the value's UTF-8 bytes, in hexadecimal; null when the value is SQL NULL. Empty
   * when it was not asked for, which spares the server reading large values. */
  readonly digest: string | null;
}

/** What is read of a row: with its value's digest, or without. */
export type RowColumns = 'digest' | 'no digest';

type RowLock = '' | ' FOR UPDATE' | ' FOR UPDATE NOWAIT';
type FoundRows = Step<Map<string, StoredRow>>;

/** Sizes of lists that can be filled up by repeating a key. */
const LIST_SIZES = [1, 2, 4, 8, 16, 32, 64, 256];
/** Sizes of INSERT, which cannot. */
const INSERT_SIZES = [64, 32, 16, 8, 7, 6, 5, 4, 3, 2, 1];
const LARGEST_LIST = 256;
/** Rows of one INSERT or UPDATE; an update compares each of its rows with each of its keys. */
const LARGEST_PART = 64;
/** Far below max_allowed_packet as servers come (16 or 64 MiB). */
const LARGEST_PART_BYTES = 1024 * 1024;

export class TrackedRows {
  readonly #names: TableNames;
  readonly #table: string;
  readonly #key: string;
  readonly #value: string;
  readonly #rowColumns: string;
  readonly #digest: string;
  readonly #noDigest: string;
  /** Whether the table's triggers may pass over an update that changes nothing; found out by the
   * first one, and remembered. */
  mayPassOver = false;

  constructor(names: TableNames) {
    this.#names = names;
    this.#table = quoteIdentifier(names.table);
    this.#key = quoteIdentifier(names.keyColumn);
    this.#value = quoteIdentifier(names.valueColumn);
    this.#rowColumns = `CONVERT(${this.#key} USING utf8mb4) AS row_key,
      ${quoteIdentifier(names.versionColumn)} AS version`;
    this.#digest = `SHA2(CONVERT(${this.#value} USING utf8mb4), 256)`;
    this.#noDigest = `IF(${this.#value} IS NULL, NULL, '')`;
  }

  /** Locks the rows of `keys`, in their order, until the transaction ends. */
  lock(keys: readonly string[], columns: RowColumns): FoundRows {
    return this.#select(keys, columns, ' FOR UPDATE');
  }

  /** The same, but an error if someone else has locked one of them; it waits for no one. */
  lockAtOnce(keys: readonly string[], columns: RowColumns): FoundRows {
    return this.#select(keys, columns, ' FOR UPDATE NOWAIT');
  }

  read(keys: readonly string[], columns: RowColumns): FoundRows {
    return this.#select(keys, columns, '');
  }

  #select(keys: readonly string[], columns: RowColumns, lock: RowLock): FoundRows {
    const digest = columns === 'digest' ? this.#digest : this.#noDigest;
    return {
      statements: lists(keys).map((list) => ({
        sql: `SELECT ${this.#rowColumns}, ${digest} AS digest FROM ${this.#table}
          WHERE ${this.#key} IN (${placeholders(list.length)})${lock}`,
        values: list,
      })),
      answer: (results) =>
        new Map(
          results
            .flatMap(toRows)
            .map((row) => [
              String(row.row_key),
              { version: toVersion(row.version), digest: row.digest },
            ]),
        ),
    };
  }

  insert(puts: ReadonlyMap<string, Document>): Step<void> {
    const statements: Statement[] = [];
    for (const part of parts(puts)) {
      for (let start = 0; start < part.length; ) {
        const size = INSERT_SIZES.find((candidate) => candidate <= part.length - start) ?? 1;
        statements.push({
          sql: `INSERT INTO ${this.#table} (${this.#key}, ${this.#value})
            VALUES ${Array(size).fill('(?, ?)').join(', ')}`,
          values: part.slice(start, start + size).flatMap(([key, { text }]) => [key, text]),
        });
        start += size;
      }
    }
    return { statements, answer: () => {} };
  }

  /** @param puts for rows that are there, and locked */
  update(puts: ReadonlyMap<string, Document>): Step<void> {
    const statements = parts(puts).map((part) => {
      const keys = filledUp(part.map(([key]) => key));
      // FIELD finds the first of equal keys, so the fillers' values are never taken.
      const texts = keys.map((_, index) => part[index]?.[1].text ?? '');
      const list = placeholders(keys.length);
      return {
        sql: `UPDATE ${this.#table} SET ${this.#value} = ELT(FIELD(${this.#key}, ${list}), ${list})
          WHERE ${this.#key} IN (${list})`,
        values: [...keys, ...texts, ...keys],
      };
    });
    return { statements, answer: (results) => this.#assertReached(puts.size, results) };
  }

  /** One by one: a list may be planned as a scan, which would wait for rows of others.
   * @param keys of rows that are there, and locked */
  delete(keys: readonly string[]): Step<void> {
    const sql = `DELETE FROM ${this.#table} WHERE ${this.#key} = ?`;
    return {
      statements: keys.map((key) => ({ sql, values: [key] })),
      answer: (results) => this.#assertReached(keys.length, results),
    };
  }

  #assertReached(expected: number, results: readonly Result[]): void {
    let got = 0;
    for (const result of results) got += 'affectedRows' in result ? result.affectedRows : 0;
    if (got === expected) return;
    const { table, keyColumn } = this.#names;
    throw new SchemaError(
      `Expected to change ${expected} row(s) of ${table}, reached ${got}. Nothing was written. ` +
        `${keyColumn} must be its primary key, or have a unique index.`,
    );
  }
}

/** The head of the log; nobody else can change a tracked table until the transaction ends. */
export function lockHead(): Step<number> {
  return { statements: [{ sql: `${SELECT_HEAD} FOR UPDATE`, values: [] }], answer: toHead };
}

export function readHead(): Step<number> {
  return { statements: [{ sql: SELECT_HEAD, values: [] }], answer: toHead };
}

/** The newest version after `version` of each key that has one in the log. */
export function readChanges(version: number): Step<Map<string, number>> {
  const sql = 'SELECT row_key, version FROM config_changes WHERE version > ? ORDER BY version';
  return {
    statements: [{ sql, values: [version] }],
    answer: (results) =>
      new Map(results.flatMap(toRows).map((row) => [String(row.row_key), toVersion(row.version)])),
  };
}

const SELECT_HEAD = 'SELECT head FROM config_stream WHERE id = 1';

function toRows(result: Result): RowDataPacket[] {
  return Array.isArray(result) ? result : [];
}

function toHead(results: readonly Result[]): number {
  const [row] = results.flatMap(toRows);
  if (row !== undefined) return toVersion(row.head);
  throw new SchemaError(
    'Expected the one row of config_stream on MySQL-A, got none. Run `tidemark migrate`.',
  );
}

/** Versions stay below 2^53, where JavaScript and Lua numbers are exact. */
export function toVersion(value: unknown): number {
  const version = Number(value);
  if (Number.isSafeInteger(version) && version >= 0) return version;
  throw new SchemaError(`Expected a version from 0 to 2^53 - 1, got ${String(value)}.`);
}

function lists(keys: readonly string[]): string[][] {
  const made: string[][] = [];
  for (let start = 0; start < keys.length; start += LARGEST_LIST) {
    made.push(filledUp(keys.slice(start, start + LARGEST_LIST)));
  }
  return made;
}

/** `keys` in one of a few sizes, so that the server's cache of statements stays small: filled up
 * by repeating the last one. */
function filledUp(keys: readonly string[]): string[] {
  const size = LIST_SIZES.find((candidate) => candidate >= keys.length) ?? LARGEST_LIST;
  return Array.from({ length: size }, (_, index) => keys[index] ?? keys.at(-1) ?? '');
}

/** What one statement takes: so many rows, and so many bytes if it has more than one. */
function parts(puts: ReadonlyMap<string, Document>): [string, Document][][] {
  const made: [string, Document][][] = [];
  let part: [string, Document][] = [];
  let bytes = 0;
  for (const put of puts) {
    const more = put[1].bytes.byteLength;
    if (part.length === LARGEST_PART || (part.length > 0 && bytes + more > LARGEST_PART_BYTES)) {
      made.push(part);
      part = [];
      bytes = 0;
    }
    part.push(put);
    bytes += more;
  }
  if (part.length > 0) made.push(part);
  return made;
}

function placeholders(count: number): string {
  return Array(count).fill('?').join(', ');
}
