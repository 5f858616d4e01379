/**
 * What an early wake brings along: a poll of the log from the change before the head on, and the value
 * that the newest change has left, so that who is woken by one change has all of it.
 *
 * Invariant: it is ONE statement, hence one snapshot, as every poll and every load is. Nothing of the
 * table is read for a change that was seen before.
 */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Collection } from '../core/collection.js';
import { Entry } from '../core/entry.js';
import { type LogRow, type LogSnapshot, positionOf } from '../core/position.js';
import { keyTextSql, literal, valueSql } from '../core/row-key.js';
import { quoteIdentifier } from '../core/table.js';
import { contentSql, SNAPSHOT, toLogRow, toSnapshot, toVersion } from './log.js';

export interface Glance {
  readonly snapshot: LogSnapshot;
  /** When MySQL-B was asked, by the monotonic clock; its own clock in the snapshot is of then. */
  readonly askedAtMs: number;
  /** What the newest change has made of its key; undefined when that was not read. */
  readonly newest: { readonly key: string; readonly entry: Entry } | undefined;
}

/** The change before the head. */
const BEFORE = `p.version AS before_version, p.table_name AS before_table, p.row_key AS before_key,
  CAST(p.changed_at AS CHAR) AS before_at`;
/** Of a larger value only the size is read: whoever wants it asks. */
const MOST_BYTES = 64 * 1024;

/** Where a change's value is found. */
interface Values {
  readonly table: string;
  readonly collation: string;
  readonly columns: string;
  readonly join: string;
}

export class GlanceStatement {
  readonly sql: string;
  readonly #values: Values | undefined;

  private constructor(values?: Values) {
    this.#values = values;
    // The change before the head beside it, since MariaDB looks for two rows by reading all of them.
    this.sql = `SELECT ${[SNAPSHOT, BEFORE, values?.columns ?? []].flat().join(', ')}
      FROM config_stream s LEFT JOIN config_changes c ON c.version = s.head
      LEFT JOIN config_changes p ON p.version = GREATEST(s.head, 1) - 1
      ${values?.join ?? ''} WHERE s.id = 1`;
  }

  /** With the values of a collection, when its key is one column of text; else of the log alone. */
  static async prepare(connection: Connection, collection?: Collection): Promise<GlanceStatement> {
    const [column, ...more] = collection?.keyColumns ?? [];
    if (collection === undefined || column === undefined || more.length > 0) {
      return new GlanceStatement();
    }
    const [[found]] = await connection.query<RowDataPacket[]>(
      `SELECT character_set_name AS charset, collation_name AS collation
       FROM information_schema.columns
       WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?`,
      [collection.table, column],
    );
    if (typeof found?.collation !== 'string') return new GlanceStatement();
    const { charset, collation } = found;
    const { table, versionColumn } = collection;
    const [key, value] = [`t.${quoteIdentifier(column)}`, valueSql(collection, 't')];
    // The log's text in the key's own collation, which is the index's.
    const named = `CONVERT(c.row_key USING ${charset}) COLLATE ${collation}`;
    return new GlanceStatement({
      table,
      collation,
      columns: `${keyTextSql(collection, 't')} AS own_key, COLLATION(${key}) AS collation,
        t.${quoteIdentifier(versionColumn)} AS own_version, LENGTH(${value}) AS bytes,
        IF(LENGTH(${value}) <= ${MOST_BYTES}, ${contentSql(value)}, NULL) AS content`,
      join: `LEFT JOIN ${quoteIdentifier(table)} t ON c.version > ?
        AND c.table_name = ${literal(table)} AND ${key} = ${named}`,
    });
  }

  /** @param seen the version after which a change's value is wanted */
  parameters(seen: number): number[] {
    return this.#values === undefined ? [] : [seen];
  }

  /** @param asked when it was sent, by the monotonic clock and by MySQL-B's, and what was seen then
   * @throws Error when the key's collation is another by now: no index would serve any more */
  read(
    rows: RowDataPacket[],
    asked: { readonly atMs: number; readonly clockMs: number; readonly seen: number },
  ): Glance {
    const { head, beatAtMs, rows: changes } = toSnapshot(rows);
    const [change] = changes;
    // The column's collation may find 'E' for 'e': only the very key is an answer.
    const row = rows.find(({ row_key, own_key }) => row_key === own_key) ?? rows[0];
    const logRows = row && change ? [...beforeIn(row), change] : [];
    const snapshot = { head, beatAtMs, clockMs: asked.clockMs, rows: logRows };
    const newest = row && change && head > asked.seen ? this.#newest(row, change) : undefined;
    return { snapshot, askedAtMs: asked.atMs, newest };
  }

  #newest(row: RowDataPacket, change: LogRow): Glance['newest'] {
    if (change.table !== this.#values?.table) return undefined;
    if (row.collation !== null && row.collation !== this.#values.collation) {
      throw new Error('the collation of the key has changed');
    }
    const [at, key] = [positionOf(change), change.key];
    if (row.own_key !== key || row.bytes === null) return { key, entry: new Entry(at, 0, null) };
    if (row.content === null) return undefined;
    return { key, entry: new Entry(at, toVersion(row.own_version), row.content) };
  }
}

/** The change before the head, unless it was pruned. */
function beforeIn(row: RowDataPacket): LogRow[] {
  const { before_version: version, before_table, before_key, before_at } = row;
  if (version === null) return [];
  const log = { version, table_name: before_table, row_key: before_key, changed_at: before_at };
  return [toLogRow({ ...row, ...log })];
}
