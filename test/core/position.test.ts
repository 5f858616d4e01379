import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cutPage,
  decide,
  decideMark,
  keysOf,
  type LogRow,
  type LogSnapshot,
  type Position,
  positionOf,
} from '../../src/core/position.js';

const row = (version: number, key = `k${version % 3}`, epoch = 0): LogRow => ({
  version,
  table: 'configs',
  key,
  changedAt: `at ${version}.${epoch}`,
});
const rows = (from: number, to: number, epoch = 0) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) =>
    row(from + index, undefined, epoch),
  );
const snapshot = (head: number, logged: readonly LogRow[]): LogSnapshot => ({
  head,
  beatAtMs: 0,
  clockMs: 0,
  rows: logged,
});
const at = (version: number): Position => positionOf(row(version));

describe('the poll decision', () => {
  test('is idle at the head of an unchanged log', () => {
    expect(decide(at(5), snapshot(5, rows(5, 5)))).toEqual({ kind: 'idle' });
  });

  test('takes all rows after the position, none twice and none left out', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(40), fc.nat(10), (from, more, cut) => {
        const head = from + more;
        const logged = rows(from, Math.max(from, head - cut));
        const verdict = decide(at(from), snapshot(head, logged));
        const versions =
          verdict.kind === 'page' ? verdict.page.rows.map(({ version }) => version) : [];
        expect(versions).toEqual(logged.slice(1).map(({ version }) => version));
        if (verdict.kind === 'page') expect(verdict.page.to).toEqual(at(versions.at(-1) ?? 0));
      }),
    );
  });

  test('never hands out a page over a hole, wherever it is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 30 }), fc.nat(29), (length, index) => {
        const hole = 2 + (index % (length - 1)); // a row after the position's own
        const logged = rows(1, length + 1).filter(({ version }) => version !== hole);
        const verdict = decide(at(1), snapshot(length + 1, logged));
        if (hole === 2) expect(verdict).toEqual({ kind: 'rebase', reason: 'gap' });
        else expect(verdict).toMatchObject({ kind: 'page', page: { to: { version: hole - 1 } } });
      }),
    );
  });

  test.each([
    ['the position was pruned', snapshot(9, rows(6, 9)), 'pruned'],
    ['the tail of the log is missing', snapshot(9, rows(5, 5)), 'gap'],
    ['the log is empty', snapshot(9, []), 'gap'],
    ['another history stands at the position', snapshot(9, rows(5, 9, 1)), 'diverged'],
  ])('starts again when %s', (_, seen, reason) => {
    expect(decide(at(5), seen)).toEqual({ kind: 'rebase', reason });
  });

  test('knows a head below the position, whatever rows there are', () => {
    expect(decide(at(5), snapshot(4, rows(3, 4)))).toEqual({ kind: 'behind' });
    expect(decide(at(5), snapshot(4, []))).toEqual({ kind: 'behind' });
  });

  test('goes on from a position whose row the log never showed', () => {
    const nameless = { version: 5, fingerprint: '' };
    expect(decide(nameless, snapshot(5, []))).toEqual({ kind: 'idle' });
    expect(decide(nameless, snapshot(7, rows(6, 7)))).toMatchObject({ kind: 'page' });
    expect(decide(nameless, snapshot(7, rows(7, 7)))).toEqual({ kind: 'rebase', reason: 'gap' });
  });

  test('tells apart rows that differ only in key, table or time', () => {
    const others: LogRow[] = [
      { ...row(5), key: 'other' },
      { ...row(5), table: 'other' },
      { ...row(5), changedAt: 'another time' },
    ];
    for (const other of others) {
      expect(decide(at(5), snapshot(5, [other]))).toMatchObject({ reason: 'diverged' });
    }
  });
});

describe('the judgement of a mark by a snapshot polled for another position', () => {
  const polled = { from: 5, limit: 4 };

  test('is the poll decision where the snapshot covers the mark', () => {
    expect(decideMark(at(5), snapshot(7, rows(5, 7)), polled)).toMatchObject({ kind: 'page' });
    expect(decideMark(at(7), snapshot(7, rows(5, 7)), polled)).toEqual({ kind: 'idle' });
    const rewritten = snapshot(7, [...rows(5, 6), ...rows(7, 7, 1)]);
    expect(decideMark(at(7), rewritten, polled)).toMatchObject({ reason: 'diverged' });
  });

  test('is open where the mark lies before the snapshot or beyond its page', () => {
    expect(decideMark(at(4), snapshot(7, rows(5, 7)), polled)).toEqual({ kind: 'unseen' });
    expect(decideMark(at(10), snapshot(20, rows(5, 8)), polled)).toEqual({ kind: 'unseen' });
  });

  test('is "behind" for a mark beyond the head, and a gap where the log should have shown it', () => {
    expect(decideMark(at(8), snapshot(7, rows(5, 7)), polled)).toEqual({ kind: 'behind' });
    expect(decideMark(at(7), snapshot(7, rows(5, 6)), polled)).toMatchObject({ reason: 'gap' });
  });
});

describe('a page', () => {
  const page = { from: at(1), to: at(6), rows: rows(2, 6) };

  test('names each key of the tracked table once', () => {
    const mixed = { ...page, rows: [...page.rows, { ...row(7), table: 'other', key: 'x' }] };
    expect(keysOf(mixed, 'configs')).toEqual(['k2', 'k0', 'k1']);
  });

  test('is cut so that its values fit, and never to nothing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(100), { minLength: 3, maxLength: 3 }),
        fc.nat(300),
        (each, max) => {
          const sizes = new Map(each.map((bytes, index) => [`k${index}`, bytes]));
          const cut = cutPage(page, sizes, max);
          const bytes = keysOf(cut, 'configs').reduce((sum, key) => sum + (sizes.get(key) ?? 0), 0);
          expect(cut.rows.length).toBeGreaterThan(0);
          expect(cut.rows.length === 1 || bytes <= max).toBe(true);
          expect(cut.rows).toEqual(page.rows.slice(0, cut.rows.length));
          expect(cut.to.version).toBe(cut.rows.at(-1)?.version);
        },
      ),
    );
  });
});
