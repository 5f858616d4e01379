/**
 * The checker: knows what each change made of its key, and holds every answer against that.
 *
 * Guarantees, each named in what it reports: an answer is the truth as of the version it claims
 * (honest), not older than one that the same reader gave before (monotonic) nor than the position
 * the reader had reached when the read began (prompt), and there is an answer (available).
 */
import type { Reader, ReadOptions } from '../../src/index.js';

export interface Answer {
  readonly value: string | undefined;
  readonly asOf: number;
  readonly tier: string;
}

/** What the checker can ask: a reader in this process, or one in another. */
export interface Readable {
  readonly name: string;
  get(key: string, options?: ReadOptions): Promise<Answer>;
  /** The position it has reached, where that can be known without asking it. */
  applied?(): number;
}

interface Change {
  readonly version: number;
  readonly value: string | undefined;
}

const NEVER: Change = { version: 0, value: undefined };

export function readable(name: string, reader: Reader): Readable {
  return {
    name,
    applied: () => reader.status().applied,
    async get(key, options) {
      const { value, asOf, tier } = await reader.get(key, options);
      return { value: value?.toString(), asOf, tier };
    },
  };
}

export class Checker {
  readonly violations: string[] = [];
  reads = 0;
  readonly #history = new Map<string, Change[]>();
  /** Per reader and key, the version of the newest change that it has shown. */
  #shown = new Map<string, number>();

  /** Says what a change makes of its key. To be called before the change is committed, in order. */
  record(key: string, version: number, value: string | undefined): void {
    const changes = this.#history.get(key) ?? [];
    changes.push({ version, value });
    this.#history.set(key, changes);
  }

  /** What `key` is as of `version`. */
  truth(key: string, version = Number.POSITIVE_INFINITY): Change {
    const changes = this.#history.get(key) ?? [];
    return changes.findLast((change) => change.version <= version) ?? NEVER;
  }

  /** History after `version` is no more: what was shown of it says nothing about what comes. */
  rewriteAfter(version: number): void {
    for (const [key, changes] of this.#history) {
      this.#history.set(
        key,
        changes.filter((change) => change.version <= version),
      );
    }
    this.#shown = new Map();
  }

  /** Reads once, and judges the answer. Never fails: see `violations`. */
  async read(from: Readable, key: string): Promise<void> {
    const slot = `${from.name}\0${key}`;
    const shownBefore = this.#shown.get(slot) ?? 0;
    const appliedBefore = from.applied?.() ?? 0;
    const who = `${from.name} ${JSON.stringify(key)}`;
    try {
      const { value, asOf, tier } = await from.get(key);
      const truth = this.truth(key, asOf);
      const what = `${who} = ${value} as of ${asOf} (${tier})`;
      if (value !== truth.value) this.#broken(`honest: ${what}, the truth is ${truth.value}`);
      if (asOf < appliedBefore) this.#broken(`prompt: ${what}, was at ${appliedBefore}`);
      if (truth.version < shownBefore) this.#broken(`monotonic: ${what}, showed ${shownBefore}`);
      this.#shown.set(slot, Math.max(truth.version, this.#shown.get(slot) ?? 0));
    } catch (error) {
      this.#broken(`available: ${who}: ${error}`);
    }
    this.reads += 1;
  }

  #broken(what: string): void {
    if (this.violations.length < 20) this.violations.push(what);
  }
}
