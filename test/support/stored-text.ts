/**
 * Reads the texts that readers keep in Redis, as docs/protocol.md describes them. For checkers, so it
 * shares no code with what is checked.
 *
 *     mark   <generation> <version> <fingerprint> <crc32>
 *     entry  <version> <v|-> <crc32>\n<value>
 */
import { crc32 } from 'node:zlib';

export interface StoredMark {
  readonly generation: string;
  readonly version: number;
  readonly fingerprint: string;
}

/** Undefined when a reader would not take it for a mark. */
export function parseMark(text: string): StoredMark | undefined {
  const [generation, version, fingerprint, checksum, ...rest] = text.split(' ');
  if (generation === undefined || version === undefined || fingerprint === undefined)
    return undefined;
  if (rest.length > 0 || String(crc32(`${generation} ${version} ${fingerprint}`)) !== checksum) {
    return undefined;
  }
  // Of a log that has no row there is none.
  return {
    generation,
    version: Number(version),
    fingerprint: fingerprint === '-' ? '' : fingerprint,
  };
}

/** Its value, null for an absence. Undefined when a reader would not take it for an entry. */
export function parseEntry(bytes: Buffer | null): { readonly value: Buffer | null } | undefined {
  const end = bytes?.indexOf('\n') ?? -1;
  if (bytes === null || end < 0) return undefined;
  const [version = '', kind = '', checksum = ''] = bytes.toString('latin1', 0, end).split(' ');
  const value = bytes.subarray(end + 1);
  if (String(crc32(value, crc32(`${version} ${kind}`))) !== checksum) return undefined;
  if (kind === 'v') return { value };
  return kind === '-' && value.length === 0 ? { value: null } : undefined;
}
