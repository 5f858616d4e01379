/**
 * Freshness: how long ago, at most, an instance was complete with respect to data center A.
 *
 * Data center A writes its clock into the log's row once a second (the heartbeat), through the same
 * row as every change, so a snapshot that shows a beat shows all that was committed before it.
 * Three estimates of the beat's age are made and the greatest counts, so that no one clock in B can
 * fake freshness: by this process' wall clock, by MySQL-B's, and by the monotonic time since the beat,
 * calibrated by the quickest arrival seen. A clock that runs behind does not make the other two small;
 * a replica that was late ever since this process began does not make the first two small.
 * All times are arguments, in ms: `monotonicMs` from a steady clock, `wallMs` since the epoch.
 */

/** A heartbeat, as a snapshot of MySQL-B showed it. */
export interface Beat {
  /** By A's clock, ms since the epoch. */
  readonly beatAtMs: number;
  /** This process' monotonic clock less MySQL-B's: what it was when MySQL-B was asked, or less. */
  readonly serverOffsetMs: number;
}

export interface Now {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface Freshness {
  /** The newest beat seen, ms since the epoch by A's clock. */
  readonly beatAtMs: number;
  /** The smallest (monotonic arrival - beat) seen: the clocks' offset plus the shortest delay. */
  readonly quickestMs: number;
  /** The newest that is known. */
  readonly serverOffsetMs: number;
  /** How old the newest beat was when it was taken in, by the clocks of both: what replication and
   * polling cost. Undefined after the first one, which may have been there for a while. */
  readonly lagMs?: number | undefined;
}

/** A beat this much older than the newest one is no lagging replica's any more. */
const STEP_BACK_MS = 3_000;

/** Takes in the beat of a snapshot that the instance has caught up with. A beat that steps far back
 * (A's clock was set) starts a new calibration. One that is a little older is another replica's,
 * which lags: the instance is complete up to the newer one all the same. */
export function observeBeat(seen: Freshness | undefined, beat: Beat, now: Now): Freshness {
  const { beatAtMs, serverOffsetMs } = beat;
  const offsetMs = now.monotonicMs - beatAtMs;
  if (seen === undefined || beatAtMs < seen.beatAtMs - STEP_BACK_MS) {
    return { beatAtMs, serverOffsetMs, quickestMs: offsetMs };
  }
  const isNews = beatAtMs > seen.beatAtMs;
  return {
    beatAtMs: Math.max(beatAtMs, seen.beatAtMs),
    quickestMs: Math.min(seen.quickestMs, offsetMs),
    serverOffsetMs,
    lagMs: isNews ? Math.max(0, now.wallMs - beatAtMs) : seen.lagMs,
  };
}

/** The age of the instance's knowledge, in ms; Infinity before the first snapshot. */
export function ageMs(seen: Freshness | undefined, now: Now): number {
  if (seen === undefined) return Number.POSITIVE_INFINITY;
  const byWallMs = now.wallMs - seen.beatAtMs;
  const byServerMs = now.monotonicMs - seen.beatAtMs - seen.serverOffsetMs;
  const byMonotonicMs = now.monotonicMs - seen.beatAtMs - seen.quickestMs;
  return Math.max(0, byWallMs, byServerMs, byMonotonicMs);
}
