import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Spacing } from '../../src/core/spacing.js';

const BUSY_MS = 2;

describe('the pause after a wake', () => {
  test('doubles while wakes bring nothing, and is none after one that did', () => {
    const spacing = new Spacing(250);
    const pauses = [false, false, false, false, true, false].map((news) => {
      spacing.ended(news, BUSY_MS);
      return spacing.pauseMs;
    });
    expect(pauses).toEqual([8, 16, 32, 32, 0, 8]);
  });

  test('is none after a long wait: the database is not busy', () => {
    const spacing = new Spacing(250);
    spacing.ended(false, BUSY_MS);
    spacing.ended(false, 100);
    expect(spacing.pauseMs).toBe(0);
  });

  test('is never longer than the poll interval', () => {
    const spacing = new Spacing(5);
    for (let wake = 0; wake < 9; wake++) spacing.ended(false, 0);
    expect(spacing.pauseMs).toBe(5);
  });

  test('leaves at most 50 wakes a second, those with news aside, on any database', () => {
    const wakes = fc.array(fc.tuple(fc.nat(40), fc.nat(9)), { minLength: 200, maxLength: 400 });
    fc.assert(
      fc.property(wakes, (all) => {
        const spacing = new Spacing(250);
        let nowMs = 0;
        let vain = 0;
        let news = 0;
        for (const [waitedMs, dice] of all) {
          nowMs += spacing.pauseMs + waitedMs;
          const hasNews = dice === 0; // one in ten
          if (hasNews) news += 1;
          else vain += 1;
          spacing.ended(hasNews, waitedMs);
        }
        // After each one with news, three quick ones in vain may come.
        expect(vain).toBeLessThanOrEqual((nowMs / 1000) * 32 + (news + 1) * 3);
      }),
    );
  });
});
