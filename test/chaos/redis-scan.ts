/**
 * Looks into Redis as no reader does: are the entries that a reader would trust the truth at their
 * mark? It knows names and formats from the protocol's description, and shares no code with what it
 * looks at.
 *
 *     mark   <prefix>:{<table>:<bucket>[/<buckets>]}:mark
 *     entry  <prefix>:{<table>:<bucket>[/<buckets>]}:<generation>:<key>
 */
import { crc32 } from 'node:zlib';
import { parseEntry, parseMark } from '../support/stored-text.js';
import { markOf } from './mark-of.js';
import { nowMs } from './now.js';
import type { RedisNode } from './redis-topology.js';

export interface Seen {
  readonly key: string;
  readonly value: string | null;
  readonly markVersion: number;
  readonly markFingerprint: string;
  readonly startMs: number;
  readonly endMs: number;
}

export function bucketTag(bucket: number, buckets: number): string {
  return `tidemark:{configs:${bucket}${buckets === 1 ? '' : `/${buckets}`}}`;
}

/** The entries of `keys` in one bucket, read in one step with the mark. */
export async function scanBucket(
  node: RedisNode,
  bucket: number,
  buckets: number,
  keys: readonly string[],
): Promise<Seen[]> {
  const tag = bucketTag(bucket, buckets);
  const inBucket = keys.filter((key) => crc32(key) % buckets === bucket);
  return await node.operate(async (redis) => {
    await redis.connect();
    const known = parseMark((await redis.get(`${tag}:mark`)) ?? '');
    if (known === undefined || inBucket.length === 0) return [];
    const names = inBucket.map((key) => `${tag}:${known.generation}:${key}`);
    const startMs = nowMs();
    const [rawMark, ...values] = await redis.mgetBuffer(`${tag}:mark`, ...names);
    const endMs = nowMs();
    const mark = parseMark(rawMark?.toString() ?? '');
    if (mark === undefined || mark.generation !== known.generation) return [];
    return inBucket.flatMap((key, index) => {
      const entry = parseEntry(values[index] ?? null);
      if (entry === undefined) return [];
      const { version: markVersion, fingerprint: markFingerprint } = mark;
      const value = entry.value === null ? null : markOf(entry.value.toString());
      return [{ key, value, markVersion, markFingerprint, startMs, endMs }];
    });
  });
}
