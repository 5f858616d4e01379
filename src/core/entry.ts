/**
 * An entry: what one key was in one snapshot of the database, a value or its absence.
 *
 * Its as-of is the head of that snapshot; the fingerprint there tells whether the snapshot is still
 * part of history. In Redis an entry is one string, `<version> <kind> <crc32>\n<value>`, kind `v` for
 * a value and `-` for an absence, and its as-of is the mark's position (R1). The checksum covers all
 * the rest; a string that does not decode is a miss.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Position } from './position.js';

export class Entry {
  #etag: string | undefined;
  #parsed: { readonly json: unknown } | undefined;

  /**
   * @param at head of the snapshot this was read from
   * @param version the row's version; 0 for an absence
   * @param value the stored bytes; null for an absence
   */
  constructor(
    readonly at: Position,
    readonly version: number,
    readonly value: Buffer | null,
  ) {}

  get asOf(): number {
    return this.at.version;
  }

  /** A strong HTTP entity tag, quotes included: version and content, so that it also tells apart
   * two histories that gave one version to two values. Undefined for an absence. */
  get etag(): string | undefined {
    if (this.value === null) return undefined;
    this.#etag ??= etagOf(this.version, this.value);
    return this.#etag;
  }

  /** The value as parsed JSON, frozen, parsed once. Undefined for an absence.
   * @throws SyntaxError when the stored text is not JSON (plain SQL can store any text) */
  get json(): unknown {
    if (this.value === null) return undefined;
    this.#parsed ??= { json: deepFreeze(JSON.parse(this.value.toString('utf8'))) };
    return this.#parsed.json;
  }
}

/** `"<version>-<first 16 hex digits of the SHA-256 of the value>"`, quotes included. */
export function etagOf(version: number, value: Uint8Array): string {
  return etagFrom(version, createHash('sha256').update(value).digest('hex'));
}

/** The same, of a value whose SHA-256 is known, in lower-case hexadecimal. */
export function etagFrom(version: number, sha256: string): string {
  return `"${version}-${sha256.slice(0, 16)}"`;
}

const HEADER = /^((\d{1,16}) ([v-])) (\d{1,10})\n/;
const HEADER_MAX_BYTES = 16 + 1 + 1 + 1 + 10 + 1;

/** What stands before the value: ASCII. */
export function headerOf({ version, value }: Entry): string {
  const head = `${version} ${value === null ? '-' : 'v'}`;
  return `${head} ${checksum(head, value ?? NOTHING)}\n`;
}

export function encodeEntry(entry: Entry): Buffer {
  const header = headerOf(entry);
  const value = entry.value ?? NOTHING;
  const bytes = Buffer.allocUnsafe(header.length + value.length);
  bytes.write(header, 'latin1');
  bytes.set(value, header.length);
  return bytes;
}

const NOTHING = Buffer.alloc(0);

function checksum(head: string, value: Buffer): number {
  return crc32(value, crc32(head));
}

/** The entry in `bytes`, the truth at the mark's position `at`; undefined when they are not one. */
export function decodeEntry(bytes: Buffer, at: Position): Entry | undefined {
  const header = HEADER.exec(bytes.toString('latin1', 0, HEADER_MAX_BYTES));
  if (header === null) return undefined;
  const version = Number(header[2]);
  if (!Number.isSafeInteger(version)) return undefined;
  const value = bytes.subarray(header[0].length);
  if (checksum(header[1] ?? '', value) !== Number(header[4])) return undefined;
  if (header[3] === '-') return value.length === 0 ? new Entry(at, version, null) : undefined;
  return new Entry(at, version, value);
}

function deepFreeze(value: unknown): unknown {
  const open: unknown[] = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null || Object.isFrozen(next)) continue;
    Object.freeze(next);
    for (const child of Object.values(next)) open.push(child);
  }
  return value;
}
