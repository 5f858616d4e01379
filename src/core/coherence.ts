/**
 * The three rules that keep two caches and a database coherent. Take one away and some interleaving
 * of two instances, a slow fill and a Redis that lost data serves an old value (the simulation in
 * test/simulation shows which).
 *
 * (R1) Every entry in Redis is the truth at its bucket's mark. A page and the mark move together; a
 *      fill is refused unless it is the truth at the mark. (redis/fill.lua decides that in the same
 *      step as the write.) So the mark alone says how recent an entry is, and the mark's
 *      fingerprint alone says whether it belongs to the history that the log shows.
 * (R2) A Redis entry answers a read only when the mark is at least as recent as what the reader
 *      already requires.
 * (R3) A fill that returns with an as-of below its floor is not cached locally: the key changed
 *      while the fill was in flight. The floor is the version up to which the key was evicted.
 */
import type { Entry } from './entry.js';

/** The first and last version at which an entry is known to be the truth. A row carries the version
 * of its last change; when an absent key was deleted is not known. */
export function knownSpan(entry: Entry): readonly [first: number, last: number] {
  return [entry.value === null ? entry.asOf : entry.version, entry.asOf];
}

/** (R1) */
export function isTruthAt(entry: Entry, version: number): boolean {
  const [first, last] = knownSpan(entry);
  return first <= version && version <= last;
}

/** (R2) `requiredAsOf` as it was when the read started. */
export function answersRead(asOf: number, requiredAsOf: number): boolean {
  return asOf >= requiredAsOf;
}

/** (R3) */
export function mayCache(asOf: number, floor: number): boolean {
  return asOf >= floor;
}
