/** When a difference is a mismatch: only if the log shows that nothing happened in between. */
import { expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { judge, type Side } from '../../src/verify/side.js';
import type { Truth } from '../../src/verify/truth.js';

const entry = (asOf: number, text: string | null, version = 3) =>
  new Entry(
    { version: asOf, fingerprint: '' },
    text === null ? 0 : version,
    text === null ? null : Buffer.from(text),
  );

/** Each look at either gives the next of its answers, and then the last one again. */
function outcomeOf(
  seen: (Entry | undefined)[],
  truth: Entry[],
  changed: ('no' | 'perhaps' | 'foreign')[] = ['no'],
) {
  const next = <T>(answers: T[]): T => (answers.length > 1 ? answers.shift() : answers[0]) as T; // none is empty
  const side: Side = { suspects: async () => [], observe: async () => next(seen) };
  const source = {
    page: async () => ({ asOf: 0, entries: new Map([['k', next(truth)]]) }),
    changedBetween: async () => next(changed),
  };
  return judge(side, 'k', 1, source as unknown as Truth).then(({ kind }) => kind); // what judge calls of it
}

test('the same value at any position is the same', async () => {
  expect(await outcomeOf([entry(5, 'a')], [entry(9, 'a')])).toBe('same');
  expect(await outcomeOf([entry(5, null)], [entry(9, null)])).toBe('same');
});

test('another value, version or absence without a change is a mismatch', async () => {
  expect(await outcomeOf([entry(5, 'a')], [entry(9, 'b')])).toBe('mismatch');
  expect(await outcomeOf([entry(5, 'a', 2)], [entry(9, 'a', 3)])).toBe('mismatch');
  expect(await outcomeOf([entry(5, 'a')], [entry(5, null)])).toBe('mismatch');
  expect(await outcomeOf([entry(5, null)], [entry(5, 'a')])).toBe('mismatch');
});

test('what may have changed in between is looked at again', async () => {
  const seen = [entry(5, 'a'), entry(9, 'b')];
  expect(await outcomeOf(seen, [entry(9, 'b')], ['perhaps', 'no'])).toBe('same');
  expect(await outcomeOf([entry(5, 'a')], [entry(9, 'b')], ['perhaps'])).toBe('unsettled');
});

test('a replica that is behind what it is compared with proves nothing', async () => {
  expect(await outcomeOf([entry(9, 'b')], [entry(5, 'a'), entry(9, 'b')])).toBe('same');
});

test('what is gone, or of another history, is of no use to anyone', async () => {
  expect(await outcomeOf([undefined], [entry(9, 'b')])).toBe('unused');
  expect(await outcomeOf([entry(5, 'a')], [entry(9, 'b')], ['foreign'])).toBe('unused');
});
