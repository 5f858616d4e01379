import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEntry, Entry, encodeEntry, etagOf } from '../../src/core/entry.js';
import { decodeMark, encodeMark } from '../../src/core/mark.js';

const at = (version: number) => ({ version, fingerprint: 'Ab-_9' });
const versions = fc.maxSafeNat();
const positions = fc.record({
  version: versions,
  fingerprint: fc.stringMatching(/^([A-Za-z0-9_-]{12})?$/),
});
const values = fc.option(fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)));
const entries = fc
  .tuple(positions, versions, values)
  .map(([at, version, value]) => new Entry(at, version, value));

describe('an encoded entry', () => {
  test('decodes to what it was, for any bytes and for absences', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const decoded = decodeEntry(encodeEntry(entry), entry.at);
        expect(decoded?.at).toEqual(entry.at);
        expect(decoded?.version).toBe(entry.version);
        expect(decoded?.value).toEqual(entry.value);
      }),
    );
  });

  test('is a miss when any byte of it is another one, or it was cut or lengthened', () => {
    fc.assert(
      fc.property(entries, fc.nat(), fc.integer({ min: 1, max: 255 }), (entry, where, flip) => {
        const bytes = encodeEntry(entry);
        const index = where % bytes.length;
        const flipped = Buffer.from(bytes);
        flipped[index] = (flipped[index] ?? 0) ^ flip;
        expect(decodeEntry(flipped, at(1))).toBeUndefined();
        expect(decodeEntry(bytes.subarray(0, index), at(1))).toBeUndefined();
        expect(decodeEntry(Buffer.concat([bytes, Buffer.from('x')]), at(1))).toBeUndefined();
      }),
    );
  });
});

describe('an entry', () => {
  test('has a tag that tells apart versions, and values of one version', () => {
    const tags = [
      etagOf(1, Buffer.from('a')),
      etagOf(2, Buffer.from('a')),
      etagOf(1, Buffer.from('b')),
    ];
    expect(new Set(tags).size).toBe(3);
    expect(new Entry(at(9), 1, Buffer.from('a')).etag).toBe(tags[0]);
    expect(new Entry(at(9), 0, null).etag).toBeUndefined();
  });

  test('gives its JSON parsed once and frozen all the way down', () => {
    const entry = new Entry(at(1), 1, Buffer.from('{"a":[{"b":null}],"__proto__":{"c":1}}'));
    expect(entry.json).toBe(entry.json);
    expect(Object.isFrozen((entry.json as { a: unknown[] }).a[0])).toBe(true);
    expect(Object.hasOwn(entry.json as object, '__proto__')).toBe(true);
  });

  test('throws for text that is not JSON rather than give something else', () => {
    expect(() => new Entry(at(1), 1, Buffer.from('not json')).json).toThrow(SyntaxError);
  });
});

test('an encoded mark decodes to what it was', () => {
  fc.assert(
    fc.property(positions, (position) => {
      const mark = { generation: 'Ab-_9', position };
      expect(decodeMark(encodeMark(mark))).toEqual(mark);
    }),
  );
});

test('a mark of which any character is another one is none', () => {
  fc.assert(
    fc.property(positions, fc.nat(), fc.stringMatching(/^[ -~]$/), (position, where, other) => {
      const text = encodeMark({ generation: 'Ab-_9', position });
      const index = where % text.length;
      const changed = `${text.slice(0, index)}${other}${text.slice(index + 1)}`;
      if (changed !== text) expect(decodeMark(changed)).toBeUndefined();
    }),
  );
});

test.each([
  '',
  'g',
  'g x fp 1',
  'g 1',
  'g 1 fp',
  'g 1 fp fp',
  '{} 1 x 1',
  'g 99999999999999999 x 1',
])('what is not a mark is none: %j', (text) => {
  expect(decodeMark(text)).toBeUndefined();
});
