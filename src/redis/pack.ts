/**
 * The entries of a page as one argument of apply.lua. An argument of its own for each would cost the
 * client more than all the rest of a page, and a small buffer of its own for each much memory.
 *
 * One after the other, in the order of their keys: `<kind><bytes> <encoded entry>`, where the kind is
 * `v` for a value, `-` for an absence, and `x` (with no bytes) for one to be removed.
 */
import { type Entry, headerOf } from '../core/entry.js';

const REMOVED = 'x0 ';
const NOTHING = Buffer.alloc(0);

/** @param entries undefined removes what is there */
export function packEntries(entries: readonly (Entry | undefined)[]): Buffer {
  const heads = entries.map(headOf);
  const length = entries.reduce(
    (sum, entry, index) => sum + (heads[index]?.length ?? 0) + (entry?.value?.length ?? 0),
    0,
  );
  const packed = Buffer.allocUnsafe(length);
  let end = 0;
  for (const [index, head] of heads.entries()) {
    // A call out of JavaScript for so few characters takes longer than they do.
    for (let at = 0; at < head.length; at++) packed[end++] = head.charCodeAt(at);
    const value = entries[index]?.value ?? NOTHING;
    packed.set(value, end);
    end += value.length;
  }
  return packed;
}

function headOf(entry: Entry | undefined): string {
  if (entry === undefined) return REMOVED;
  const header = headerOf(entry);
  const bytes = header.length + (entry.value?.length ?? 0);
  return `${entry.value === null ? '-' : 'v'}${bytes} ${header}`;
}
