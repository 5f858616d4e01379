/**
 * Looks into Redis as no reader does: are the entries that a reader would trust the truth at their
 * mark? It knows the formats by itself, from the protocol's description, and shares no code with
 * what it looks at.
 *
 *     mark   <prefix>:{<table>:<bucket>[/<buckets>]}:mark      <generation> <version> <fingerprint> <crc32>
 *     entry  <prefix>:{<table>:<bucket>[/<buckets>]}:<generation>:<key>     <version> <v|-> <crc32>\n<value>
 */
import { crc32 } from 'node:zlib';
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

interface Mark {
  readonly generation: string;
  readonly version: number;
  readonly fingerprint: string;
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
      return [{ key, value: entry.value, markVersion, markFingerprint, startMs, endMs }];
    });
  });
}

function parseMark(text: string): Mark | undefined {
  const [generation, version, fingerprint, checksum, ...rest] = text.split(' ');
  if (generation === undefined || version === undefined || fingerprint === undefined)
    return undefined;
  if (rest.length > 0 || String(crc32(`${generation} ${version} ${fingerprint}`)) !== checksum) {
    return undefined;
  }
  return { generation, version: Number(version), fingerprint };
}

/** Undefined when a reader would not take it for an entry. */
function parseEntry(bytes: Buffer | null): { readonly value: string | null } | undefined {
  const end = bytes?.indexOf('\n') ?? -1;
  if (bytes === null || end < 0) return undefined;
  const [version = '', kind = '', checksum = ''] = bytes.toString('latin1', 0, end).split(' ');
  const value = bytes.subarray(end + 1);
  if (String(crc32(value, crc32(`${version} ${kind}`))) !== checksum) return undefined;
  return { value: kind === '-' ? null : markOf(value.toString()) };
}
