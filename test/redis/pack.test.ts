import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Entry, encodeEntry } from '../../src/core/entry.js';
import { packEntries } from '../../src/redis/pack.js';

const at = { version: 9, fingerprint: 'Ab-_9' };
const entries = fc
  .tuple(fc.maxSafeNat(), fc.option(fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b))))
  .map(([version, value]) => new Entry(at, version, value));

/** As apply.lua takes them apart. */
function unpacked(packed: Buffer): { kind: string; bytes: Buffer }[] {
  const found: { kind: string; bytes: Buffer }[] = [];
  for (let at = 0; at < packed.length; ) {
    const [head, kind = '', bytes] = /^(.)(\d+) /.exec(packed.toString('latin1', at)) ?? [];
    if (head === undefined) throw new Error(`Expected an entry at ${at}`);
    at += head.length;
    found.push({ kind, bytes: packed.subarray(at, at + Number(bytes)) });
    at += Number(bytes);
  }
  return found;
}

test('entries are packed in their order, any bytes of them, absences and removals', () => {
  fc.assert(
    fc.property(fc.array(fc.option(entries, { nil: undefined })), (page) => {
      expect(unpacked(packEntries(page))).toEqual(
        page.map((entry) => ({
          kind: entry === undefined ? 'x' : entry.value === null ? '-' : 'v',
          bytes: entry === undefined ? Buffer.alloc(0) : encodeEntry(entry),
        })),
      );
    }),
  );
});
