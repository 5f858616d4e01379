/**
 * The three rules that keep two caches and a database coherent. Take one away and some interleaving
 * of two instances, a slow fill and a Redis that lost data serves an old value (the simulation in
 * test/simulation shows which).
 *
 * (R1) A fill of Redis is refused when its as-of is below the mark. It stands in redis/fill.lua,
 *      since it must be decided in the same step as the write.
 * (R2) A Redis entry answers a read only when it, or the mark that vouches for it, is at least as
 *      recent as what the reader already requires.
 * (R3) A fill that returns with an as-of below its floor is not cached locally: the key changed
 *      while the fill was in flight. The floor is the version up to which the key was evicted.
 */

/** The position up to which a Redis entry is known to be the truth. */
export function asOfInRedis(entryAsOf: number, markVersion: number): number {
  return Math.max(entryAsOf, markVersion);
}

/** (R2) `requiredAsOf` as it was when the read started. */
export function answersRead(asOf: number, requiredAsOf: number): boolean {
  return asOf >= requiredAsOf;
}

/** (R3) */
export function mayCache(asOf: number, floor: number): boolean {
  return asOf >= floor;
}
