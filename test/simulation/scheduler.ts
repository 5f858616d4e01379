/**
 * A scheduler that decides, from a seed, which of the pending steps goes next. Every call of a fake
 * server takes two steps, its request and its reply, so that any interleaving can happen.
 */

/** Seeded random numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Scheduler {
  readonly random: () => number;
  readonly trace: string[] = [];
  readonly #pending: { name: string; go: () => void }[] = [];

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** A whole number from 0 to below `count`. */
  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  /** Resolves when the scheduler lets this step go. */
  step(name: string): Promise<void> {
    return new Promise((go) => this.#pending.push({ name, go }));
  }

  note(what: string): void {
    this.trace.push(what);
  }

  /** Lets one pending step go, and waits until all that follows from it at once is done. */
  async advance(): Promise<void> {
    const [step] = this.#pending.splice(this.pick(this.#pending.length), 1);
    if (step !== undefined) {
      this.note(step.name);
      step.go();
    }
    await settle();
  }

  /** Lets all pending steps go, and those that they bring about. */
  async drain(): Promise<void> {
    await settle();
    for (let steps = 0; this.pending > 0; steps++) {
      if (steps > 10_000) throw new Error(`Expected the steps to come to an end:\n${this.tail()}`);
      await this.advance();
    }
  }

  tail(lines = 60): string {
    return this.trace.slice(-lines).join('\n');
  }
}

/** Until promise reactions have run out. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
