import { expect, test } from 'vitest';
import { Repeats } from '../../src/repeats.js';

test('the first of a kind is told, then one in a while, with how many there were in between', () => {
  let nowMs = 0;
  const repeats = new Repeats(1_000, () => nowMs);
  expect(repeats.next('a')).toEqual({ heldBack: 0 });
  for (nowMs = 1; nowMs < 1_000; nowMs += 1) expect(repeats.next('a')).toBeUndefined();
  expect(repeats.next('b')).toEqual({ heldBack: 0 });
  expect(repeats.next('a')).toEqual({ heldBack: 999 });
  expect(repeats.next('a')).toBeUndefined();
  nowMs += 5_000;
  expect(repeats.next('a')).toEqual({ heldBack: 1 });
});
