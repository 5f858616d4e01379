/**
 * A witness: what one reader has shown, and what may be asked of its next answer.
 *
 * MySQL-B's history can change under a reader, which finds out at a poll after that. Until then its
 * answers may belong to either history; what was shown of a lost tail says nothing about the new one.
 */
import type { Position } from '../../src/core/position.js';
import type { History } from './history.js';
import { type Guarantee, Violation } from './violation.js';

/** What is known when a read begins. */
export interface Beginning {
  readonly atMs: number;
  readonly applied: number;
  /** The newest change of the key that was shown before. */
  readonly shown: number;
  readonly histories: readonly History[];
  readonly changesOfHistory: number;
}

export interface Claim {
  readonly key: string;
  readonly value: Buffer | undefined;
  readonly asOf: number;
  readonly tier: string;
  /** The answer is to hold all that data center A had committed by then. */
  readonly completeToMs?: number | undefined;
  readonly minVersion?: number | undefined;
}

/** A reader gives up a history that lost its tail at the latest so long after it first polled. */
const GRACE_MS = 3_000;

export class Witness {
  readonly #name: string;
  readonly #source: () => History;
  /** Those to which an answer may belong, the newest last. */
  #histories: readonly History[];
  /** The last version that all of them share, for each change of history. */
  readonly #shared: number[] = [];
  readonly #shown = new Map<string, number>();
  /** Turns that began after the history changed, and were completed. */
  #turns = 0;
  /** When the second of them was: the first may have used what had been read ahead before. */
  #polledAtMs: number | undefined;
  #oldHead = 0;

  constructor(name: string, history: History, source: () => History) {
    this.#name = name;
    this.#histories = [history];
    this.#source = source;
  }

  begin(key: string, applied: number, atMs: number): Beginning {
    return {
      atMs,
      applied,
      shown: this.#shown.get(key) ?? 0,
      histories: this.#histories,
      changesOfHistory: this.#shared.length,
    };
  }

  historyChanged(next: History, oldHead: number): void {
    const shared = Math.min(...this.#histories.map((history) => next.sharedWith(history)));
    this.#shared.push(shared);
    for (const [key, version] of this.#shown) {
      this.#shown.set(key, next.changeAt(key, Math.min(version, shared)));
    }
    this.#histories = [...this.#histories, next];
    this.#turns = 0;
    this.#polledAtMs = undefined;
    this.#oldHead = Math.max(this.#oldHead, oldHead);
  }

  /** The reader said that it gave its history up. */
  rebased(): void {
    this.#histories = this.#histories.slice(-1);
    this.#oldHead = 0;
  }

  /** A turn succeeded. `isCaughtUp`: there was nothing more to take in. */
  turned(startedAtMs: number, nowMs: number, applied: Position, isCaughtUp: boolean): void {
    if (this.#histories.length === 1) return;
    const isGraceOver =
      this.#polledAtMs !== undefined && startedAtMs >= this.#polledAtMs + GRACE_MS;
    this.#turns += 1;
    if (this.#turns > 1) this.#polledAtMs ??= nowMs;
    const history = this.#histories.at(-1);
    if (history?.fingerprintAt(applied.version) !== applied.fingerprint) return;
    if (applied.version >= this.#oldHead || (isGraceOver && isCaughtUp)) this.rebased();
  }

  /** A value held and shown at once.
   * @throws Violation */
  judgeHeld(key: string, value: Buffer | undefined, asOf: number, applied: number): void {
    const [history] = this.#histories;
    if (history === undefined || this.#histories.length > 1 || asOf > history.head) {
      const begun = this.begin(key, applied, 0);
      this.judge({ key, value, asOf, tier: 'local' }, begun);
      return;
    }
    const truth = history.valueAt(key, asOf);
    const isHonest =
      value === undefined ? truth === null : truth === value || truth?.equals(value) === true;
    const shown = history.changeAt(key, asOf);
    const shownBefore = this.#shown.get(key) ?? 0;
    if (!isHonest || asOf < applied || shown < shownBefore) {
      this.judge({ key, value, asOf, tier: 'local' }, this.begin(key, applied, 0));
    }
    if (shown > shownBefore) this.#shown.set(key, shown);
  }

  /** @throws Violation */
  judge(claim: Claim, begun: Beginning): void {
    const { key, asOf } = claim;
    const found = this.#belongsTo(claim, begun);
    const history = found.at(-1) ?? this.#newest;
    const changes = this.#shared.slice(begun.changesOfHistory);
    const shared = Math.min(
      ...changes,
      this.#histories.length > 1 ? (this.#shared.at(-1) ?? 0) : Infinity,
    );
    const shown = history.changeAt(key, asOf);
    const shownBefore = history.changeAt(key, Math.min(begun.shown, shared));
    if (shown < shownBefore) {
      this.#broken('monotonic', claim, `had shown ${shownBefore}, this is ${shown}`);
    }
    if (
      asOf < begun.applied &&
      changes.length === 0 &&
      this.#histories.length === 1 &&
      begun.histories.length === 1
    ) {
      this.#broken('prompt', claim, `was at ${begun.applied} when the read began`);
    }
    const { minVersion = 0, completeToMs } = claim;
    if (asOf < minVersion) {
      this.#broken('read-your-writes', claim, `asked for ${minVersion}`);
    }
    if (completeToMs !== undefined) this.#judgeFreshness(claim, history, completeToMs);
    // Of several histories that it may belong to, the one that says least is remembered.
    const newest = this.#newest;
    const known = found.map((each) => {
      const last = each === newest ? shared : Math.min(shared, newest.sharedWith(each));
      return newest.changeAt(key, Math.min(each.changeAt(key, asOf), last));
    });
    const kept = Math.min(...known);
    if (kept > (this.#shown.get(key) ?? 0)) this.#shown.set(key, kept);
  }

  get #newest(): History {
    const newest = this.#histories.at(-1);
    if (newest === undefined) throw new Error('Expected a history.');
    return newest;
  }

  #judgeFreshness(claim: Claim, history: History, completeToMs: number): void {
    const source = this.#source();
    const shared = source === history ? Number.POSITIVE_INFINITY : source.sharedWith(history);
    const change = source.changeAt(claim.key, source.headBeforeMs(completeToMs));
    if (change > Math.min(claim.asOf, shared)) {
      this.#broken('fresh', claim, `lacks ${change}, committed before ${completeToMs} ms`);
    }
  }

  /** The histories in which the answer is the truth, the newest last. */
  #belongsTo(claim: Claim, begun: Beginning): History[] {
    const { key, value, asOf } = claim;
    const candidates = new Set([...begun.histories, ...this.#histories]);
    const found = [...candidates].filter((history) => {
      const truth = history.valueAt(key, asOf);
      const isTruth = value === undefined ? truth === null : truth?.equals(value) === true;
      return isTruth && asOf <= history.head;
    });
    if (found.length > 0) return found;
    const truths = [...candidates].map((history) => {
      return `${history.valueAt(key, asOf)} (history ${history.number}, head ${history.head})`;
    });
    const isDeleted = [...candidates].every((history) => history.valueAt(key, asOf) === null);
    const guarantee = value !== undefined && isDeleted ? 'no resurrected delete' : 'honest';
    return this.#broken(guarantee, claim, `the truth is ${truths.join(' or ')}`);
  }

  #broken(guarantee: Guarantee, { key, value, asOf, tier }: Claim, why: string): never {
    const what = `${this.#name} ${JSON.stringify(key)} = ${value} as of ${asOf} (${tier})`;
    throw new Violation(guarantee, `${what}, ${why}`);
  }
}
