/**
 * Counts what failed: the windows in which all ordinary reads of an instance failed, from the start
 * of the first to the end of the next that succeeded. Reads that demand a version or a bound are
 * left out: they may fail while the instance is well.
 */
import type { Violation } from './check-violations.js';
import type { ReadRecord } from './history.js';

export interface Unavailable {
  readonly windows: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const MAX_ERRORS_NAMED = 30;

export class Outages {
  readonly #openSinceMs = new Map<string, number>();
  readonly #lastMs = new Map<string, number>();
  readonly #lengthsMs: number[] = [];
  readonly errors: Record<string, number> = {};
  readonly tiers: Record<string, number> = {};

  /** What is wrong with that: a read of a key that the instance held must not fail. */
  note(read: ReadRecord): Violation | undefined {
    const { reader, answer, minVersion, maxStalenessMs, startMs, endMs } = read;
    const isPlain = minVersion === 0 && maxStalenessMs === undefined;
    this.#lastMs.set(reader, endMs);
    if (!('error' in answer)) {
      const tier = answer.stale ? `${answer.tier}, stale` : answer.tier;
      this.tiers[tier] = (this.tiers[tier] ?? 0) + 1;
      this.#close(reader, endMs);
      return undefined;
    }
    const name = answer.error.slice(0, 60);
    if (name in this.errors || Object.keys(this.errors).length < MAX_ERRORS_NAMED) {
      this.errors[name] = (this.errors[name] ?? 0) + 1;
    }
    if (!isPlain) return undefined;
    if (!this.#openSinceMs.has(reader)) this.#openSinceMs.set(reader, startMs);
    if (!read.heldLocally) return undefined;
    const what = `${reader} held ${read.key} locally, and the read failed: ${answer.error}`;
    return { guarantee: 'local', what, facts: { ...read } };
  }

  finish(): Unavailable {
    for (const reader of [...this.#openSinceMs.keys()]) {
      this.#close(reader, this.#lastMs.get(reader) ?? 0);
    }
    const sorted = this.#lengthsMs.sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
    return { windows: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
  }

  #close(reader: string, endMs: number): void {
    const sinceMs = this.#openSinceMs.get(reader);
    if (sinceMs === undefined) return;
    this.#openSinceMs.delete(reader);
    this.#lengthsMs.push(endMs - sinceMs);
  }
}
