/** One run: a seed chooses what happens, writes, reads and faults among the pending steps. */
import { type Act, acts } from './acts.js';
import { converge } from './converge.js';
import { drive } from './drive.js';
import type { Setting } from './setting.js';
import { Violation } from './violation.js';
import { World } from './world.js';

/** What to leave out of a run, to see whether it still fails. */
export interface Without {
  readonly acts?: ReadonlySet<string>;
  readonly steps?: ReadonlySet<number>;
}

export interface ExploreOptions {
  readonly seed: number;
  readonly steps: number;
  readonly setting: Setting;
  readonly signal?: AbortSignal | undefined;
  readonly editScript?: (source: string) => string;
  readonly without?: Without | undefined;
  readonly tracing?: boolean;
}

export interface Explored {
  readonly steps: number;
  /** Answers that were checked, those that were held and looked at included. */
  readonly reads: number;
  /** Entries that audits compared with MySQL-B. */
  readonly checked: number;
  readonly writes: number;
  readonly acknowledged: number;
  /** How often each kind of fault happened. */
  readonly faults: Record<string, number>;
  /** All kinds of acts that happened, those of faults too. */
  readonly happened: ReadonlySet<string>;
}

/** A violation, and where it came to light. */
export class Found extends Violation {
  constructor(
    violation: Violation,
    /** The acts that were done, by the step in which they were. */
    readonly done: ReadonlyMap<number, string>,
    /** How many steps the run took. */
    readonly steps: number,
    readonly trace: string,
  ) {
    super(violation.guarantee, violation.message.slice(violation.guarantee.length + 2));
  }
}

/** Judging Redis takes as long as many steps. */
const STEPS_PER_MARKS = 16;

/** @throws Found */
export async function explore(options: ExploreOptions): Promise<Explored> {
  const run = new Run(options);
  return await run.result;
}

class Run {
  readonly result: Promise<Explored>;
  readonly #options: ExploreOptions;
  readonly #world: World;
  readonly #acts: readonly Act[];
  readonly #totalWeight: number;
  readonly #faults: Record<string, number> = {};
  readonly #happened = new Set<string>();
  readonly #done = new Map<number, string>();
  #stepsBegun = 0;

  constructor(options: ExploreOptions) {
    this.#options = options;
    this.#world = new World(options);
    const { faults } = options.setting;
    this.#acts = acts.filter(({ family }) => family === undefined || faults.includes(family));
    this.#totalWeight = this.#acts.reduce((sum, { weight }) => sum + weight, 0);
    this.result = drive(this.#world.clock, this.#steps(), options.signal).catch((error) => {
      const trace = this.#world.scheduler.tail();
      throw error instanceof Violation
        ? new Found(error, this.#done, this.#stepsBegun, trace)
        : error;
    });
  }

  *#steps(): Generator<void, Explored> {
    const world = this.#world;
    yield* world.started();
    for (let step = 0; step < this.#options.steps; step++) {
      this.#stepsBegun = step + 1;
      this.#act(step);
      yield;
      world.peek();
      yield* world.step();
      if (step % STEPS_PER_MARKS === 0) world.judgeMarks();
    }
    world.scheduler.begin(this.#options.steps);
    yield* converge(world);
    return {
      steps: world.steps,
      reads: world.reads + world.peeks,
      checked: world.checked,
      writes: world.writers.count,
      acknowledged: world.writers.acknowledged,
      faults: this.#faults,
      happened: this.#happened,
    };
  }

  #act(step: number): void {
    const world = this.#world;
    const { without } = this.#options;
    world.scheduler.begin(step);
    const act = this.#chosen(world.scheduler.random() * this.#totalWeight);
    const isOut = without?.steps?.has(step) || without?.acts?.has(act.name);
    if (!isOut && act.name !== 'nothing') {
      world.scheduler.note(`[${step}] ${act.name}`);
      if (act.run(world) !== false) this.#count(act);
      this.#done.set(step, act.name);
    }
    world.scheduler.begin(step + 0.5);
  }

  #count({ name, family }: Act): void {
    this.#happened.add(name);
    if (family !== undefined) this.#faults[name] = (this.#faults[name] ?? 0) + 1;
  }

  #chosen(at: number): Act {
    let left = at;
    for (const act of this.#acts) {
      left -= act.weight;
      if (left < 0) return act;
    }
    throw new Error('Expected an act for every weight.');
  }
}
