/**
 * MySQL as the simulation knows it: a history of changes, and the log and rows as of any version.
 * `SimulatedLog` answers as MysqlLog does; test/contract holds the two together.
 */
import { Entry } from '../../src/core/entry.js';
import { type LogRow, type LogSnapshot, positionOf } from '../../src/core/position.js';
import type { ChangeLog, KeyList } from '../../src/mysql/log.js';
import type { Scheduler } from './scheduler.js';

export const TABLE = 'configs';
const ORIGIN: LogRow = { version: 1, table: '', key: '', changedAt: 'origin' };

export class SimulatedDatabase {
  /** The change with version v is at index v - 1; a deleted row of the log keeps its change. */
  readonly #history: { row: LogRow; value: string | null }[] = [{ row: ORIGIN, value: null }];
  #horizon = 1;
  readonly #holes = new Set<number>();
  #epoch = 0;
  beatAtMs = 0;

  get head(): number {
    return this.#history.length;
  }

  write(key: string, deleted = false): number {
    const version = this.head + 1;
    const value = deleted ? null : `"${key}@${version}.${this.#epoch}"`;
    const changedAt = `${version}.${this.#epoch}`;
    this.#history.push({ row: { version, table: TABLE, key, changedAt }, value });
    return version;
  }

  /** The value of `key` as of `version`; null when it did not exist. */
  truth(key: string, version: number): string | null {
    return this.#lastChange(key, version)?.value ?? null;
  }

  /** The version of the change that made `key` what it was as of `version`; 0 before any. */
  lastChange(key: string, version: number): number {
    return this.#lastChange(key, version)?.row.version ?? 0;
  }

  #lastChange(key: string, version: number) {
    return this.#history.slice(0, version).findLast(({ row }) => row.key === key);
  }

  /** Retention: the log forgets what is before `version`, never its newest row. */
  prune(version: number): void {
    this.#horizon = Math.min(Math.max(this.#horizon, version), this.head);
  }

  /** A row of the log is lost; the change is not. */
  punchHole(version: number): void {
    if (version < this.head) this.#holes.add(version);
  }

  /** A failover that lost the changes after `version`, and a new history from there. */
  rewriteAfter(version: number): void {
    this.#history.length = Math.min(version, this.head);
    this.#epoch += 1;
  }

  /** The log's rows from `from` on, as a replica has them that is at `head`. */
  log(from: number, limit: number, head: number): LogRow[] {
    const oldest = Math.min(this.#horizon, head);
    return this.#history
      .slice(Math.max(from, oldest) - 1, head)
      .map(({ row }) => row)
      .filter(({ version }) => !this.#holes.has(version))
      .slice(0, limit);
  }
}

export class SimulatedLog implements ChangeLog {
  constructor(
    private readonly database: SimulatedDatabase,
    private readonly scheduler: Scheduler,
    private readonly name: string,
    /** How many changes a replica may be behind; each query asks another one. */
    public lag = 0,
  ) {}

  poll(from: number, limit: number): Promise<LogSnapshot> {
    return this.#query('poll', (head) => ({
      head,
      beatAtMs: this.database.beatAtMs,
      rows: this.database.log(from, limit, head),
    }));
  }

  tip(): Promise<LogSnapshot> {
    return this.#query('tip', (head) => ({
      head,
      beatAtMs: this.database.beatAtMs,
      rows: this.database.log(head, 1, head),
    }));
  }

  fetch(keys: readonly string[]): Promise<Map<string, Entry>> {
    return this.#query(`fetch ${keys}`, (head) => {
      return new Map(keys.map((key) => [key, this.#entry(key, head)]));
    });
  }

  sizes(keys: readonly string[]): Promise<Map<string, number>> {
    return this.#query('sizes', () => new Map(keys.map((key) => [key, 1])));
  }

  list(): Promise<KeyList> {
    throw new Error('the simulation does not list');
  }

  #entry(key: string, head: number): Entry {
    const value = this.database.truth(key, head);
    const [row] = this.database.log(head, 1, head);
    const at = row === undefined ? { version: head, fingerprint: '' } : positionOf(row);
    if (value === null) return new Entry(at, 0, null);
    return new Entry(at, this.database.lastChange(key, head), Buffer.from(value));
  }

  async #query<T>(what: string, answer: (head: number) => T): Promise<T> {
    await this.scheduler.step(`${this.name} asks MySQL: ${what}`);
    const behind = this.scheduler.pick(this.lag + 1);
    const result = answer(Math.max(1, this.database.head - behind));
    await this.scheduler.step(`${this.name} hears from MySQL: ${what}`);
    return result;
  }
}
