/**
 * Simulated time. While it is installed, everything that asks this process for the time, for a timer
 * or for a random number asks the simulation: the product's own timeouts, times to live, breaker and
 * backoff run in simulated milliseconds, and a seed decides all of it.
 */
import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';

/** Simulated time begins here: 2030-01-01, and never at 0, which caches take for "no time". */
const EPOCH_MS = Date.UTC(2030, 0, 1);
const BEGINNING_MS = 1_000;

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly go: () => void;
}

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setImmediate: globalThis.setImmediate,
  dateNow: Date.now,
  performanceNow: performance.now.bind(performance),
  random: Math.random,
};
let installed: SimulatedClock | undefined;

/** Real time, also while a simulated clock is installed. */
export const realNowMs = real.performanceNow;

/** The real event loop's next turn, also while a simulated clock is installed. */
export const realSetImmediate = real.setImmediate;

export class SimulatedClock {
  nowMs = BEGINNING_MS;
  readonly #timers = new Set<Timer>();
  readonly #random: () => number;
  #order = 0;

  /** @param onImmediate lets what was to run in the event loop's next turn go, when it is its time */
  constructor(
    random: () => number,
    private readonly onImmediate: (go: () => void) => void,
  ) {
    this.#random = random;
  }

  get wallMs(): number {
    return EPOCH_MS + this.nowMs;
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** When the next timer is due; undefined when there is none. */
  get nextMs(): number | undefined {
    return this.#first(Number.POSITIVE_INFINITY)?.atMs;
  }

  /** Lets time pass, and the timers that are due ring in their order. `settle` runs what each of
   * them brought about. */
  pass(ms: number, settle: () => void): void {
    const untilMs = this.nowMs + ms;
    for (let timer = this.#first(untilMs); timer !== undefined; timer = this.#first(untilMs)) {
      this.#timers.delete(timer);
      this.nowMs = Math.max(this.nowMs, timer.atMs);
      timer.go();
      settle();
    }
    this.nowMs = untilMs;
  }

  /** Replaces the process's clocks, timers and random numbers until the function that it returns is
   * called. */
  install(): () => void {
    if (installed !== undefined) throw new Error('Expected one simulated clock at a time.');
    installed = this;
    Date.now = () => this.wallMs;
    performance.now = () => this.nowMs;
    Math.random = this.#random;
    // Node's timers have more members; what runs in the simulation uses these.
    const set = (go: (...values: unknown[]) => void, ms = 0, ...values: unknown[]) =>
      this.#set(() => go(...values), ms);
    globalThis.setTimeout = set as unknown as typeof setTimeout;
    const clear = (timer: unknown) => this.#timers.delete(timer as Timer);
    globalThis.clearTimeout = clear as typeof clearTimeout;
    globalThis.setImmediate = this.onImmediate as unknown as typeof setImmediate;
    return () => {
      installed = undefined;
      Date.now = real.dateNow;
      performance.now = real.performanceNow;
      Math.random = real.random;
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
      globalThis.setImmediate = real.setImmediate;
    };
  }

  #set(go: () => void, ms: number) {
    const timer = {
      atMs: this.nowMs + Math.max(1, ms),
      order: ++this.#order,
      go,
      ref: () => timer,
      unref: () => timer,
      hasRef: () => true,
    };
    this.#timers.add(timer);
    return timer;
  }

  #first(untilMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs > untilMs) continue;
      if (
        first === undefined ||
        timer.atMs < first.atMs ||
        (timer.atMs === first.atMs && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}

// `node:timers/promises` is imported by name: its binding is changed once, for good, and goes on to
// the real one whenever no simulated clock is installed.
const realDelay = timersPromises.setTimeout;
const delay: typeof realDelay = (ms, value, options) =>
  installed === undefined
    ? realDelay(ms, value, options)
    : new Promise((resolve) => globalThis.setTimeout(() => resolve(value as never), ms)); // T's own
timersPromises.setTimeout = delay;
syncBuiltinESMExports();
