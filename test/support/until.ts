/** Waiting for a condition, instead of for a time. */
import { setTimeout as delay } from 'node:timers/promises';

const AGAIN_AFTER_MS = 5;
const GIVE_UP_AFTER_MS = 45_000;

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;

/** Asks until the answer is truthy, and returns it. What it throws counts as "not yet".
 * @throws Error naming `what` when that takes longer than any healthy machine needs */
export async function until<T>(what: string, ask: () => T | Promise<T>): Promise<Truthy<T>> {
  const endMs = performance.now() + GIVE_UP_AFTER_MS;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer as Truthy<T>; // it was looked at just now
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endMs) throw new Error(`Expected ${what}, got ${String(last)}`);
    await delay(AGAIN_AFTER_MS);
  }
}
