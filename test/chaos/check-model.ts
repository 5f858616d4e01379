/**
 * Histories that a correct system could have: a log in A, a replica that lags, readers that poll,
 * writes without answers, failovers that lose a tail. Made from a list of steps, so that a history
 * that the checker gets wrong can be made smaller.
 *
 * It promises no more than Tidemark does: an answer is the truth at any version that is not below
 * what the instance had applied, nor below the state of the key that it showed before.
 */
import type { Checker } from './checker.js';
import type { ReadRecord, RewriteRecord, TruthRow, WriteRecord } from './history.js';

/** What is done, and three numbers from 0 to 999 to choose how. */
export type Step = readonly [act: number, a: number, b: number, c: number];

export type Told =
  | { readonly kind: 'write'; readonly atMs: number; readonly record: WriteRecord }
  | { readonly kind: 'truth'; readonly atMs: number; readonly record: TruthRow }
  | { readonly kind: 'rewrite'; readonly atMs: number; readonly record: RewriteRecord }
  | { readonly kind: 'read'; readonly atMs: number; readonly record: ReadRecord };

export const STALE_AFTER_MS = 100;
export const SLACK_MS = 5;

interface Row extends TruthRow {
  readonly atMs: number;
}

interface Beat {
  readonly atMs: number;
  readonly head: number;
}

interface History {
  readonly rows: Row[];
  readonly beats: Beat[];
}

interface Instance {
  readonly name: string;
  /** The index of the history that it follows. */
  epoch: number;
  applied: number;
  /** It knows all that A had committed by then. */
  completeMs: number;
  /** Per key, the version of the newest state that it showed. */
  shown: Map<string, number>;
}

interface Flight {
  readonly on: Instance;
  readonly key: string;
  readonly startMs: number;
  readonly epoch: number;
  readonly applied: number;
  readonly completeMs: number;
  readonly minVersion: number;
  readonly shown: number;
}

const KEYS = ['a', 'b', 'c'];

export class Model {
  readonly told: Told[] = [];
  readonly #histories: History[] = [{ rows: [], beats: [] }];
  readonly #instances: Instance[];
  readonly #flights: Flight[] = [];
  #nowMs = 1_000;
  #marks = 0;
  #replicated = 0;
  /** Where B's server of each history began. */
  readonly #resumedAt: number[] = [0];
  /** B is gone until then, during a failover. */
  #backMs = 0;
  #toldTruthMs = 0;

  constructor(readonly untoldTail = false) {
    this.#instances = ['r1', 'r2'].map((name) => ({
      ...{ name, epoch: 0, applied: 0, completeMs: this.#nowMs, shown: new Map() },
    }));
  }

  /** The history as it would be told: each record when it reaches the parent. */
  static run(steps: readonly Step[], untoldTail = false): Told[] {
    const model = new Model(untoldTail);
    for (const step of steps) model.step(step);
    while (model.#flights.length > 0) model.#land(0, 500, 500);
    return model.told.sort((a, b) => a.atMs - b.atMs);
  }

  step([act, a, b, c]: Step): void {
    this.#nowMs += 1 + (c % 20);
    if (act < 250) this.#write(a, b, c);
    else if (act < 350) this.#replicate(a);
    else if (act < 400) this.#beat();
    else if (act < 550) this.#poll(a, b);
    else if (act < 750) this.#takeOff(a, b, c);
    else if (act < 950) this.#land(a, b, c);
    else if (act < 970) this.#nowMs += a;
    else if (act < 985) this.#failOver(a, b);
  }

  get #latest(): number {
    return this.#histories.length - 1;
  }

  #history(epoch: number): History {
    const history = this.#histories[epoch];
    if (history === undefined) throw new RangeError(`Expected a history, got ${epoch}.`);
    return history;
  }

  #write(a: number, b: number, c: number): void {
    if (this.#nowMs < this.#backMs) return;
    const key = KEYS[a % KEYS.length] ?? '';
    const value = b % 4 === 0 ? null : `v${++this.#marks}`;
    const sentMs = this.#nowMs - (b % 10);
    const isUnknown = c % 7 === 0;
    // Done later than it is answered, if ever: nobody knows when.
    if (isUnknown && c % 2 === 0) {
      this.#tellWrite({
        key,
        value,
        outcome: 'unknown',
        version: undefined,
        sentMs,
        doneMs: sentMs,
      });
      if (c % 4 === 0) return;
    }
    const { rows } = this.#history(this.#latest);
    const version = rows.length + 1;
    const row = { version, key, value, atMs: this.#nowMs };
    rows.push(row);
    this.#toldTruthMs = Math.max(this.#toldTruthMs, this.#nowMs + (c % 60));
    this.told.push({ kind: 'truth', atMs: this.#toldTruthMs, record: { version, key, value } });
    const doneMs = this.#nowMs + (c % 30);
    if (isUnknown && c % 2 === 0) return;
    const outcome = isUnknown ? 'unknown' : 'acked';
    this.#tellWrite({
      key,
      value,
      outcome,
      version: isUnknown ? undefined : version,
      sentMs,
      doneMs,
    });
  }

  #tellWrite(record: WriteRecord): void {
    this.told.push({ kind: 'write', atMs: record.doneMs, record });
  }

  #beat(): void {
    if (this.#nowMs < this.#backMs) return;
    const { rows, beats } = this.#history(this.#latest);
    beats.push({ atMs: this.#nowMs, head: rows.length });
  }

  #replicate(a: number): void {
    if (this.#nowMs < this.#backMs) return;
    const behind = this.#history(this.#latest).rows.length - this.#replicated;
    this.#replicated += a % 3 === 0 ? Math.ceil(behind / 2) : behind;
  }

  #poll(a: number, b: number): void {
    const instance = this.#instances[a % this.#instances.length];
    if (instance === undefined || this.#nowMs < this.#backMs) return;
    if (instance.epoch < this.#latest) {
      instance.epoch = this.#latest;
      instance.applied = this.#replicated;
      instance.shown = new Map();
      instance.completeMs = Number.NEGATIVE_INFINITY;
    }
    const behind = this.#replicated - instance.applied;
    instance.applied += b % 3 === 0 ? Math.ceil(behind / 2) : behind;
    for (const beat of this.#history(this.#latest).beats) {
      if (beat.head <= instance.applied) {
        instance.completeMs = Math.max(instance.completeMs, beat.atMs);
      }
    }
  }

  #takeOff(a: number, b: number, c: number): void {
    const on = this.#instances[a % this.#instances.length];
    const key = [...KEYS, 'never'][b % 4] ?? '';
    if (on === undefined) return;
    const { epoch, applied, completeMs } = on;
    const minVersion = c % 5 === 0 ? applied : 0;
    const shown = on.shown.get(key) ?? 0;
    const startMs = this.#nowMs;
    this.#flights.push({ on, key, startMs, epoch, applied, completeMs, minVersion, shown });
  }

  /** A read is answered from the history that its instance follows by then. */
  #land(a: number, b: number, c: number): void {
    const [flight] = this.#flights.splice(a % Math.max(1, this.#flights.length), 1);
    if (flight === undefined) return;
    const { on, key, startMs, minVersion } = flight;
    const { rows } = this.#history(on.epoch);
    const isOld = on.epoch < this.#latest;
    const crossed = on.epoch > flight.epoch;
    const reached = isOld ? Math.max(on.applied, ...on.shown.values()) : this.#replicated;
    const floor = crossed
      ? (this.#resumedAt[on.epoch] ?? 0)
      : Math.max(flight.applied, flight.shown);
    const least = Math.max(floor, minVersion);
    const asOf = least + (b % (Math.max(0, reached - least) + 1));
    const endMs = this.#nowMs;
    const staleMs = Math.min(flight.completeMs, on.completeMs) + STALE_AFTER_MS;
    const record = {
      ...{ reader: on.name, key, startMs, endMs, minVersion },
      ...{ appliedBefore: flight.applied, heldLocally: false },
    };
    const atMs = endMs + 30;
    if (asOf > reached || c % 50 === 0) {
      this.told.push({ kind: 'read', atMs, record: { ...record, answer: { error: 'late' } } });
      return;
    }
    const row = rows.slice(0, asOf).findLast((one) => one.key === key);
    const value = row?.value ?? null;
    on.shown.set(key, Math.max(on.shown.get(key) ?? 0, row?.version ?? 0));
    const answer = { value, asOf, tier: 'local', stale: endMs > staleMs } as const;
    this.told.push({ kind: 'read', atMs, record: { ...record, answer } });
  }

  #failOver(a: number, b: number): void {
    if (this.#nowMs < this.#backMs || this.#histories.length > 3) return;
    const { rows, beats } = this.#history(this.#latest);
    const lastKept = Math.max(0, rows.length - (a % 5));
    const goneMs = this.#nowMs;
    const backMs = goneMs + (b % 50);
    this.#histories.push({
      rows: rows.slice(0, lastKept),
      beats: beats.filter(({ head }) => head <= lastKept).slice(0, -1),
    });
    this.#replicated = Math.max(0, lastKept - (b % 2));
    this.#resumedAt.push(this.#replicated);
    this.#backMs = backMs + 1;
    if (this.untoldTail) this.#forgetTail(lastKept, rows.length - (b % 2));
    this.#toldTruthMs = Math.max(this.#toldTruthMs, backMs + (b % 40));
    const record = { lastKept, goneMs, backMs, resumesAt: this.#replicated };
    this.told.push({ kind: 'rewrite', atMs: this.#toldTruthMs, record });
    this.#toldTruthMs += 1;
  }

  /** The run did not see the end of the log that was lost. */
  #forgetTail(lastKept: number, toldTo: number): void {
    const newest = this.told.findLastIndex(({ kind }) => kind === 'rewrite');
    const kept = this.told.filter(
      ({ kind, record }, index) =>
        index < newest ||
        kind !== 'truth' ||
        !('version' in record) ||
        (record.version ?? 0) <= Math.max(lastKept, toldTo),
    );
    this.told.splice(0, this.told.length, ...kept);
  }
}

export function tell(checker: Checker, { kind, record }: Told): void {
  if (kind === 'write') checker.write(record);
  else if (kind === 'truth') checker.truth([record]);
  else if (kind === 'rewrite') checker.rewrite(record);
  else checker.read(record);
}
