/** Floods of reads that wait for a version which never comes: how often MySQL-B is polled meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { UnavailableError } from '../../src/errors.js';
import { PollLoop } from '../../src/reader/poll-loop.js';

const ROUND_MS = 1_000;

/** Calls `flood` again and again for a while. Returns the turns in a second.
 * @param fails from when on the turns do */
async function turnsPerSecond(
  flood: (loop: PollLoop) => void,
  fails: (turns: number) => boolean = () => false,
): Promise<number> {
  let turns = 0;
  const loop = new PollLoop({
    turn: async () => {
      turns += 1;
      if (fails(turns)) throw new UnavailableError('Expected MySQL-B, it is away.');
      return false;
    },
    intervalMs: 250,
    random: () => 0.5,
    onFailure: () => undefined,
  });
  onTestFinished(() => loop.stop());
  await loop.start();
  const startMs = performance.now();
  const before = turns;
  while (performance.now() < startMs + ROUND_MS) {
    flood(loop);
    await sleep(1);
  }
  return ((turns - before) * 1_000) / (performance.now() - startMs);
}

test('10,000 that wait at once cost no more polls than one; one more is refused', async () => {
  let isFirst = true;
  const turns = await turnsPerSecond((loop) => {
    if (!isFirst) return;
    isFirst = false;
    for (let one = 0; one < 10_000; one += 1) void loop.until(() => false, 60_000);
    expect(loop.waiters).toBe(10_000);
    expect(() => loop.until(() => false, 60_000)).toThrow(UnavailableError);
  });
  expect(turns).toBeLessThan(20);
});

test('a stream of them makes the polls quick, and never back to back', async () => {
  const turns = await turnsPerSecond((loop) => {
    for (let one = 0; one < 5; one += 1) void loop.until(() => false, 20);
  });
  // Not more than one each 4 ms, the pause at its quickest.
  expect(turns).toBeLessThan(300);
});

test('a MySQL-B that is away is not asked more often because many wait', async () => {
  const turns = await turnsPerSecond(
    (loop) => {
      for (let one = 0; one < 5; one += 1) void loop.until(() => false, 20);
    },
    (count) => count > 1,
  );
  expect(turns).toBeLessThan(10);
});
