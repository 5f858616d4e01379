import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBatchBody } from '../../src/http/batch-body.js';
import { InvalidBatchError } from '../../src/writer/write-errors.js';

const bytes = (text: string) => Buffer.from(text, 'utf8');
const parse = (text: string) => parseBatchBody(bytes(text));
const refused = (text: string) => expect(() => parse(text)).toThrow(InvalidBatchError);

/** JSON texts as people write them: with whitespace, escapes and numbers that no double holds. */
const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
const word = fc.oneof(
  fc.jsonValue().map((value) => JSON.stringify(value)),
  fc.bigInt().map(String),
  fc.constantFrom('1e400', '-0', '0.10', '"\\u00e9\\ud800"', '"a\\"}],"', '"\\\\"', '[]', '{}'),
);
const { document } = fc.letrec<{ document: string; value: string }>((tie) => ({
  document: fc.tuple(space, tie('value'), space).map((parts) => parts.join('')),
  value: fc.oneof(
    { depthSize: 'small' },
    word,
    fc.array(tie('document'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    fc
      .array(fc.tuple(space, fc.string(), space, tie('document')), { maxLength: 4 })
      .map((members) => {
        const texts = members.map(([before, name, after, value]) => {
          return `${before}${JSON.stringify(name)}${after}:${value}`;
        });
        return `{${texts.join(',')}}`;
      }),
  ),
}));

describe('the body of a batch', () => {
  it('gives each document back byte for byte', () => {
    const puts = fc.uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), document), {
      selector: ([key]) => key,
      maxLength: 6,
    });
    fc.assert(
      fc.property(puts, fc.array(fc.string()), space, (entries, deletes, gap) => {
        const members = entries.map(
          ([key, value]) => `${gap}${JSON.stringify(key)}${gap}:${value}`,
        );
        const body = `${gap}{"put":${gap}{${members.join(',')}}${gap},"delete":${gap}${JSON.stringify(deletes)}}${gap}`;
        const batch = parse(body);
        const trimmed = entries.map(([key, value]) => [
          key,
          value.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, ''),
        ]);
        expect([...batch.put]).toEqual(trimmed);
        expect(batch.delete).toEqual(deletes);
      }),
      { numRuns: 500 },
    );
  });

  it('never fails otherwise than by refusing, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(bytes)), (body) => {
        try {
          parseBatchBody(body);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidBatchError);
        }
      }),
    );
  });

  it('takes __proto__ and constructor for keys like any other', () => {
    const { put } = parse('{"put": {"__proto__": {"a": 1}, "constructor": null}}');
    expect([...put]).toEqual([
      ['__proto__', '{"a": 1}'],
      ['constructor', 'null'],
    ]);
  });

  it('refuses a key given twice, also when it is written in two ways', () => {
    refused('{"put": {"a": 1, "a": 2}}');
    refused('{"put": {"a": 1, "\\u0061": 2}}');
    refused('{"put": {}, "put": {}}');
  });

  it('refuses another shape', () => {
    for (const text of [
      '',
      'null',
      '[]',
      '1',
      '{',
      '{"put": []}',
      '{"put": null}',
      '{"puts": {}}',
    ]) {
      refused(text);
    }
    for (const text of ['{"delete": "a"}', '{"delete": [1]}', '{"delete": {}}', '\ufeff{}']) {
      refused(text);
    }
    expect(() => parseBatchBody(Buffer.from([0x7b, 0xff, 0x7d]))).toThrow(InvalidBatchError);
  });

  it('refuses a million opening brackets, and takes a deep document, without recursion', () => {
    refused('['.repeat(1_000_000));
    refused(`{"put": {"a": ${'['.repeat(1_000_000)}`);
    const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`;
    expect(parse(`{"put": {"a": ${deep}}}`).put.get('a')).toBe(deep);
  });

  it('does not repeat the document in its message', () => {
    expect(() => parse('{"put": {"a": secret}}')).toThrow(/^(?!.*secret).*$/s);
  });
});
