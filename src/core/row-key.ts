/**
 * The text of a row's key: what the log holds, what readers are asked for, and the same in SQL.
 *
 * One column: its text. Several: their texts with `/` between them, in which `%` is `%25` and `/` is
 * `%2F`. Invariant: two rows have two texts, and one row has one text. `007` is not the text of 7,
 * and `%41` is not that of A: whoever asks for them is told that there is no such key.
 */
import type { Collection } from './collection.js';
import { quoteIdentifier } from './table.js';

/** The longest text that the log holds, in characters: `config_changes.row_key`. */
export const MAX_ROW_KEY_CHARS = 768;

/** The key's text, of its parts. */
export function keyTextOf(parts: readonly string[]): string {
  if (parts.length === 1) return parts[0] ?? '';
  return parts.map((part) => part.replaceAll('%', '%25').replaceAll('/', '%2F')).join('/');
}

/** The parts of a key of `count` columns; undefined when no row has this text. */
export function keyPartsOf(text: string, count: number): readonly string[] | undefined {
  if (count === 1) return [text];
  const parts = text.split('/').map(unescaped);
  return parts.length === count && keyTextOf(parts) === text ? parts : undefined;
}

/** What is known of the first columns of all keys that begin with `prefix`. */
export function wholePartsOf(prefix: string, count: number): readonly string[] {
  if (count === 1) return [];
  return prefix.split('/').slice(0, -1).slice(0, count).map(unescaped);
}

function unescaped(part: string): string {
  return part.replaceAll('%2F', '/').replaceAll('%25', '%');
}

/** The key's text as an SQL expression.
 * @param of `NEW`, `OLD` or a table's alias */
export function keyTextSql({ keyColumns }: Collection, of: string): string {
  const texts = keyColumns.map(
    (column) => `CONVERT(${of}.${quoteIdentifier(column)} USING utf8mb4)`,
  );
  if (texts.length === 1) return texts[0] ?? '';
  // By bytes: a collation might take another character for a slash.
  const parts = texts.map(
    (text) => `REPLACE(REPLACE(${text} COLLATE utf8mb4_bin, '%', '%25'), '/', '%2F')`,
  );
  return `CONCAT_WS('/', ${parts.join(', ')})`;
}

/** The value as an SQL expression: a column, or a JSON object of several. */
export function valueSql({ valueColumns }: Collection, of: string): string {
  const columns = valueColumns.map((column) => `${of}.${quoteIdentifier(column)}`);
  if (columns.length === 1) return columns[0] ?? '';
  const members = columns.map(
    (column, index) => `${literal(valueColumns[index] ?? '')}, ${column}`,
  );
  return `JSON_OBJECT(${members.join(', ')})`;
}

/** A text in SQL, the same whatever sql_mode says of backslashes and quotes. */
export function literal(text: string): string {
  if (/^[\w $.-]*$/.test(text)) return `'${text}'`;
  return `CONVERT(0x${Buffer.from(text).toString('hex')} USING utf8mb4)`;
}
