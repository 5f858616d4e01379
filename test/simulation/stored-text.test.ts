/** What the checkers read by the protocol's description is what readers write: a checker that could
 * read nothing would find nothing. */
import { describe, expect, test } from 'vitest';
import { decodeEntry, Entry, encodeEntry } from '../../src/core/entry.js';
import { encodeMark } from '../../src/core/mark.js';
import { parseEntry, parseMark } from '../support/stored-text.js';

const AT = { version: 42, fingerprint: 'h15fDaVD6GE0' };
const VALUES = [null, Buffer.alloc(0), Buffer.from('{"a":1}'), Buffer.from('"\n 7 v 1\nü"')];

describe('the texts of docs/protocol.md', () => {
  test.each(VALUES)('entries are read as they are written: %s', (value) => {
    const bytes = encodeEntry(new Entry(AT, value === null ? 0 : 41, value));
    expect(parseEntry(bytes)).toEqual({ value });
  });

  test('marks are read as they are written, that of an empty log, too', () => {
    for (const position of [AT, { version: 0, fingerprint: '' }]) {
      const mark = { generation: 'asked-7-reader_1-1', position };
      expect(parseMark(encodeMark(mark))).toEqual({ generation: mark.generation, ...position });
    }
  });

  test('a byte that is another one makes a miss, for readers as for checkers', () => {
    const bytes = encodeEntry(new Entry(AT, 41, Buffer.from('{"a":1}')));
    for (let index = 0; index < bytes.length; index += 1) {
      const damaged = Buffer.from(bytes);
      damaged[index] = (damaged[index] ?? 0) ^ 1;
      expect(parseEntry(damaged), `byte ${index}`).toBeUndefined();
      expect(decodeEntry(damaged, AT), `byte ${index}`).toBeUndefined();
    }
  });

  test.each(['', 'garbage', 'g', 'g x', 'g 7', 'g 7 f7', 'g 7 f7 1', 'g 7 f7 1 more'])(
    '%j is no mark',
    (text) => expect(parseMark(text)).toBeUndefined(),
  );
});
