/** Hints over the real poll loop: how many polls they cost, true or not. Time is the test's own. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Hints } from '../../src/reader/hints.js';
import { PollLoop } from '../../src/reader/poll-loop.js';

const HEAD = 100;
const INTERVAL_MS = 60_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function bench() {
  const now = { applied: HEAD, polls: 0, onPoll: () => undefined as unknown };
  const told: number[] = [];
  const loop = new PollLoop({
    turn: async () => {
      now.polls += 1;
      now.onPoll();
      return false;
    },
    intervalMs: INTERVAL_MS,
    random: () => 0.5,
    onFailure: () => undefined,
  });
  const hints = new Hints({
    applied: () => now.applied,
    head: () => HEAD,
    hurry: (version, patienceMs) => void loop.until(() => now.applied >= version, patienceMs, true),
    tell: (version) => told.push(version),
  });
  await loop.start();
  await vi.advanceTimersByTimeAsync(1_000);
  now.polls = 0;
  return { now, loop, hints, told };
}

describe('a hint', () => {
  test('brings a poll at once, and quick ones until the version is there', async () => {
    const { now, hints, loop } = await bench();
    expect(hints.take(HEAD + 1, 'caller')).toBe('followed');
    await vi.advanceTimersByTimeAsync(1);
    expect(now.polls).toBe(1);
    await vi.advanceTimersByTimeAsync(40);
    expect(now.polls).toBeGreaterThanOrEqual(4);
    now.onPoll = () => {
      now.applied = HEAD + 1;
    };
    await vi.advanceTimersByTimeAsync(100);
    const { polls } = now;
    await vi.advanceTimersByTimeAsync(INTERVAL_MS / 2);
    expect(now.polls).toBe(polls);
    await loop.stop();
  });

  test('that is wrong costs a few polls, and is over after 10 s', async () => {
    const { now, hints, loop } = await bench();
    hints.take(HEAD + 1, 'caller');
    await vi.advanceTimersByTimeAsync(10_000);
    const { polls } = now;
    expect(polls).toBeLessThan(15);
    expect(loop.waiters).toBe(0);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS / 2);
    expect(now.polls).toBeLessThanOrEqual(polls + 1);
    await loop.stop();
  });

  test('of what is known, or absurd, costs none', async () => {
    const { now, hints, loop } = await bench();
    expect(hints.take(HEAD, 'peer')).toBe('known');
    for (const version of [Number.MAX_SAFE_INTEGER, HEAD + 1_000_001, Number.NaN]) {
      expect(hints.take(version, 'caller')).toBe('absurd');
    }
    await vi.advanceTimersByTimeAsync(1_000);
    expect(now.polls).toBe(0);
    await loop.stop();
  });

  test('is as quick while a wrong one is waited for', async () => {
    const { now, hints, loop } = await bench();
    hints.take(HEAD + 1_000, 'caller');
    await vi.advanceTimersByTimeAsync(3_000);
    now.polls = 0;
    hints.take(HEAD + 1, 'caller');
    await vi.advanceTimersByTimeAsync(40);
    expect(now.polls).toBeGreaterThanOrEqual(3);
    await loop.stop();
  });

  test('is one of a flood that brings no more than 60 polls a second', async () => {
    const { now, hints, loop, told } = await bench();
    for (let ms = 0; ms < 5_000; ms += 1) {
      for (let one = 0; one < 10; one += 1) hints.take(HEAD + 1 + ms * 10 + one, 'caller');
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(now.polls).toBeGreaterThan(100);
    expect(now.polls).toBeLessThan(300);
    expect(loop.waiters).toBeLessThanOrEqual(51);
    expect(told.length).toBeLessThanOrEqual(51);
    expect(Math.max(...told)).toBeGreaterThan(HEAD + 45_000);
    hints.close();
    await loop.stop();
  });

  test('is passed on to the other readers once, and not if it came from them', async () => {
    const { hints, loop, told } = await bench();
    hints.take(HEAD + 1, 'peer');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual([]);
    hints.take(HEAD, 'caller'); // known here, perhaps not there
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual([HEAD]);
    await loop.stop();
  });
});
