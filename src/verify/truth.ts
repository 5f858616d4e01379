/**
 * What MySQL-B holds, page by page: each page with its as-of, the head of the snapshot that it was
 * read from. Only one page is in memory at a time.
 */
import type { Entry } from '../core/entry.js';
import { keyFault } from '../core/key.js';
import { fingerprintOf, type Position } from '../core/position.js';
import type { MysqlLog } from '../mysql/log.js';

/** Keys in an order, each with what it was at `asOf`: a value, or an absence. */
export interface TruthPage {
  readonly asOf: number;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** Few enough for the URL of one request, and for one statement. */
const PAGE_KEYS = 200;
const PAGE_KEY_BYTES = 6_000;
const PAGE_BYTES = 4 * 1024 * 1024;
const LOG_ROWS = 500;
/** Of the log, that are looked through for one difference. */
const MOST_LOG_PAGES = 20;

export class Truth {
  /** Keys that no reader can be asked for. */
  unreadable = 0;

  constructor(
    private readonly log: MysqlLog,
    private readonly table: string,
  ) {}

  /** All rows of the table, in its own order. */
  async *rows(): AsyncGenerator<TruthPage> {
    let after: string | undefined;
    do {
      const list = await this.log.list('', after, PAGE_KEYS);
      const keys = list.keys.slice(0, roomFor(list.keys));
      const readable = keys.map(({ key }) => key).filter((key) => keyFault(key) === undefined);
      this.unreadable += keys.length - readable.length;
      if (readable.length > 0) yield await this.page(readable);
      after = keys.length < list.keys.length ? keys.at(-1)?.key : list.next;
    } while (after !== undefined);
  }

  /** Those keys that the log names and that do not exist.
   * @param onRows takes how many rows of the log were looked through */
  async *absencesInLog(onRows: (rows: number) => void): AsyncGenerator<TruthPage> {
    for (let version = 0; ; ) {
      const { rows } = await this.log.poll(version, LOG_ROWS);
      const named = rows.filter((row) => row.table === this.table).map((row) => row.key);
      yield* this.absent(named);
      onRows(rows.length);
      if (rows.length < LOG_ROWS) return;
      version = (rows.at(-1)?.version ?? 0) + 1;
    }
  }

  /** Those of `keys` that do not exist. */
  async *absent(keys: readonly string[]): AsyncGenerator<TruthPage> {
    const readable = [...new Set(keys)].filter((key) => keyFault(key) === undefined);
    let taken = 0;
    while (taken < readable.length) {
      const rest = readable.slice(taken, taken + PAGE_KEYS).map((key) => ({ key, bytes: 0 }));
      const some = rest.slice(0, roomFor(rest)).map(({ key }) => key);
      taken += some.length;
      const { asOf, entries } = await this.page(some);
      const absences = [...entries].filter(([, entry]) => entry.value === null);
      if (absences.length > 0) yield { asOf, entries: new Map(absences) };
    }
  }

  async page(keys: readonly string[]): Promise<TruthPage> {
    const entries = await this.log.fetch(keys);
    const [first] = entries.values();
    return { asOf: first?.asOf ?? 0, entries };
  }

  /** Whether `key` changed after `from` and up to `to`, as far as the log tells. `foreign`: the log
   * does not have the row at which `from` stands. */
  async changedBetween(
    key: string,
    from: Position,
    to: number,
  ): Promise<'no' | 'perhaps' | 'foreign'> {
    let next = from.version;
    for (let pages = 0; pages < MOST_LOG_PAGES; pages++) {
      const { rows } = await this.log.poll(next, LOG_ROWS);
      if (pages === 0 && from.fingerprint !== '') {
        const own = rows[0];
        if (own?.version !== from.version || fingerprintOf(own) !== from.fingerprint) {
          return 'foreign';
        }
      }
      for (const row of rows) {
        if (row.version > to) return 'no';
        if (row.version > from.version && row.key === key) return 'perhaps';
        if (row.version > next) return 'perhaps'; // a hole, or pruned
        next = row.version + 1;
      }
      if (next > to) return 'no';
      if (rows.length === 0) return 'perhaps';
    }
    return 'perhaps';
  }
}

/** How many of `keys` are asked for at once: at least one. */
function roomFor(keys: readonly { readonly key: string; readonly bytes: number }[]): number {
  let [values, names] = [0, 0];
  const end = keys.findIndex(({ key, bytes }, index) => {
    values += bytes;
    names += encodeURIComponent(key.toWellFormed()).length + 1;
    return index > 0 && (values > PAGE_BYTES || names > PAGE_KEY_BYTES);
  });
  return end === -1 ? keys.length : end;
}
