import { describe, expect, test } from 'vitest';
import { type Look, Stretch } from '../../src/core/audit.js';
import { type LogRow, type Page, type Position, positionOf } from '../../src/core/position.js';

const row = (version: number, key = 'other', epoch = 0): LogRow => ({
  version,
  table: 'configs',
  key,
  changedAt: `at ${version}.${epoch}`,
});
const at = (version: number, key?: string, epoch?: number): Position =>
  positionOf(row(version, key, epoch));
const look = (where: Position, etag?: string): Look => ({ at: where, etag });

/** From version 5 on, with one page of the changes of these keys. */
function stretch(...keys: string[]): Stretch {
  const made = new Stretch(at(5));
  const rows = keys.map((key, index) => row(6 + index, key));
  const last = rows.at(-1);
  if (last === undefined) return made;
  const page: Page = { from: at(5), to: positionOf(last), rows };
  made.add(page, keys);
  return made;
}

describe('over a stretch of the log that does not name the key', () => {
  test.each<[string, string | undefined, string | undefined]>([
    ['another value', '"4-old"', '"4-new"'],
    ['a row that is gone', '"4-old"', undefined],
    ['a row that was absent', undefined, '"0-new"'],
  ])('%s is a mismatch', (_, held, found) => {
    expect(stretch().judge('a', look(at(5), held), look(at(5), found))).toBe('mismatch');
    const later = stretch('b', 'c');
    expect(later.judge('a', look(at(5), held), look(at(7, 'c'), found))).toBe('mismatch');
    expect(later.judge('a', look(at(6, 'b'), held), look(at(5), found))).toBe('mismatch');
  });

  test('the same is the same, an absence too', () => {
    expect(stretch().judge('a', look(at(5), '"4-x"'), look(at(5), '"4-x"'))).toBe('same');
    expect(stretch().judge('a', look(at(5)), look(at(5)))).toBe('same');
  });
});

describe('a difference is left open', () => {
  const [old, other] = ['"4-old"', '"6-new"'];

  test('when the key changed on the way, and when it may have', () => {
    expect(stretch('a').judge('a', look(at(5), old), look(at(6, 'a'), other))).toBe('open');
    expect(stretch('a', 'b').judge('a', look(at(7, 'b'), old), look(at(5), other))).toBe('open');
  });

  test('when one look is beyond the end, or before the start', () => {
    expect(stretch('b').judge('a', look(at(5), old), look(at(7), other))).toBe('open');
    expect(stretch('b').judge('a', look(at(4), old), look(at(6, 'b'), other))).toBe('open');
  });

  test('when one look is at the same version of another history', () => {
    const elsewhere = at(6, 'b', 1);
    expect(stretch('b').judge('a', look(at(5), old), look(elsewhere, other))).toBe('open');
    expect(stretch('b').judge('a', look(elsewhere, old), look(at(5), other))).toBe('open');
  });

  test('when the reader started again meanwhile', () => {
    const broken = stretch('b');
    broken.break();
    expect(broken.judge('a', look(at(5), old), look(at(5), other))).toBe('open');
  });
});
