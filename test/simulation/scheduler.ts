/**
 * A scheduler that decides, from a seed, which of the pending steps goes next. Every call of a fake
 * server takes two steps, its request and its reply, so that any interleaving can happen.
 *
 * Each step of a run draws from random numbers of its own: taking an act out of the run (to find the
 * shortest trace that still fails) changes nothing about what the others draw.
 */

/** Seeded random numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    return mixed(state);
  };
}

function mixed(state: number): number {
  let value = Math.imul(state ^ (state >>> 15), state | 1);
  value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
  return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
}

const TAIL_LINES = 20_000;

export class Scheduler {
  readonly #seed: number;
  #state: number;
  #trace: string[] = [];
  readonly #pending: { name: string; go: () => void }[] = [];
  /** Whether to remember what happened: a run that failed is run again with it. */
  tracing = false;
  /** What the simulation itself cannot do; it ends the run. */
  gap: Error | undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.#state = seed >>> 0;
  }

  readonly random = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    return mixed(this.#state);
  };

  /** From here on the random numbers are those of step `number`. */
  begin(number: number): void {
    this.#state =
      (Math.imul(this.#seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(number, 0xc2b2ae35)) >>> 0;
    this.random();
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** A whole number from 0 to below `count`. */
  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  /** One of `values`. */
  one<T>(values: readonly T[]): T {
    const value = values[this.pick(values.length)];
    if (value === undefined) throw new RangeError('Expected values to choose from, got none.');
    return value;
  }

  /** Resolves when the scheduler lets this step go. */
  step(name: string): Promise<void> {
    return new Promise((go) => this.#pending.push({ name, go }));
  }

  note(what: string): void {
    if (!this.tracing) return;
    this.#trace.push(what);
    if (this.#trace.length > 2 * TAIL_LINES) this.#trace = this.#trace.slice(-TAIL_LINES);
  }

  /** Lets one pending step go; what follows from it comes with the microtasks after this. */
  advance(): void {
    const count = this.#pending.length;
    if (count === 0) return;
    const index = this.pick(count);
    const step = this.#pending[index];
    const last = this.#pending.pop();
    if (step === undefined || last === undefined) return;
    if (index < count - 1) this.#pending[index] = last;
    if (this.tracing) this.note(step.name);
    step.go();
  }

  tail(lines = TAIL_LINES): string {
    return this.#trace.slice(-lines).join('\n');
  }
}
