import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { NotRunningError, SchemaError, UnavailableError } from '../../src/errors.js';
import { PollLoop } from '../../src/reader/poll-loop.js';

const INTERVAL_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function loopOver(turn: () => Promise<boolean>) {
  const failures: number[] = [];
  const loop = new PollLoop({
    turn,
    intervalMs: INTERVAL_MS,
    random: () => 0.5, // no jitter
    onFailure: (_, count) => failures.push(count),
  });
  return { loop, failures };
}

/** Turns that do nothing, and how many there were. */
function idleTurns() {
  const turn = vi.fn(async () => false);
  return { turn, ...loopOver(turn) };
}

describe('the poll loop', () => {
  test('takes a turn each interval, and at once while there is more', async () => {
    let more = 2;
    const turn = vi.fn(async () => more-- > 0);
    const { loop } = loopOver(turn);
    await loop.start();
    await vi.advanceTimersByTimeAsync(INTERVAL_MS / 2);
    expect(turn).toHaveBeenCalledTimes(3);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 2);
    expect(turn).toHaveBeenCalledTimes(5);
    await loop.stop();
  });

  test('never has two turns in flight', async () => {
    let inFlight = 0;
    let most = 0;
    const { loop } = loopOver(async () => {
      most = Math.max(most, ++inFlight);
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS * 3));
      inFlight -= 1;
      return true;
    });
    const started = loop.start();
    expect(loop.start()).toBe(started);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 20);
    expect(most).toBe(1);
    const stopped = loop.stop();
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
    await stopped;
  });

  test('backs off while turns fail, counts them, and is as quick as before afterwards', async () => {
    let broken = true;
    const turn = vi.fn(async () => {
      if (broken) throw new UnavailableError('away');
      return false;
    });
    const { loop, failures } = loopOver(turn);
    const started = loop.start();
    await vi.advanceTimersByTimeAsync(7_000); // at 0, 1, 3, 5, 7 s: the delay is bounded
    expect(failures).toEqual([1, 2, 3, 4, 5]);
    broken = false;
    await vi.advanceTimersByTimeAsync(2_000);
    await started;
    expect(loop.failures).toBe(0);
    turn.mockClear();
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
    expect(turn).toHaveBeenCalledTimes(3);
    await loop.stop();
  });

  test('ends at once on a fault that waiting does not heal', async () => {
    const { loop } = loopOver(async () => {
      throw new SchemaError('no tables');
    });
    await expect(loop.start()).rejects.toThrow(SchemaError);
    expect(loop.running).toBe(false);
  });

  test('stopped before its first turn succeeded, says so to whoever waits for the start', async () => {
    const { loop } = loopOver(async () => {
      throw new UnavailableError('away');
    });
    const started = loop.start();
    const refused = expect(started).rejects.toThrow(NotRunningError);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS);
    await loop.stop();
    await refused;
  });

  test('can be stopped twice, and started again', async () => {
    const { loop, turn } = idleTurns();
    await loop.start();
    await Promise.all([loop.stop(), loop.stop()]);
    turn.mockClear();
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
    expect(turn).not.toHaveBeenCalled();
    await loop.start();
    expect(turn).toHaveBeenCalledTimes(1);
    await loop.stop();
  });
});

describe('waiting for a turn', () => {
  test('ends the pause, and is met by the first turn after which the condition holds', async () => {
    const { loop, turn } = idleTurns();
    await loop.start();
    const met = loop.until(() => turn.mock.calls.length >= 3, INTERVAL_MS);
    await vi.advanceTimersByTimeAsync(100);
    expect(await met).toBe(true);
    await loop.stop();
  });

  test('in vain ends in time, and costs few turns', async () => {
    const { loop, turn } = idleTurns();
    await loop.start();
    const met = loop.until(() => false, INTERVAL_MS);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS);
    expect(await met).toBe(false);
    expect(turn.mock.calls.length).toBeLessThan(12);
    expect(loop.waiters).toBe(0);
    await loop.stop();
  });

  test('ends unmet when the loop is stopped', async () => {
    const { loop } = idleTurns();
    await loop.start();
    const met = loop.until(() => false, INTERVAL_MS);
    await loop.stop();
    expect(await met).toBe(false);
  });

  test('is refused over a bound, rather than let them pile up', async () => {
    const { loop } = idleTurns();
    await loop.start();
    const waiting = Array.from({ length: 10_000 }, () => loop.until(() => false, INTERVAL_MS));
    expect(() => loop.until(() => false, INTERVAL_MS)).toThrow(UnavailableError);
    await loop.stop();
    await Promise.all(waiting);
  });
});
