/**
 * Runs a simulation in batches: simulated time is installed only while a batch runs, and all that
 * follows from a step at once is done before the next one, without a turn of the event loop.
 */
import { realNowMs, realSetImmediate, type SimulatedClock } from './clock.js';

const BATCH_MS = 20;

/** Runs promise reactions, and those that they bring about, until none is left. It does so only when
 * it is not called from such a reaction itself; `process._tickCallback` is what the event loop calls
 * after each of its callbacks. */
export function settle(): void {
  (process as unknown as { _tickCallback(): void })._tickCallback();
}

/** Runs `steps` to its end; each `yield` waits until nothing more happens at once.
 * @throws what `steps` throws, or the signal's reason */
export function drive<T>(
  clock: SimulatedClock,
  steps: Generator<void, T>,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const batch = () => {
      const uninstall = clock.install();
      // Faults are made by the thousand here: their stacks would take more time than all the rest.
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 0;
      const untilMs = realNowMs() + BATCH_MS;
      try {
        for (let count = 1; ; count++) {
          const { done, value } = steps.next();
          settle();
          if (done === true) return resolve(value);
          if (count % 64 === 0 && realNowMs() > untilMs) break;
        }
        signal?.throwIfAborted();
        realSetImmediate(batch);
      } catch (error) {
        reject(error);
      } finally {
        Error.stackTraceLimit = stackTraceLimit;
        uninstall();
      }
    };
    realSetImmediate(batch);
  });
}
