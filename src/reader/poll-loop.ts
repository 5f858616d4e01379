/**
 * The loop around the reconciler: one turn in flight, a jittered pause between turns, backoff after
 * a failure, and those who wait for a turn to have brought something (a version, a fresher state).
 *
 * While someone waits, turns come quickly at first and then more and more slowly up to the poll
 * interval, so that an early answer is early and a wait in vain costs little. However many come, a
 * turn follows the one before after 4 ms at the soonest, and a failing MySQL-B is given its rest.
 * A `wake` may end a pause before its time, and name the newest change; the interval holds whatever
 * becomes of it.
 */
import { backoffMs, jittered } from '../core/backoff.js';
import { AccessDeniedError, NotRunningError, SchemaError, UnavailableError } from '../errors.js';
import type { Glance } from '../mysql/glance.js';

export interface PollLoopOptions {
  /** One turn; true when there is more to do at once. `glance`: what the wake brought. */
  readonly turn: (glance?: Glance) => Promise<boolean>;
  readonly intervalMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called after each turn that failed, with how many have failed in a row. */
  readonly onFailure: (error: unknown, failures: number) => void;
  readonly wake?: Wake | undefined;
}

/** What can end the pause between two turns early. */
export interface Wake {
  /** A pause begins: calls `onWake` at most once, when the next turn may bring something; with the
   * newest change, if that is why. */
  arm(onWake: (glance?: Glance) => void): void;
  /** The pause has ended. */
  disarm(): void;
}

interface Waiter {
  readonly holds: () => boolean;
  readonly settle: (met: boolean) => void;
}

const MAX_BACKOFF_MS = 2_000;
const FIRST_QUICK_MS = 4;
const MAX_WAITERS = 10_000;

export class PollLoop {
  readonly #options: PollLoopOptions;
  readonly #waiters = new Set<Waiter>();
  #started: Promise<void> | undefined;
  #ended: Promise<void> = Promise.resolve();
  #stopping = true;
  #endPause: () => void = () => undefined;
  /** Ends the pause as soon as it has been a pause. */
  #hurry: () => void = () => undefined;
  #quickMs = FIRST_QUICK_MS;
  #failures = 0;

  constructor(options: PollLoopOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return !this.#stopping;
  }

  /** Turns that failed in a row. */
  get failures(): number {
    return this.#failures;
  }

  get waiters(): number {
    return this.#waiters.size;
  }

  /** Starts the loop. Resolves after the first turn that succeeded.
   * @throws SchemaError, AccessDeniedError when the first turn fails in a way that waiting does not
   * heal (the loop then ends), NotRunningError when stopped before that */
  start(): Promise<void> {
    this.#started ??= new Promise((resolve, reject) => {
      this.#stopping = false;
      this.#ended = this.#run(resolve, reject);
    });
    return this.#started;
  }

  /** Ends the loop after the turn in flight. Waiters learn that they were not met. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#endPause();
    await this.#ended;
    this.#started = undefined;
  }

  /** Resolves true as soon as `holds` does after a turn, false after `timeoutMs`.
   * @param afresh whether turns come quickly again even if others have been waiting for long
   * @throws UnavailableError when too many are waiting already */
  until(holds: () => boolean, timeoutMs: number, afresh = false): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    if (!this.running || timeoutMs <= 0) return Promise.resolve(false);
    if (this.#waiters.size >= MAX_WAITERS) {
      throw new UnavailableError(
        `Expected at most ${MAX_WAITERS} reads to wait at once, got one more. Try again later.`,
      );
    }
    if (this.#waiters.size === 0 || afresh) this.#quickMs = FIRST_QUICK_MS;
    this.#hurry();
    return new Promise((resolve) => {
      const timer = setTimeout(() => waiter.settle(false), timeoutMs);
      const waiter: Waiter = {
        holds,
        settle: (met) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(met);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  async #run(onFirst: () => void, onHopeless: (error: unknown) => void): Promise<void> {
    let begun = false;
    let glance: Glance | undefined;
    while (!this.#stopping) {
      let more = false;
      try {
        more = await this.#options.turn(glance);
        this.#failures = 0;
        if (!begun) onFirst();
        begun = true;
      } catch (error) {
        this.#failures += 1;
        this.#options.onFailure(error, this.#failures);
        if (!begun && (error instanceof SchemaError || error instanceof AccessDeniedError)) {
          onHopeless(error);
          this.#stopping = true;
        }
      }
      for (const waiter of this.#waiters) if (waiter.holds()) waiter.settle(true);
      glance = more || this.#stopping ? undefined : await this.#pause();
    }
    for (const waiter of this.#waiters) waiter.settle(false);
    if (!begun)
      onHopeless(new NotRunningError('Expected a reader that runs, got one that stopped.'));
  }

  /** @returns the newest change, when a wake has named it */
  #pause(): Promise<Glance | undefined> {
    return new Promise((resolve) => {
      const { wake } = this.#options;
      const end = (glance?: Glance) => {
        clearTimeout(timer);
        clearTimeout(rest);
        wake?.disarm();
        resolve(glance);
      };
      const timer = setTimeout(end, this.#delayMs());
      let isRested = false;
      let isHurried = false;
      const rest = setTimeout(() => {
        isRested = true;
        if (isHurried) end();
      }, FIRST_QUICK_MS);
      this.#endPause = end;
      this.#hurry = () => {
        if (this.#failures > 0) return;
        isHurried = true;
        if (isRested) end();
      };
      if (this.#failures === 0) wake?.arm(end);
    });
  }

  #delayMs(): number {
    const { intervalMs, random } = this.#options;
    if (this.#failures > 0) {
      return backoffMs(this.#failures, intervalMs, Math.max(MAX_BACKOFF_MS, intervalMs), random());
    }
    if (this.#waiters.size === 0) return jittered(intervalMs, random());
    const delayMs = Math.min(this.#quickMs, intervalMs);
    this.#quickMs *= 2;
    return delayMs;
  }
}
