/** What the page shows of the past stays of one size, whatever changes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Spread } from '../../src/core/spread.js';
import { MOST_CHANGES, MOST_SLOTS, Recent, SLOT_MS } from '../../src/http/page/recent.js';

const T0 = Date.UTC(2026, 0, 1);

function rowsOf(versions: readonly number[], changedAtMs: number) {
  const changedAt = new Date(changedAtMs).toISOString().replace('T', ' ').replace('Z', '000');
  return versions.map((version) => ({ version, table: 'configs', key: `k${version}`, changedAt }));
}

test('it keeps the latest changes, and the latencies of ten minutes', () => {
  let nowMs = T0;
  const recent = new Recent(() => nowMs);
  const all = Array.from({ length: MOST_CHANGES + 10 }, (_, index) => index + 1);
  recent.take(rowsOf(all, T0 - 7));
  expect(recent.changes.map(({ version }) => version)).toEqual(all.slice(10).toReversed());
  expect(recent.changes[0]).toMatchObject({ key: 'k60', changedAtMs: T0 - 7, latencyMs: 7 });
  expect(recent.slots.map(({ spread }) => spread.count)).toEqual([all.length]);

  for (let slot = 0; slot < 2 * MOST_SLOTS; slot += 1) {
    nowMs += SLOT_MS;
    recent.take(rowsOf([slot], nowMs));
  }
  expect(recent.slots).toHaveLength(MOST_SLOTS);
  nowMs -= 2 * SLOT_MS; // the clock is set back
  recent.take(rowsOf([1], nowMs));
  expect(recent.slots.at(-1)?.spread.count).toBe(2);
  nowMs += 2 * SLOT_MS * MOST_SLOTS;
  expect(recent.slots).toEqual([]);
  expect(recent.changes).toHaveLength(MOST_CHANGES);
});

const latencies = fc.array(fc.integer({ min: 0, max: 900_000 }), { minLength: 1, maxLength: 200 });

test('a percentile is within a quarter of the one by nearest rank, and never over the slowest', () => {
  fc.assert(
    fc.property(latencies, fc.double({ min: 0.01, max: 1, noNaN: true }), (seen, share) => {
      const spread = new Spread();
      for (const ms of seen) spread.add(ms);
      const sorted = seen.toSorted((one, other) => one - other);
      const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
      const about = spread.percentileMs(share) ?? Number.NaN;
      expect(spread.maxMs).toBe(sorted.at(-1));
      expect(about).toBeLessThanOrEqual(spread.maxMs ?? 0);
      expect(about).toBeGreaterThanOrEqual(Math.min(exact / 1.29, 800_000));
      expect(about).toBeLessThanOrEqual(Math.max(exact * 1.29, 1));
    }),
  );
});

test('spreads add up, and each latency is in the bar that it is up to', () => {
  fc.assert(
    fc.property(latencies, latencies, (some, others) => {
      const [one, other, both] = [new Spread(), new Spread(), new Spread()];
      for (const ms of some) one.add(ms);
      for (const ms of others) other.add(ms);
      both.addAll(one);
      both.addAll(other);
      const endsMs = [1, 20, 500, 100_000];
      const startsMs = [-1, ...endsMs];
      const all = [...some, ...others];
      const counts = startsMs.map((startMs, at) => {
        const endMs = endsMs[at] ?? Number.POSITIVE_INFINITY;
        return all.filter((ms) => ms > startMs && ms <= endMs).length;
      });
      expect(both.countsUpTo(endsMs)).toEqual(counts);
      expect(both.count).toBe(all.length);
    }),
  );
});

test('nothing is said of nothing', () => {
  const none = new Spread();
  expect([none.percentileMs(0.5), none.maxMs, none.count]).toEqual([undefined, undefined, 0]);
});
