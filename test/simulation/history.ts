/**
 * A history of data center A: every change, and what each key was as of any version. A failover that
 * loses a tail starts another history, which shares what was before with the one that it leaves.
 */
import { fingerprintOf, type LogRow } from '../../src/core/position.js';

export const TABLE = 'configs';
const ORIGIN = { version: 1, table: '', key: '', changedAt: 'origin' };

export interface Change {
  readonly key: string;
  /** Null deletes the key. */
  readonly value: Buffer | null;
}

/** What a replica that has executed the log up to here answers. */
export interface Moment {
  readonly atMs: number;
  readonly head: number;
  readonly beatAtMs: number;
  /** The beat as the server prints a DATETIME(6). */
  readonly beatAt: string;
}

interface KeyHistory {
  readonly versions: number[];
  readonly values: (Buffer | null)[];
}

const NOTHING: KeyHistory = { versions: [], values: [] };

export class History {
  readonly number: number;
  readonly #rows: LogRow[] = [ORIGIN];
  readonly #committedAtMs: number[] = [0];
  readonly #keys = new Map<string, KeyHistory>();
  /** Keys that the collation calls equal, by what it makes of them. */
  readonly #alike = new Map<string, string[]>();
  readonly #moments: Moment[];
  readonly #holes = new Set<number>();
  #horizon = 1;

  constructor(
    beatAtMs: number,
    readonly collate: (key: string) => string = (key) => key,
    /** The history that this one left, and the last version that they share. */
    readonly origin?: { readonly from: History; readonly version: number },
  ) {
    this.number = origin === undefined ? 0 : origin.from.number + 1;
    if (origin !== undefined) this.#share(origin.from, origin.version);
    this.#moments = [{ atMs: 0, head: this.head, beatAtMs, beatAt: printed(beatAtMs) }];
  }

  get head(): number {
    return this.#rows.length;
  }

  get horizon(): number {
    return this.#horizon;
  }

  get keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** The number of its last moment. */
  get end(): number {
    return this.#moments.length - 1;
  }

  moment(number: number): Moment {
    const moment = this.#moments[number];
    if (moment === undefined) throw new RangeError(`Expected a moment up to ${this.end}.`);
    return moment;
  }

  /** One transaction. Its changes take the next versions, in their order. */
  commit(changes: readonly Change[], nowMs: number): void {
    for (const { key, value } of changes) {
      const version = this.head + 1;
      this.#add(
        { version, table: TABLE, key, changedAt: `${version}.${this.number}` },
        value,
        nowMs,
      );
    }
    const { beatAtMs, beatAt } = this.moment(this.end);
    this.#moments.push({ atMs: nowMs, head: this.head, beatAtMs, beatAt });
  }

  /** A change that fires no trigger: the row is another one, or gone (null), and the log is as it was. */
  goAround(key: string, value: Buffer | null): void {
    const known = this.#keys.get(key);
    if (known !== undefined) known.values[known.values.length - 1] = value;
    else {
      this.#keys.set(key, { versions: [0], values: [value] });
      this.#alike.set(this.collate(key), [...this.alike(key), key]);
    }
  }

  beat(beatAtMs: number, nowMs: number): void {
    this.#moments.push({ atMs: nowMs, head: this.head, beatAtMs, beatAt: printed(beatAtMs) });
  }

  /** Retention: the log forgets what is before `version`, never its newest row. */
  prune(version: number): void {
    this.#horizon = Math.min(Math.max(this.#horizon, version), this.head);
  }

  /** A row of the log is lost; the change is not. */
  punchHole(version: number): void {
    if (version > 1 && version < this.head) this.#holes.add(version);
  }

  /** Another history from `version` on. */
  leaveAt(version: number, beatAtMs: number): History {
    return new History(beatAtMs, this.collate, { from: this, version });
  }

  /** The last version that this history shares with `older`, one that it came from. */
  sharedWith(older: History): number {
    let shared = Math.min(this.head, older.head);
    for (let line: History = this; line !== older; ) {
      if (line.origin === undefined) return 0;
      shared = Math.min(shared, line.origin.version);
      line = line.origin.from;
    }
    return shared;
  }

  /** The value of `key` as of `version`; null when it did not exist. */
  valueAt(key: string, version: number): Buffer | null {
    const { versions, values } = this.#keys.get(key) ?? NOTHING;
    return values[indexAt(versions, version)] ?? null;
  }

  /** The version of the change that made `key` what it was as of `version`; 0 before any. */
  changeAt(key: string, version: number): number {
    const { versions } = this.#keys.get(key) ?? NOTHING;
    return versions[indexAt(versions, version)] ?? 0;
  }

  /** Those that the collation calls equal to `key`, itself too. */
  alike(key: string): readonly string[] {
    return this.#alike.get(this.collate(key)) ?? [];
  }

  /** The head of what was committed before then. A heartbeat and a commit may share a millisecond. */
  headBeforeMs(ms: number): number {
    return indexAt(this.#committedAtMs, ms - 1) + 1;
  }

  keyAt(version: number): string | undefined {
    return this.#rows[version - 1]?.key;
  }

  fingerprintAt(version: number): string | undefined {
    const row = this.#rows[version - 1];
    return row && fingerprintOf(row);
  }

  /** The log's rows from `from` on, as a replica has them that is at `head`. */
  log(from: number, limit: number, head: number): LogRow[] {
    const found: LogRow[] = [];
    const start = Math.max(from, Math.min(this.#horizon, head));
    for (let version = start; version <= head && found.length < limit; version++) {
      const row = this.#rows[version - 1];
      if (row !== undefined && !this.#holes.has(version)) found.push(row);
    }
    return found;
  }

  #add(row: LogRow, value: Buffer | null, nowMs: number): void {
    this.#rows.push(row);
    this.#committedAtMs.push(nowMs);
    let history = this.#keys.get(row.key);
    if (history === undefined) {
      history = { versions: [], values: [] };
      this.#keys.set(row.key, history);
      const collated = this.collate(row.key);
      this.#alike.set(collated, [...(this.#alike.get(collated) ?? []), row.key]);
    }
    history.versions.push(row.version);
    history.values.push(value);
  }

  #share(from: History, version: number): void {
    for (let at = 2; at <= version; at++) {
      const row = from.#rows[at - 1];
      if (row === undefined) break;
      this.#add(row, from.valueAt(row.key, at), from.#committedAtMs[at - 1] ?? 0);
    }
    for (const hole of from.#holes) if (hole < version) this.#holes.add(hole);
    this.#horizon = Math.min(from.#horizon, version);
  }
}

/** The last index whose value is at most `limit`; -1 when there is none. `values` are ascending. */
function indexAt(values: readonly number[], limit: number): number {
  const last = values.length - 1;
  if (last < 0 || (values[last] ?? 0) <= limit) return last;
  let [low, high] = [0, last]; // what is below low is at most limit, what is from high on is not
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** As the server prints a DATETIME(6). */
export function printed(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '000');
}
