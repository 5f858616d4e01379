/**
 * Keys: what a key may be, where its entry lives in Redis.
 *
 * A key is 1 to 255 Unicode characters (code points, as MySQL's VARCHAR(255) counts them) without
 * control characters, compared byte for byte: 'a', 'A' and 'a ' are three keys.
 */
import { crc32 } from 'node:zlib';
import { InvalidKeyError } from '../errors.js';

export const MAX_KEY_CHARS = 255;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Why `key` cannot be a key, or undefined when it can. */
export function keyFault(key: unknown): string | undefined {
  if (typeof key !== 'string') return `Expected a key that is a string, got ${typeof key}`;
  if (key === '') return `Expected a key of 1 to ${MAX_KEY_CHARS} characters, got an empty one`;
  const chars = key.length <= MAX_KEY_CHARS ? key.length : [...key].length;
  if (chars > MAX_KEY_CHARS) {
    return `Expected a key of 1 to ${MAX_KEY_CHARS} characters, got ${chars}`;
  }
  if (CONTROL.test(key)) return 'Expected a key without control characters, got one with them';
  if (!key.isWellFormed()) return 'Expected a key of valid Unicode, got a lone surrogate in it';
  return undefined;
}

/** Throws {@link InvalidKeyError} unless `key` can be a key. */
export function assertKey(key: unknown): asserts key is string {
  const fault = keyFault(key);
  if (fault !== undefined)
    throw new InvalidKeyError(`${fault}. Correct the key and send it again.`);
}

/** The bucket (0 to buckets - 1) in which a key's entry lives. */
export function bucketOf(key: string, buckets: number): number {
  return buckets === 1 ? 0 : crc32(key) % buckets;
}
