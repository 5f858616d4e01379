/**
 * Makes a failing run small: leaves out kinds of acts, then single acts, as long as the same
 * guarantee still breaks. Each step draws random numbers of its own, so what is left out changes
 * nothing about what the other acts draw.
 */
import { type ExploreOptions, explore, Found } from './explore.js';

export interface Shrunk {
  readonly found: Found;
  /** How many acts are left, of how many. */
  readonly acts: number;
  readonly of: number;
}

/** Runs of a smaller world that are tried. */
const MOST_TRIES = 600;

export async function shrink(options: ExploreOptions, first: Found): Promise<Shrunk> {
  return await new Shrinking(options, first).run();
}

class Shrinking {
  #found: Found;
  #tries = 0;
  readonly #outSteps = new Set<number>();

  constructor(
    private readonly options: ExploreOptions,
    private readonly first: Found,
  ) {
    this.#found = first;
  }

  async run(): Promise<Shrunk> {
    for (const kind of new Set(this.first.done.values())) {
      const steps = [...this.#found.done].filter(([, name]) => name === kind).map(([at]) => at);
      await this.#tryWithout(steps);
    }
    for (let size = Math.ceil(this.#found.done.size / 2); size >= 1; ) {
      const isSmaller = await this.#tryChunks(size);
      if (size === 1 && !isSmaller) break;
      size = Math.max(1, Math.min(Math.ceil(size / 2), this.#found.done.size));
      if (this.#tries >= MOST_TRIES) break;
    }
    const traced = await this.#fails([], true);
    const { size } = this.#found.done;
    return { found: traced ?? this.#found, acts: size, of: this.first.done.size };
  }

  async #tryChunks(size: number): Promise<boolean> {
    let isSmaller = false;
    // From the end: what came last is most often not needed.
    let steps = [...this.#found.done.keys()].sort((one, other) => other - one);
    for (let at = 0; at < steps.length && this.#tries < MOST_TRIES; ) {
      if (await this.#tryWithout(steps.slice(at, at + size))) {
        isSmaller = true;
        const left = this.#found.done;
        steps = steps.filter((step) => left.has(step));
      } else at += size;
    }
    return isSmaller;
  }

  async #tryWithout(steps: readonly number[]): Promise<boolean> {
    if (steps.length === 0) return false;
    const found = await this.#fails(steps, false);
    if (found === undefined) return false;
    for (const step of steps) this.#outSteps.add(step);
    this.#found = found;
    return true;
  }

  /** How the run fails without these steps, too; undefined when it does not. */
  async #fails(more: readonly number[], tracing: boolean): Promise<Found | undefined> {
    this.#tries += 1;
    const steps = new Set([...this.#outSteps, ...more]);
    const last = Math.max(0, ...[...this.#found.done.keys()].filter((step) => !steps.has(step)));
    const length = Math.min(this.options.steps, Math.max(last + 1, this.#found.steps));
    try {
      await explore({ ...this.options, steps: length, without: { steps }, tracing });
      return undefined;
    } catch (error) {
      if (!(error instanceof Found)) throw error;
      return error.guarantee === this.first.guarantee ? error : undefined;
    }
  }
}
