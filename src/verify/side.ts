/**
 * Whoever answers reads beside MySQL-B, and how a difference is judged.
 *
 * Invariant: a difference is a mismatch only when the log shows that its key did not change between
 * the two answers. Everything else is looked at again, so that a busy system raises no alarm.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Entry } from '../core/entry.js';
import type { Truth, TruthPage } from './truth.js';

/** A reader, or Redis. */
export interface Side {
  /** Keys of the page of which it may hold something else than the page says. */
  suspects(page: TruthPage): Promise<string[]>;
  /** What it holds of `key`, with a position at which it holds it for the truth; undefined when it
   * holds nothing. */
  observe(key: string, minVersion: number): Promise<Entry | undefined>;
}

/** `unsettled`: the key changed each time it was looked at. `unused`: no reader would believe it. */
export type Outcome =
  | { readonly kind: 'same' | 'unsettled' | 'unused' }
  | { readonly kind: 'mismatch'; readonly expected: Entry; readonly got: Entry };

const ROUNDS = 10;
const FIRST_PAUSE_MS = 10;

export async function judge(
  side: Side,
  key: string,
  minVersion: number,
  truth: Truth,
): Promise<Outcome> {
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) await delay(FIRST_PAUSE_MS * 2 ** (round - 1));
    const got = await side.observe(key, minVersion);
    if (got === undefined) return { kind: 'unused' };
    const expected = (await truth.page([key])).entries.get(key);
    if (expected === undefined) continue;
    if (isSame(expected, got)) return { kind: 'same' };
    if (got.asOf > expected.asOf) continue; // this replica lags
    const changed = await truth.changedBetween(key, got.at, expected.asOf);
    if (changed === 'foreign') return { kind: 'unused' };
    if (changed === 'no') return { kind: 'mismatch', expected, got };
  }
  return { kind: 'unsettled' };
}

export function isSame(one: Entry, other: Entry): boolean {
  if (one.value === null || other.value === null) return one.value === other.value;
  return one.version === other.version && one.value.equals(other.value);
}
