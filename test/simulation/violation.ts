/** The guarantees, by the names that a broken one is reported under. */
export type Guarantee =
  | 'honest' // an answer is the truth at the version that it claims
  | 'monotonic' // not older than what the same reader gave before
  | 'prompt' // not older than the position at which its reader stood when the read began
  | 'fresh' // not older than the bound when it is not marked stale
  | 'read-your-writes' // with `minVersion`, at least that version
  | 'no resurrected delete'
  | 'marks honest' // an entry in Redis is the truth at its bucket's mark
  | 'available' // what is held answers; a read fails only when MySQL and Redis both cannot answer
  | 'bounded' // loads per key, entries, connections and timers
  | 'convergence' // after the faults, MySQL-B, Redis and all local tiers tell the same
  | 'audit' // nothing is flagged while nothing goes around the log
  | 'acknowledged' // a write that was answered is in the log, once, as it was answered
  | 'refused'; // a write that was refused left nothing

export class Violation extends Error {
  constructor(
    readonly guarantee: Guarantee,
    what: string,
  ) {
    super(`${guarantee}: ${what}`);
  }
}
