/**
 * Lists: many values in one JSON document, each embedded as the bytes that are stored.
 *
 * Invariant: the document is JSON whatever the table holds. A stored text that is not JSON (plain
 * SQL can store any) is given as a string, in `text` instead of `value`.
 * An answer holds a bounded number of bytes, because all of it is in memory at once.
 */
import type { FastifyRequest } from 'fastify';
import { assertKey } from '../core/key.js';
import type { Reading, ReadOptions } from '../core/reading.js';
import { TidemarkError } from '../errors.js';
import type { Reader } from '../reader/reader.js';
import { InvalidRequestError, listInQuery, textInQuery } from './request.js';

export interface ListAnswer {
  readonly asOf: number;
  readonly stale: boolean;
  /** The document in pieces; the values among them are shared with the tiers. */
  readonly parts: readonly Buffer[];
  readonly bytes: number;
}

/** More bytes of values than one answer may hold. */
export class ResponseTooLargeError extends TidemarkError {
  readonly code = 'response_too_large';
}

const MAX_KEYS = 1_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** Keys are read in groups, so that too large an answer is noticed before all of it is loaded. */
const KEYS_AT_ONCE = 50;

/** `?keys=a,b`: `{"asOf", "items": [{"key", "version", "value"}], "missing": [...]}`. */
export async function keyList(
  reader: Pick<Reader, 'getMany'>,
  request: FastifyRequest,
  read: ReadOptions,
): Promise<ListAnswer> {
  const keys = [...new Set(listInQuery(request, 'keys'))];
  if (keys.length > MAX_KEYS) {
    throw new InvalidRequestError(`Expected at most ${MAX_KEYS} keys, got ${keys.length}.`);
  }
  for (const key of keys) assertKey(key);
  const readings: Reading[] = [];
  let bytes = 0;
  for (let start = 0; start < keys.length; start += KEYS_AT_ONCE) {
    const group = await reader.getMany(keys.slice(start, start + KEYS_AT_ONCE), read);
    for (const reading of group.values()) {
      readings.push(reading);
      bytes += reading.value?.byteLength ?? 0;
    }
    if (bytes > MAX_ANSWER_BYTES) {
      throw new ResponseTooLargeError(
        `Expected values of at most ${MAX_ANSWER_BYTES} bytes together. Ask for fewer keys.`,
      );
    }
  }
  const found = readings.filter((reading) => reading.found);
  const missing = readings.filter((reading) => !reading.found).map(({ key }) => key);
  const asOf = Math.min(...readings.map((reading) => reading.asOf));
  return answer(asOf, found, readings, `"missing":${JSON.stringify(missing)}`);
}

/** `?prefix=p`: `{"asOf", "items": [...], "next"}`; `next`, when not null, is the next `after`. */
export async function prefixList(
  reader: Pick<Reader, 'list'>,
  request: FastifyRequest,
  limit: number,
  read: ReadOptions,
): Promise<ListAnswer> {
  const prefix = textInQuery(request, 'prefix') ?? '';
  const after = textInQuery(request, 'after');
  const page = await reader.list({ prefix, limit, ...(after ? { after } : {}) }, read);
  const found = page.readings.filter((reading) => reading.found);
  return answer(page.asOf, found, found, `"next":${JSON.stringify(page.next ?? null)}`);
}

function answer(
  asOf: number,
  found: readonly Reading[],
  all: readonly Reading[],
  last: string,
): ListAnswer {
  const parts: Buffer[] = [Buffer.from(`{"asOf":${asOf},"items":[`)];
  for (const [index, { key, version, value = Buffer.alloc(0) }] of found.entries()) {
    if (index > 0) parts.push(COMMA);
    parts.push(...itemParts(key, version ?? 0, value));
  }
  parts.push(Buffer.from(`],${last}}`));
  const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  return { asOf, stale: all.some(({ stale }) => stale), parts, bytes };
}

/** One item of a list, in pieces. */
export function itemParts(key: string, version: number, value: Buffer): Buffer[] {
  const start = `{"key":${JSON.stringify(key)},"version":${version},`;
  if (isJson(value)) return [Buffer.from(`${start}"value":`), value, Buffer.from('}')];
  return [Buffer.from(`${start}"text":${JSON.stringify(value.toString('utf8'))}}`)];
}

const COMMA = Buffer.from(',');
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** By the bytes' own identity: a value in the local tier is examined once. */
const examined = new WeakMap<Buffer, boolean>();

function isJson(value: Buffer): boolean {
  const known = examined.get(value);
  if (known !== undefined) return known;
  let valid = true;
  try {
    JSON.parse(decoder.decode(value));
  } catch {
    valid = false;
  }
  examined.set(value, valid);
  return valid;
}
