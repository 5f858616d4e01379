/**
 * Conditions on a row's key in SQL: that it is one of some keys, or begins with a prefix.
 *
 * Invariant: they miss no row that is meant. The columns' collations and types may find more ('E' for
 * 'e', 7 for '007'), so whoever asks compares texts with what was meant.
 */
import type { Collection } from '../core/collection.js';
import { keyPartsOf, keyTextSql, wholePartsOf } from '../core/row-key.js';
import { quoteIdentifier } from '../core/table.js';
import { InvalidKeyError } from '../errors.js';

export interface Among {
  readonly isOneOf: string;
  readonly values: (string | null)[];
}

export interface Range {
  readonly condition: string;
  readonly values: string[];
}

/** How far a range goes; beyond LIKE is text that some columns' character sets lack. */
export type Reach = 'all' | 'beyond no LIKE';

/** List sizes of prepared statements: few, so that the servers' statement caches stay small. */
const LIST_SIZES = [1, 8, 64, 512];
export const LARGEST_LIST = 512;

export class KeyConditions {
  readonly columns: readonly string[];
  readonly #text: string;

  /** @param of the table's alias */
  constructor(collection: Collection, of: string) {
    this.columns = collection.keyColumns.map((column) => `${of}.${quoteIdentifier(column)}`);
    this.#text = keyTextSql(collection, of);
  }

  /** The condition that a row's key is one of `keys`, for a list of one of a few sizes. What no row can
   * have, the server refuses, or misses. */
  among(keys: readonly string[]): Among {
    const size = LIST_SIZES.find((candidate) => candidate >= keys.length) ?? LARGEST_LIST;
    const count = this.columns.length;
    const nothing: readonly null[] = Array(count).fill(null);
    const last = keys.at(-1) ?? '';
    const values = Array.from({ length: size }, (_, index) => keys[index] ?? last).flatMap(
      (key) => keyPartsOf(key, count) ?? nothing,
    );
    const [left, mark] =
      count === 1
        ? [this.columns.join(), '?']
        : [`(${this.columns.join(', ')})`, `(${Array(count).fill('?').join(', ')})`];
    return { isOneOf: `${left} IN (${Array(size).fill(mark).join(', ')})`, values };
  }

  /** The condition that a row is in a list, or may be: what the collation adds is left out later. */
  range(prefix: string, after: string | undefined, reach: Reach): Range {
    const columns = this.columns;
    const pattern = `${prefix.replaceAll(/[|%_]/g, '|$&')}%`;
    const place = after === undefined ? [] : keyPartsOf(after, columns.length);
    if (place === undefined) {
      throw new InvalidKeyError(`Expected to go on after a key of ${columns.length} parts.`);
    }
    if (columns.length === 1) {
      const [key = ''] = columns;
      // MariaDB's LIKE, on an index, ends at U+FFFF: emoji and the like after the prefix are beyond.
      const beyondLike = [`${prefix}\uffff`, `${prefix}${'\u{10ffff}'.repeat(4)}`];
      const onwards = after === undefined ? '' : ` AND ${key} > ?`;
      if (reach === 'beyond no LIKE') {
        return { condition: `${key} LIKE ? ESCAPE '|'${onwards}`, values: [pattern, ...place] };
      }
      const condition = `(${key} LIKE ? ESCAPE '|' OR ${key} > ? AND ${key} < ?)${onwards}`;
      return { condition, values: [pattern, ...beyondLike, ...place] };
    }
    const whole = wholePartsOf(prefix, columns.length); // which an index can find
    const conditions = whole.map((_, index) => `${columns[index]} = ?`);
    conditions.push(`${this.#text} LIKE ? ESCAPE '|'`);
    if (after !== undefined) {
      conditions.push(`(${columns.join(', ')}) > (${place.map(() => '?').join(', ')})`);
    }
    return { condition: conditions.join(' AND '), values: [...whole, pattern, ...place] };
  }
}
