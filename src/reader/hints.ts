/**
 * Hints: someone says that a version exists, and the reader polls at once, and then quickly, until
 * it has it. A hint is not believed and decides nothing: a lost one costs the wait for the next
 * poll, a wrong one a bounded number of polls.
 *
 * Invariant: however many hints come, true or not, they bring polls forward at most once in
 * `EVERY_MS`, each time with the few quick polls that follow, for `PATIENCE_MS` at the longest.
 */

/** `known`: applied already. `followed`: polls come quickly. `absurd`: too far ahead to be true. */
export const HINT_OUTCOMES = ['known', 'followed', 'absurd'] as const;
export type HintOutcome = (typeof HINT_OUTCOMES)[number];

export interface HintsOptions {
  readonly applied: () => number;
  /** The newest version seen on MySQL-B. */
  readonly head: () => number;
  /** Polls at once and then quickly, until the reader is at `version`, so many ms at the longest. */
  readonly hurry: (version: number, patienceMs: number) => void;
  /** Passes a hint on to the other readers. One that came from them is not: it would go round. */
  readonly tell: (version: number) => void;
}

const EVERY_MS = 100;
const PATIENCE_MS = 10_000;
/** Who is so far behind is not helped by a quicker poll. */
const MAX_AHEAD = 1_000_000;

export class Hints {
  readonly #options: HintsOptions;
  /** The newest version hinted at since the last hurry. */
  #pending = 0;
  /** The newest of them that did not come from another reader. */
  #untold = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HintsOptions) {
    this.#options = options;
  }

  take(version: number, from: 'caller' | 'peer'): HintOutcome {
    const { applied, head } = this.#options;
    if (!(version <= Math.max(applied(), head()) + MAX_AHEAD)) return 'absurd';
    const isKnown = version <= applied();
    if (!isKnown) this.#pending = Math.max(this.#pending, version);
    if (from === 'caller') this.#untold = Math.max(this.#untold, version);
    if (this.#timer === undefined) this.#hurry();
    return isKnown ? 'known' : 'followed';
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#pending = 0;
    this.#untold = 0;
  }

  #hurry(): void {
    const [version, untold] = [this.#pending, this.#untold];
    const { applied, hurry, tell } = this.#options;
    this.#pending = 0;
    this.#untold = 0;
    this.#timer = undefined;
    if (version === 0 && untold === 0) return;
    this.#timer = setTimeout(() => this.#hurry(), EVERY_MS);
    if (untold > 0) tell(untold);
    if (version > applied()) hurry(version, PATIENCE_MS);
  }
}
