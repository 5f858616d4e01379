import { beforeEach, describe, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { type LogRow, type Page, positionOf } from '../../src/core/position.js';
import { LocalTier } from '../../src/local/tier.js';

const at = (version: number) => ({ version, fingerprint: `f${version}` });
const value = (asOf: number, text = 'v') => new Entry(at(asOf), asOf, Buffer.from(text));
const pending = new Promise<never>(() => {});
/** A page that ends there. */
const upTo = (version: number): Page => ({ from: tier.applied, to: at(version), rows: [] });

let tier: LocalTier<never>;
beforeEach(() => {
  tier = small({});
});

function small(options: { maxEntries?: number; maxBytes?: number; ttlMs?: number }) {
  const made = new LocalTier<never>({
    maxEntries: 10,
    maxBytes: 1e6,
    ttlMs: 1e6,
    maxAbsences: 10,
    negativeTtlMs: 1e6,
    ...options,
  });
  made.clear(at(1), false);
  return made;
}

function fill(key: string, entry: Entry, into = tier) {
  return into.land(into.takeOff(key, pending), entry);
}

describe('after all was forgotten', () => {
  test('nothing is held, the position is as it was, and new fills are cached', () => {
    fill('a', value(1));
    fill('b', new Entry(at(1), 0, null));
    tier.forgetAll();
    expect([tier.entries, tier.absences, tier.applied]).toEqual([0, 0, at(1)]);
    fill('a', value(1));
    expect(tier.get('a')?.asOf).toBe(1);
  });

  test('a fill that was in flight is not cached, whatever its as-of, and not joined', () => {
    // take off (reads before a change that no trigger saw) ---- all is forgotten ---- land
    const older = tier.takeOff('a', pending);
    tier.evict(['a'], upTo(2)); // lets it fly alone
    const flight = tier.takeOff('a', pending);
    tier.forgetAll();
    expect(tier.flight('a')).toBeUndefined();
    tier.land(older, value(9));
    tier.land(flight, value(9));
    expect(tier.get('a')).toBeUndefined();
    expect(tier.requiredAsOf).toBe(9); // and nothing older is shown after it
  });
});

describe('a fill', () => {
  test('is cached when nothing changed on the way', () => {
    fill('a', value(1));
    expect(tier.get('a')?.asOf).toBe(1);
  });

  test('that read before a change is returned but not cached after it (R3)', () => {
    // take off (as of 1) ---- page: a changes at 2 ---- land
    const flight = tier.takeOff('a', pending);
    tier.evict(['a'], upTo(2));
    expect(tier.land(flight, value(1))?.asOf).toBe(1);
    expect(tier.get('a')).toBeUndefined();
  });

  test('that read after the change is cached', () => {
    const flight = tier.takeOff('a', pending);
    tier.evict(['a'], upTo(2));
    tier.land(flight, value(2));
    expect(tier.get('a')?.asOf).toBe(2);
  });

  test('of another key is not held up by the change', () => {
    const flight = tier.takeOff('b', pending);
    tier.evict(['a'], upTo(2));
    tier.land(flight, value(1));
    expect(tier.get('b')?.asOf).toBe(1);
  });

  test('is not joined by a read that starts after the change', () => {
    const flight = tier.takeOff('a', pending);
    expect(tier.flight('a')).toBe(flight);
    tier.evict(['a'], upTo(2));
    expect(tier.flight('a')).toBeUndefined();
  });

  test('is not joined by a read that has to be newer than an answer that was pushed out', () => {
    tier.takeOff('a', pending);
    tier.lost(at(7));
    expect(tier.flight('a')).toBeUndefined();
  });

  test('is not cached under an answer that was pushed out while it was in flight', () => {
    // old takes off ---- new lands (as of 7) ---- new is pushed out ---- old lands (as of 3)
    const old = tier.takeOff('a', pending);
    tier.lost(at(7));
    tier.land(old, value(3));
    expect(tier.get('a')).toBeUndefined();
  });

  test('knows what its key was answered with, and is pushed out while it is in flight', () => {
    // a, read at 8, expires or not; its load takes off; b pushes a out ---- land, read at 5
    tier = small({ maxEntries: 1 });
    fill('a', value(8));
    const flight = tier.takeOff('a', pending);
    fill('b', value(9));
    expect(flight.overtakenAsOf).toBe(8);
  });

  test('that may not be cached leaves no older entry in its place', () => {
    fill('a', value(2));
    const flight = tier.takeOff('a', pending);
    tier.lost(at(9));
    tier.land(flight, value(7));
    expect(tier.get('a')).toBeUndefined();
  });

  test('never puts an older entry over a newer one, and answers with the newer', () => {
    const slow = tier.takeOff('a', pending);
    fill('a', value(7));
    expect(tier.land(slow, value(3))?.asOf).toBe(7);
    expect(tier.get('a')?.asOf).toBe(7);
  });

  test('from before a rebase is cached only when it is at least as recent', () => {
    const [older, newer] = [tier.takeOff('a', pending), tier.takeOff('b', pending)];
    tier.clear(at(5), false);
    tier.land(older, value(4));
    tier.land(newer, value(6));
    expect(tier.get('a')).toBeUndefined();
    expect(tier.get('b')?.asOf).toBe(6);
  });

  test('from a history that was rewritten is never cached, and demands nothing', () => {
    const flight = tier.takeOff('a', pending);
    tier.clear(at(5), true);
    tier.land(flight, value(99));
    expect(tier.get('a')).toBeUndefined();
    expect(tier.requiredAsOf).toBe(5);
  });

  test('leaves nothing behind, however it ends', () => {
    const flights = ['a', 'a', 'b'].map((key) => tier.takeOff(key, pending));
    tier.evict(['a'], upTo(2));
    flights.forEach((flight, index) => {
      tier.land(flight, index === 0 ? undefined : value(2));
    });
    expect(tier.flights).toBe(0);
  });
});

describe('what an answer from elsewhere must have', () => {
  test('is the position, and it never goes back with a page', () => {
    tier.evict([], upTo(4));
    tier.evict([], upTo(3));
    expect(tier.requiredAsOf).toBe(4);
  });

  test.each<[string, () => LocalTier<never>]>([
    [
      'pushed out by others',
      () => {
        const tiny = small({ maxEntries: 1 });
        fill('a', value(7), tiny);
        fill('b', value(2), tiny);
        return tiny;
      },
    ],
    [
      'too large to be held',
      () => {
        const tiny = small({ maxBytes: 300 });
        fill('a', value(7, 'x'.repeat(400)), tiny);
        return tiny;
      },
    ],
    [
      'cleared by a rebase',
      () => {
        fill('a', value(7));
        tier.clear(at(3), false);
        return tier;
      },
    ],
    [
      'forgotten on demand',
      () => {
        fill('a', value(7));
        tier.forget('a');
        return tier;
      },
    ],
  ])('is what was shown and then %s', (_, make) => {
    expect(make().requiredAsOf).toBe(7);
  });
});

describe('a page', () => {
  test('removes what it names and keeps what is newer than it', () => {
    fill('a', value(1));
    fill('b', value(9));
    fill('c', value(1));
    tier.evict(['a', 'b'], upTo(5));
    expect([tier.get('a'), tier.get('b')?.asOf, tier.get('c')?.asOf]).toEqual([undefined, 9, 1]);
  });

  test('removes absences, too, and an absence takes the place of a value', () => {
    fill('a', value(1));
    fill('a', new Entry(at(2), 0, null));
    expect(tier.get('a')?.value).toBeNull();
    expect(tier.entries + tier.absences).toBe(1);
    tier.evict(['a'], upTo(3));
    expect(tier.get('a')).toBeUndefined();
  });

  test('refreshes what is held, and a page keeps it', () => {
    fill('a', value(3));
    expect(tier.refresh('a', value(6))).toBe(true);
    tier.evict(['a'], upTo(5));
    expect(tier.get('a')?.asOf).toBe(6);
  });

  test('refreshes nothing that is not held, nor by something older', () => {
    fill('a', value(9));
    expect(tier.refresh('a', value(6))).toBe(false);
    expect(tier.refresh('b', value(6))).toBe(false);
    expect(tier.get('a')?.asOf).toBe(9);
    expect(tier.get('b')).toBeUndefined();
  });
});

test('a look at an entry makes it no younger, and all that is held is listed', () => {
  tier = small({ maxEntries: 2 });
  fill('a', value(1));
  fill('b', value(1));
  fill('nobody', new Entry(at(1), 0, null));
  expect(tier.keys().toSorted()).toEqual(['a', 'b', 'nobody']);
  expect(tier.peek('a')?.asOf).toBe(1);
  expect(tier.peek('nobody')?.value).toBeNull();
  fill('c', value(1));
  expect(tier.keys().toSorted()).toEqual(['b', 'c', 'nobody']);
});

test('after the log was gone around, nothing lands that was in flight, however recent', () => {
  // take off ---- cleared at 1 ---- land, as of 1: from before or after the change, nobody knows
  const flight = tier.takeOff('a', pending);
  fill('b', value(5));
  tier.clear(at(1), false, true);
  expect(tier.flight('a')).toBeUndefined();
  expect(flight.foreign).toBe(true);
  expect(tier.land(flight, value(1))?.asOf).toBe(1);
  expect(tier.get('a')).toBeUndefined();
  expect(tier.requiredAsOf).toBe(5); // history goes on: what was shown was shown
});

test('a flood of absent keys pushes no value out', () => {
  fill('a', value(1));
  for (let index = 0; index < 100; index++) fill(`absent ${index}`, new Entry(at(1), 0, null));
  expect(tier.get('a')).toBeDefined();
  expect(tier.absences).toBe(10);
});

test('a small value does not keep a large network buffer alive', () => {
  const packet = Buffer.alloc(1_000_000, 'x');
  fill('a', new Entry(at(1), 1, packet.subarray(10, 20)));
  expect(tier.get('a')?.value?.buffer.byteLength).toBeLessThan(100_000);
});

describe('what was read while pages were taken in', () => {
  const row = (version: number, changedAt = 'one'): LogRow => ({
    ...{ version, table: 'configs', key: `k${version}`, changedAt },
  });
  const page = (from: number, to: number): Page => ({
    from: from === 1 ? at(1) : positionOf(row(from)),
    to: positionOf(row(to)),
    rows: Array.from({ length: to - from }, (_, index) => row(from + 1 + index)),
  });

  test('is denied where the log had another row', () => {
    tier.takeOff('a', pending);
    tier.evict([], page(1, 4));
    tier.evict([], page(4, 6));
    for (const version of [2, 3, 4, 5, 6]) {
      expect(tier.denies(positionOf(row(version)))).toBe(false);
      expect(tier.denies(positionOf(row(version, 'another')))).toBe(true);
    }
    expect(tier.denies(at(1))).toBe(false);
    expect(tier.denies({ ...at(1), fingerprint: 'another' })).toBe(true);
  });

  test('is not denied where the log has told nothing: beyond the position, or of a row that is gone', () => {
    tier.takeOff('a', pending);
    tier.evict([], page(1, 4));
    expect(tier.denies(positionOf(row(5, 'any')))).toBe(false);
    expect(tier.denies({ version: 3, fingerprint: '' })).toBe(false);
  });

  test('is judged by the way there, also after a leap', () => {
    tier.takeOff('a', pending);
    tier.evict([], page(1, 4));
    tier.clear(positionOf(row(9)), false);
    expect(tier.denies(positionOf(row(3, 'another')))).toBe(true);
    expect(tier.denies(positionOf(row(9, 'another')))).toBe(true);
    expect(tier.denies(positionOf(row(7, 'another')))).toBe(false);
  });

  test('is remembered only while something is in flight', () => {
    tier.evict([], page(1, 4));
    expect(tier.denies(positionOf(row(3, 'another')))).toBe(false);
    const flight = tier.takeOff('a', pending);
    tier.evict([], page(4, 6));
    expect(tier.denies(positionOf(row(5, 'another')))).toBe(true);
    tier.land(flight, undefined);
    expect(tier.denies(positionOf(row(5, 'another')))).toBe(false);
  });
});
