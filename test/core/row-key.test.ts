import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_COLLECTION, describeCollection } from '../../src/core/collection.js';
import {
  keyPartsOf,
  keyTextOf,
  keyTextSql,
  literal,
  valueSql,
  wholePartsOf,
} from '../../src/core/row-key.js';

const PARTS = fc.array(fc.string({ unit: fc.constantFrom('a', '/', '%', '2', '5', 'F', ' ') }), {
  minLength: 2,
  maxLength: 4,
});

describe('the text of a key', () => {
  test('of one column is its text, whatever is in it', () => {
    expect(keyTextOf(['a/b%2F'])).toBe('a/b%2F');
    expect(keyPartsOf('a/b%2F', 1)).toEqual(['a/b%2F']);
  });

  test('of several has a slash between them, and none within', () => {
    expect(keyTextOf(['eu', 'db/main', '100%'])).toBe('eu/db%2Fmain/100%25');
  });

  test('is read back as the parts that it is of, for any parts', () => {
    fc.assert(
      fc.property(PARTS, (parts) => {
        expect(keyPartsOf(keyTextOf(parts), parts.length)).toEqual(parts);
      }),
    );
  });

  test('is one for each row: what is read as parts is their text, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '/', '%', '2', '5', 'F') }), (text) => {
        const parts = keyPartsOf(text, 2);
        if (parts !== undefined) expect(keyTextOf(parts)).toBe(text);
      }),
    );
  });

  test.each(['a', 'a/b/c', 'a/%', 'a/%2f', 'a/%41', ''])('%j is no key of two columns', (text) => {
    expect(keyPartsOf(text, 2)).toBeUndefined();
  });

  test.each([
    ['eu/db%2Fm', ['eu']],
    ['e', []],
    ['', []],
    ['eu/a/', ['eu', 'a']],
    ['eu/a/b/c', ['eu', 'a']],
  ])('that begins with %j is known to have the parts %j', (prefix, parts) => {
    expect(wholePartsOf(prefix, 2)).toEqual(parts);
  });
});

describe('in SQL', () => {
  const several = describeCollection({ table: 't', key: ['a', 'b`c'], value: ["it's", 'v'] });

  test('one column is its text in UTF-8', () => {
    expect(keyTextSql(DEFAULT_COLLECTION, 'NEW')).toBe('CONVERT(NEW.`config_key` USING utf8mb4)');
    expect(valueSql(DEFAULT_COLLECTION, 't')).toBe('t.`config_value`');
  });

  test('several columns are escaped and joined, and their values are one object', () => {
    const part = (column: string) =>
      `REPLACE(REPLACE(CONVERT(OLD.${column} USING utf8mb4) COLLATE utf8mb4_bin, '%', '%25'), '/', '%2F')`;
    expect(keyTextSql(several, 'OLD')).toBe(`CONCAT_WS('/', ${part('`a`')}, ${part('`b``c`')})`);
    expect(valueSql(several, 't')).toBe(
      "JSON_OBJECT(CONVERT(0x69742773 USING utf8mb4), t.`it's`, 'v', t.`v`)",
    );
  });

  test.each([
    ['plain_1-$. name', "'plain_1-$. name'"],
    ["'; DROP", 'CONVERT(0x273b2044524f50 USING utf8mb4)'],
    ['\\', 'CONVERT(0x5c USING utf8mb4)'],
    ['é', 'CONVERT(0xc3a9 USING utf8mb4)'],
  ])('the text %j is %s, under each sql_mode', (text, sql) => {
    expect(literal(text)).toBe(sql);
  });
});
