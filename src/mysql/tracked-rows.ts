/**
 * The rows of a tracked table, as a writer in data center A locks, changes and reads them back.
 *
 * Invariant: a row answers a key only when it is that key byte for byte. The column's collation may
 * find 'a' for 'A'; such a row is never taken, changed or deleted in the other's name.
 * One statement per function.
 */
import type { RowDataPacket } from 'mysql2/promise';
import { quoteIdentifier, type TableNames } from '../core/table.js';
import { SchemaError } from '../errors.js';
import type { SqlValue, Transaction } from './transaction.js';

export interface StoredRow {
  readonly version: number;
  /** SHA-256 of the value's UTF-8 bytes, in hexadecimal; null when the value is SQL NULL. */
  readonly digest: string | null;
}

/** List sizes of prepared statements: few, so that the server's statement cache stays small. */
const LIST_SIZES = [1, 8, 64, 256];
const LARGEST_LIST = 256;

export class TrackedRows {
  readonly #table: string;
  readonly #key: string;
  readonly #value: string;
  readonly #rowColumns: string;
  readonly #isExactly: string;

  constructor(names: TableNames) {
    this.#table = quoteIdentifier(names.table);
    this.#key = quoteIdentifier(names.keyColumn);
    this.#value = quoteIdentifier(names.valueColumn);
    this.#rowColumns = `CONVERT(${this.#key} USING utf8mb4) AS row_key,
      ${quoteIdentifier(names.versionColumn)} AS version,
      SHA2(CONVERT(${this.#value} USING utf8mb4), 256) AS digest`;
    this.#isExactly = `${this.#key} = ? AND CAST(CONVERT(${this.#key} USING utf8mb4) AS BINARY)
      = CAST(CONVERT(? USING utf8mb4) AS BINARY)`;
  }

  /** Locks the rows of `keys`, in their order, until the transaction ends. */
  lock(transaction: Transaction, keys: readonly string[]): Promise<Map<string, StoredRow>> {
    return this.#select(transaction, keys, 'FOR UPDATE');
  }

  read(transaction: Transaction, keys: readonly string[]): Promise<Map<string, StoredRow>> {
    return this.#select(transaction, keys, '');
  }

  async #select(
    transaction: Transaction,
    keys: readonly string[],
    lock: '' | 'FOR UPDATE',
  ): Promise<Map<string, StoredRow>> {
    const found = new Map<string, StoredRow>();
    for (let start = 0; start < keys.length; start += LARGEST_LIST) {
      const list = padded(keys.slice(start, start + LARGEST_LIST));
      const rows = await transaction.select(
        `SELECT ${this.#rowColumns} FROM ${this.#table}
         WHERE ${this.#key} IN (${list.map(() => '?').join(', ')}) ${lock}`,
        list,
      );
      for (const row of rows) {
        found.set(String(row.row_key), { version: toVersion(row.version), digest: row.digest });
      }
    }
    return found;
  }

  async insert(transaction: Transaction, key: string, value: string): Promise<void> {
    await transaction.change(
      `INSERT INTO ${this.#table} (${this.#key}, ${this.#value}) VALUES (?, ?)`,
      [key, value],
    );
  }

  async update(transaction: Transaction, key: string, value: string): Promise<void> {
    await transaction.change(
      `UPDATE ${this.#table} SET ${this.#value} = ? WHERE ${this.#isExactly}`,
      [value, key, key],
    );
  }

  async delete(transaction: Transaction, key: string): Promise<void> {
    await transaction.change(`DELETE FROM ${this.#table} WHERE ${this.#isExactly}`, [key, key]);
  }
}

/** The head of the log; nobody else can change a tracked table until the transaction ends. */
export async function lockHead(transaction: Transaction): Promise<number> {
  return toHead(await transaction.select(`${SELECT_HEAD} FOR UPDATE`, []));
}

export async function readHead(transaction: Transaction): Promise<number> {
  return toHead(await transaction.select(SELECT_HEAD, []));
}

const SELECT_HEAD = 'SELECT head FROM config_stream WHERE id = 1';

function toHead(rows: readonly RowDataPacket[]): number {
  const [row] = rows;
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

function padded(keys: readonly string[]): SqlValue[] {
  const size = LIST_SIZES.find((candidate) => candidate >= keys.length) ?? LARGEST_LIST;
  return Array.from({ length: size }, (_, index) => keys[index] ?? keys.at(-1) ?? '');
}
