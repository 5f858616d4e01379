/** What the checker found: violations, each named after the guarantee that it breaks. */

export type Guarantee =
  | 'real' // a value that nobody wrote, or a torn one
  | 'honest' // not the truth at the as-of that came with it
  | 'resurrected' // a value that had been deleted
  | 'monotonic' // older than what the same instance showed before
  | 'prompt' // as-of below what the instance had applied before
  | 'fresh' // not flagged stale, or within a demanded bound, and too old
  | 'own-writes' // below the version that the caller demanded
  | 'marks' // an entry of Redis that is not the truth at its mark
  | 'converged' // a place that does not say the truth after the end
  | 'local' // a read of a key that is held locally failed
  | 'lost' // an acked write that the log does not have
  | 'ordered' // versions not in the order of commits, or a hole in the log
  | 'refused' // a write that was refused, and happened
  | 'audited' // an audit that flags an entry, though nothing goes around the log
  | 'bounded'; // memory, fills in flight or connections that grow

export interface Violation {
  readonly guarantee: Guarantee;
  /** One sentence. */
  readonly what: string;
  /** All that the checker knows about it: plain JSON. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The first ones are kept, all are counted. */
export class Violations {
  readonly first: Violation[] = [];
  readonly byGuarantee: Record<string, number> = {};
  count = 0;

  add(violation: Violation): void {
    this.count += 1;
    const { guarantee } = violation;
    this.byGuarantee[guarantee] = (this.byGuarantee[guarantee] ?? 0) + 1;
    if (this.first.length < 50) this.first.push(violation);
  }
}

interface Suspect {
  readonly untilMs: number;
  readonly judge: () => readonly Violation[];
}

const MAX_SUSPECTS = 10_000;

/**
 * What looks like a violation, until it is certain: the records that explain it (a failover, a
 * write) may be told a moment later. It is judged again before it counts.
 */
export class Suspects {
  readonly #violations: Violations;
  readonly #holdMs: number;
  readonly #suspects: Suspect[] = [];
  #nowMs = Number.NEGATIVE_INFINITY;

  constructor(violations: Violations, holdMs: number) {
    this.#violations = violations;
    this.#holdMs = holdMs;
  }

  get size(): number {
    return this.#suspects.length;
  }

  /** `judge` says what is wrong as far as is known then; nothing acquits. */
  hold(atMs: number, judge: () => readonly Violation[]): void {
    this.#suspects.push({ untilMs: atMs + this.#holdMs, judge });
    if (this.#suspects.length > MAX_SUSPECTS) this.#convict(this.#suspects.shift());
  }

  /** The newest time that any record has told. */
  tick(nowMs: number): void {
    if (nowMs <= this.#nowMs) return;
    this.#nowMs = nowMs;
    while ((this.#suspects[0]?.untilMs ?? Number.POSITIVE_INFINITY) < nowMs) {
      this.#convict(this.#suspects.shift());
    }
  }

  /** Judges all that is still held. */
  finish(): void {
    for (const suspect of this.#suspects.splice(0)) this.#convict(suspect);
  }

  #convict(suspect: Suspect | undefined): void {
    for (const violation of suspect?.judge() ?? []) this.#violations.add(violation);
  }
}
