import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Carrier, parseExecutedSet, parseSlavePosition } from '../../src/core/gtid.js';

const A = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const B = '4fa62a58-9e30-11f0-8a2f-0242ac120002';

/** What to wait for after the given sets, each with whether the polls since the one before had news. */
function next(...sets: [text: string, news?: boolean][]): string | undefined {
  const carrier = new Carrier();
  for (const [text, news = false] of sets) {
    carrier.observe(text.includes(':') ? parseExecutedSet(text) : parseSlavePosition(text), news);
  }
  return carrier.next;
}

describe("MySQL's set of executed GTIDs", () => {
  test.each([
    ['nothing', '', {}],
    ['one transaction', `${A}:1`, { [`${A}:`]: [1n] }],
    ['an interval', `${A}:1-5`, { [`${A}:`]: [5n] }],
    ['gaps', `${A}:1-5:7:9-11`, { [`${A}:`]: [5n, 7n, 11n] }],
    ['two servers', `${A}:1-5,\n${B}:3`, { [`${A}:`]: [5n], [`${B}:`]: [3n] }],
    [
      'tags',
      `${A}:1-5:ab:1-2:c_d:7:9`,
      { [`${A}:`]: [5n], [`${A}:ab:`]: [2n], [`${A}:c_d:`]: [7n, 9n] },
    ],
    ['a tag only', `${A}:ab:1`, { [`${A}:ab:`]: [1n] }],
    ['the largest number', `${A}:1-9223372036854775806`, { [`${A}:`]: [9223372036854775806n] }],
  ])('is read with %s', (_, text, expected) => {
    expect(Object.fromEntries(parseExecutedSet(text))).toEqual(expected);
  });

  test.each([
    'x',
    A,
    `${A}:`,
    `${A}:tag`,
    `${A}:1-`,
    `${A}:1-5;2`,
    `${A}:1:tag`,
    "1'; DROP TABLE x",
  ])('is refused when it is %j', (text) => {
    expect(() => parseExecutedSet(text)).toThrow(TypeError);
  });

  test('of any shape is read as it was written', () => {
    const numbers = fc.uniqueArray(fc.bigInt(1n, 2n ** 62n), { minLength: 1, maxLength: 6 });
    const words = fc.uniqueArray(fc.stringMatching(/^[a-z_][a-z0-9_]{0,31}$/), { maxLength: 3 });
    const server = fc.tuple(numbers, fc.array(numbers, { minLength: 3, maxLength: 3 }), words);
    fc.assert(
      fc.property(fc.dictionary(fc.uuid(), server), (servers) => {
        const expected = new Map<string, readonly bigint[]>();
        const texts = Object.entries(servers).map(([uuid, [plain, ofTags, tags]]) => {
          expected.set(`${uuid}:`, plain);
          tags.forEach((tag, index) => {
            expected.set(`${uuid}:${tag}:`, ofTags[index] ?? []);
          });
          const tagged = tags.flatMap((tag, index) => [tag, ...(ofTags[index] ?? [])]);
          return [uuid, ...plain, ...tagged].join(':');
        });
        expect(parseExecutedSet(texts.join(',\n'))).toEqual(expected);
      }),
    );
  });
});

test("MariaDB's position is read, and anything else is refused", () => {
  expect([...parseSlavePosition('0-1-100,7-99-3')]).toEqual([
    ['0-1-', [100n]],
    ['7-99-', [3n]],
  ]);
  expect(parseSlavePosition('').size).toBe(0);
  expect(() => parseSlavePosition('0-1')).toThrow(TypeError);
});

describe('the GTID to wait for', () => {
  test('is none when there is no stream', () => {
    expect(next(['', false])).toBeUndefined();
  });

  test('is the next one of the only stream', () => {
    expect(next([`${A}:1-5`])).toBe(`${A}:6`);
    expect(next([`${A}:1-5`], [`${A}:1-9`, true])).toBe(`${A}:10`);
    expect(next([`${A}:ab:1-5`])).toBe(`${A}:ab:6`);
    expect(next(['0-1-5'], ['0-1-6', true])).toBe('0-1-7');
  });

  test('is of the longest stream while nothing is known', () => {
    expect(next([`${A}:1-5,${B}:1-70`])).toBe(`${B}:71`);
  });

  test('is of the stream that moved when news came', () => {
    expect(next([`${A}:1-5,${B}:1-70`], [`${A}:1-6,${B}:1-70`, true])).toBe(`${A}:7`);
    expect(next([`${A}:1-5,${B}:1-70`], [`${A}:1-6,${B}:1-70`, false])).toBe(`${B}:71`);
  });

  test('after a failover, is of the new source with the first news from it', () => {
    const before: [string, boolean][] = Array.from({ length: 50 }, (_, n) => [
      `${A}:1-${n + 5}`,
      true,
    ]);
    expect(next(...before, [`${A}:1-54,${B}:1`, true])).toBe(`${B}:2`);
    expect(next(['0-1-5'], ['0-1-6', true], ['0-2-7', true])).toBe('0-2-8');
    expect(next(['0-1-5'], ['0-1-6', true], ['0-2-7', false])).toBe('0-2-8');
  });

  test('is of the quieter one of two streams that both move with all news', () => {
    const sets: [string, boolean][] = Array.from({ length: 40 }, (_, n) => [
      `${A}:1-${Math.floor(n / 4) + 1},${B}:1-${100 + n}`,
      n % 4 === 0,
    ]);
    expect(next(...sets)).toBe(`${A}:11`);
  });

  test('follows the interval that grows, in a set with gaps', () => {
    // Blocks of numbers per member of a group; parallel appliers that do not keep the order.
    expect(next([`${A}:1-5:1000-1005`])).toBe(`${A}:1006`);
    expect(next([`${A}:1-5:1000-1005`], [`${A}:1-6:1000-1005`, true])).toBe(`${A}:7`);
    expect(next([`${A}:1-5`], [`${A}:1-5:7`, true])).toBe(`${A}:8`);
    expect(next([`${A}:1-5`], [`${A}:1-5:7`, true], [`${A}:1-7`, true])).toBe(`${A}:8`);
  });

  test('starts over when the set is another one', () => {
    expect(next([`${A}:1-5`], [`${A}:1-6`, true], [`${A}:1-2`, false])).toBe(`${A}:3`);
    expect(next([`${A}:1-5`], [`${A}:1-6`, true], [`${B}:1-2`, false])).toBe(`${B}:3`);
  });

  test('is of the one that moved alone at the last news, whatever happened before and after', () => {
    const moves = fc.tuple(fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(moves), fc.nat(2), fc.array(moves), (before, alone, after) => {
        const ends = [1, 10, 100];
        const carrier = new Carrier();
        const observe = (moved: readonly boolean[], news: boolean) => {
          moved.forEach((isMoved, index) => {
            if (isMoved) ends[index] = (ends[index] ?? 0) + 1;
          });
          const text = ends.map((end, index) => `${index}-1-${end}`).join(',');
          carrier.observe(parseSlavePosition(text), news);
        };
        observe([false, false, false], false);
        for (const [moved, news] of before) observe(moved, news);
        observe(
          [0, 1, 2].map((index) => index === alone),
          true,
        );
        for (const [moved] of after) observe(moved, false);
        expect(carrier.next).toBe(`${alone}-1-${(ends[alone] ?? 0) + 1}`);
      }),
    );
  });
});
