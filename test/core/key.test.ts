import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketOf, keyFault } from '../../src/core/key.js';

describe('a key', () => {
  test.each(['a', 'a b', 'a ', 'A', '/', 'é', '😀'.repeat(255), '__proto__', 'constructor', '%2F'])(
    'may be %j',
    (key) => {
      expect(keyFault(key)).toBeUndefined();
    },
  );

  test.each([
    ['an empty one', ''],
    ['256 characters', 'x'.repeat(256)],
    ['256 characters of two code units', '😀'.repeat(256)],
    ['a control character', 'a\nb'],
    ['a NUL', 'a\u0000'],
    ['DEL', 'a\u007f'],
    ['a lone surrogate', 'a\ud800'],
    ['a number', 7],
    ['nothing', undefined],
  ])('may not be %s', (_, key) => {
    expect(keyFault(key)).toMatch(/^Expected a key/);
  });

  test('has one bucket, of those there are', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 1024 }), (key, buckets) => {
        const bucket = bucketOf(key, buckets);
        expect(bucket).toBe(bucketOf(key, buckets));
        expect(bucket >= 0 && bucket < buckets).toBe(true);
      }),
    );
  });
});
