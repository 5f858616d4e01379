import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, jittered } from '../../src/core/backoff.js';
import { ageMs, type Beat, type Freshness, observeBeat } from '../../src/core/freshness.js';

/** A beat of which MySQL-B's clock says nothing: it is far behind. */
function beat(beatAtMs: number): Beat {
  return { beatAtMs, serverOffsetMs: Number.POSITIVE_INFINITY };
}

/** Beats made at true times, seen after a delay, by clocks with an offset each. */
const histories = fc.record({
  delaysMs: fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 1, maxLength: 20 }),
  monotonicOffsetMs: fc.integer({ min: -1e9, max: 1e9 }),
});

test('nothing is known before the first beat', () => {
  expect(ageMs(undefined, { monotonicMs: 0, wallMs: 0 })).toBe(Number.POSITIVE_INFINITY);
});

test('with clocks that agree, the age is never under the truth', () => {
  fc.assert(
    fc.property(histories, fc.nat(100_000), ({ delaysMs, monotonicOffsetMs }, laterMs) => {
      let seen: Freshness | undefined;
      let wallMs = 0;
      delaysMs.forEach((delayMs, index) => {
        wallMs = Math.max(wallMs, index * 1_000 + delayMs);
        const now = { wallMs, monotonicMs: wallMs + monotonicOffsetMs };
        seen = observeBeat(seen, beat(index * 1_000), now);
      });
      wallMs += laterMs;
      const trueAgeMs = wallMs - (delaysMs.length - 1) * 1_000;
      const age = ageMs(seen, { wallMs, monotonicMs: wallMs + monotonicOffsetMs });
      expect(age).toBeGreaterThanOrEqual(trueAgeMs);
    }),
  );
});

test('a clock of B that is behind cannot make a stopped replication look fresh', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e8 }), fc.nat(100_000), (behindMs, stoppedMs) => {
      const clock = (trueMs: number) => ({ monotonicMs: trueMs, wallMs: trueMs - behindMs });
      let seen = observeBeat(undefined, beat(1_000), clock(1_010));
      seen = observeBeat(seen, beat(2_000), clock(2_500));
      expect(ageMs(seen, clock(2_000 + stoppedMs))).toBeGreaterThanOrEqual(stoppedMs - 10);
    }),
  );
});

test('nor can it when replication was late from the beginning, if that of MySQL-B is right', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e8 }),
      fc.integer({ min: 0, max: 1e8 }),
      fc.nat(60_000),
      fc.nat(100_000),
      (processBehindMs, monotonicMs, lateMs, stoppedMs) => {
        const clock = (trueMs: number) => ({
          monotonicMs: trueMs + monotonicMs,
          wallMs: trueMs - processBehindMs,
        });
        const askedMs = 1_000 + lateMs;
        const shown = { beatAtMs: 1_000, serverOffsetMs: clock(askedMs).monotonicMs - askedMs };
        const seen = observeBeat(undefined, shown, clock(askedMs + 5));
        const age = ageMs(seen, clock(askedMs + stoppedMs));
        expect(age).toBeGreaterThanOrEqual(lateMs + stoppedMs);
      },
    ),
  );
});

test('a heartbeat that steps back (the clock of A was set) starts a new calibration', () => {
  const seen = observeBeat(undefined, beat(3_600_000), { monotonicMs: 0, wallMs: 0 });
  const after = observeBeat(seen, beat(1_000), { monotonicMs: 1_000, wallMs: 1_000 });
  expect(ageMs(after, { monotonicMs: 1_500, wallMs: 1_500 })).toBe(500);
});

test('an older beat, of a replica that lags, is no new calibration', () => {
  let seen = observeBeat(undefined, beat(1_000), { monotonicMs: 1_010, wallMs: 0 });
  seen = observeBeat(seen, beat(3_000), { monotonicMs: 3_020, wallMs: 0 });
  seen = observeBeat(seen, beat(2_000), { monotonicMs: 3_500, wallMs: 0 });
  expect(ageMs(seen, { monotonicMs: 3_600, wallMs: 0 })).toBe(590);
});

test('a beat is as late as it was when it came, and the first one says nothing of that', () => {
  const at = (wallMs: number) => ({ monotonicMs: wallMs, wallMs });
  let seen = observeBeat(undefined, beat(1_000), at(1_900));
  expect(seen.lagMs).toBeUndefined();
  seen = observeBeat(seen, beat(1_000), at(1_950));
  expect(seen.lagMs).toBeUndefined();
  seen = observeBeat(seen, beat(2_000), at(2_030));
  expect(seen.lagMs).toBe(30);
  seen = observeBeat(seen, beat(2_000), at(2_900));
  expect(seen.lagMs).toBe(30);
  seen = observeBeat(seen, beat(3_000), at(2_990)); // the clock of A is ahead
  expect(seen.lagMs).toBe(0);
});

test('delays stay within a tenth of the interval, and double up to their bound', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.integer({ min: 1, max: 99 }),
      (random, failures) => {
        expect(Math.abs(jittered(100, random) - 100)).toBeLessThanOrEqual(10);
        const delayMs = backoffMs(failures, 100, 2_000, random);
        expect(delayMs).toBeGreaterThanOrEqual(90);
        expect(delayMs).toBeLessThanOrEqual(2_200);
      },
    ),
  );
  expect([1, 2, 3].map((failures) => backoffMs(failures, 100, 2_000, 0.5))).toEqual([
    100, 200, 400,
  ]);
});
