/**
 * apply: changes taken into Redis and out of the local tier, in pages of 500 with values of 200
 * bytes, against pipelined SETs of the same payloads by the same client library.
 */
import { Redis } from 'ioredis';
import { Entry, encodeEntry } from '../../src/core/entry.js';
import { LocalTier } from '../../src/local/tier.js';
import { openRedis } from '../../src/redis/client.js';
import { RedisTier } from '../../src/redis/tier.js';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const PAGE = 500;
const PAGES = 40;
const VALUE = Buffer.from(JSON.stringify({ pad: 'x'.repeat(190) }));
const TTL_MS = 1_800_000;
const names = Array.from({ length: PAGE }, (_, index) => `apply/${index}`);
const positionAt = (version: number) => ({ version, fingerprint: 'abcdefghijkl' });

export async function apply(stage: Stage, rounds: Rounds): Promise<Figure[]> {
  const client = openRedis(stage.redis, () => undefined);
  const plain = new Redis(stage.redis);
  stage.after(async () => client.disconnect());
  stage.after(async () => plain.disconnect());
  await plain.ping();
  const redis = new RedisTier({
    client,
    table: 'configs',
    prefix: 'bench-apply',
    buckets: 1,
    timeoutMs: 1_000,
    ttlMs: TTL_MS,
    negativeTtlMs: TTL_MS,
    random: Math.random,
  });
  const local = new LocalTier({
    maxEntries: 10_000,
    maxBytes: 2 ** 28,
    ttlMs: TTL_MS,
    maxAbsences: 10,
    negativeTtlMs: TTL_MS,
  });
  let version = 1;
  const [stored] = await redis.marks();
  if (stored === undefined) throw new Error('Expected one bucket');
  await redis.begin(stored, 'bench', positionAt(version));

  const ours = async () => {
    const start = performance.now();
    for (let page = 0; page < PAGES; page++) {
      const to = positionAt(version + PAGE);
      const entries = new Map(
        names.map((key, index) => [key, new Entry(to, version + 1 + index, VALUE)]),
      );
      const [mark] = await redis.marks(); // once per turn
      const isApplied = mark !== undefined && (await redis.apply(mark, to, entries));
      if (!isApplied) throw new Error('Expected a page to be applied, it was not');
      local.evict(names, { from: local.applied, to, rows: [] });
      version += PAGE;
    }
    return (PAGES * PAGE) / ((performance.now() - start) / 1000);
  };
  const payload = encodeEntry(new Entry(positionAt(1_000), 1_000, VALUE));
  const peer = async () => {
    const start = performance.now();
    for (let page = 0; page < PAGES; page++) {
      const pipeline = plain.pipeline();
      for (const key of names) pipeline.set(`bench-plain:${key}`, payload, 'PX', TTL_MS);
      await pipeline.exec();
    }
    return (PAGES * PAGE) / ((performance.now() - start) / 1000);
  };
  const peerName = 'pipelined SET';
  return [
    await compare(
      { name: 'apply', peerName, unit: '1/s', better: 'higher', target: 1, ours, peer },
      rounds,
    ),
  ];
}
