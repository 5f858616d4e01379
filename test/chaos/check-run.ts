/** A short run told to the checker by hand, for its tests. */
import { Checker, type CheckerOptions } from './checker.js';
import type { ReadRecord, WriteRecord } from './history.js';

export const STALE_AFTER_MS = 1_000;
export const SLACK_MS = 10;

/** A run with one key unless another is named; a version's value is `v<version>` unless named. */
export class Run {
  readonly checker: Checker;
  #version = 0;

  constructor(options: Partial<CheckerOptions> = {}) {
    this.checker = new Checker({ staleAfterMs: STALE_AFTER_MS, slackMs: SLACK_MS, ...options });
  }

  /** Committed between `sentMs` and `doneMs`, and told. */
  acked(key: string, value: string | null, sentMs: number, doneMs = sentMs + 1): this {
    this.row(key, value);
    return this.write({ key, value, version: this.#version, sentMs, doneMs });
  }

  row(key: string, value: string | null, version = this.#version + 1): this {
    this.#version = version;
    this.checker.truth([{ version, key, value }]);
    return this;
  }

  write(record: Partial<WriteRecord>): this {
    const usual = { key: 'k', value: 'v', version: undefined, sentMs: 0, doneMs: 1 } as const;
    this.checker.write({ ...usual, outcome: 'acked', ...record });
    return this;
  }

  rewrite(lastKept: number, goneMs: number, backMs = goneMs): this {
    this.checker.rewrite({ lastKept, goneMs, backMs });
    this.#version = lastKept;
    return this;
  }

  read(value: string | null, asOf: number, atMs: number, more: Partial<ReadRecord> = {}): this {
    return this.answer({ value, asOf, tier: 'local', stale: false }, atMs, more);
  }

  stale(value: string | null, asOf: number, atMs: number, more: Partial<ReadRecord> = {}): this {
    return this.answer({ value, asOf, tier: 'local', stale: true }, atMs, more);
  }

  error(atMs: number, more: Partial<ReadRecord> = {}): this {
    return this.answer({ error: 'UnavailableError' }, atMs, more);
  }

  answer(answer: ReadRecord['answer'], atMs: number, more: Partial<ReadRecord> = {}): this {
    this.checker.read({
      ...{ reader: 'r1', key: 'k', startMs: atMs, endMs: atMs + 1 },
      ...{ minVersion: 0, appliedBefore: 0, heldLocally: false, answer },
      ...more,
    });
    return this;
  }

  get broken(): string[] {
    return Object.keys(this.checker.finish().byGuarantee);
  }
}

/** The versions 1 to 3 of `k`, acked at 10, 20 and 30 ms. */
export function three(options?: Partial<CheckerOptions>): Run {
  return new Run(options).acked('k', 'v1', 9).acked('k', 'v2', 19).acked('k', 'v3', 29);
}
