/**
 * redis-hit: a read that this process cannot answer and Redis can, against a plain GET of the same
 * bytes by the same client library, so many at a time. What is compared is the whole read: mark and
 * entry in one command, checksum, judgement, the entry into the local tier.
 */
import { Redis } from 'ioredis';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const KEYS = 5_000;
const CALLS = 20_000;
const AT_ONCE = 64;
const VALUE = Buffer.from(JSON.stringify({ pad: 'x'.repeat(190) }));
const keys = Array.from({ length: KEYS }, (_, index) => `redis-hit/${index}`);

/** Calls per second of `get`, so many in flight. */
async function throughput(get: (key: string) => Promise<unknown>): Promise<number> {
  let next = 0;
  const start = performance.now();
  const lanes = Array.from({ length: AT_ONCE }, async () => {
    while (next < CALLS) {
      const key = keys[next++ % KEYS] ?? '';
      await get(key);
    }
  });
  await Promise.all(lanes);
  return CALLS / ((performance.now() - start) / 1000);
}

export async function redisHit(stage: Stage, rounds: Rounds): Promise<Figure[]> {
  await stage.fill(new Map(keys.map((key) => [key, VALUE])));
  // Too small for any key to be there still when its turn comes again; and a machine that is busy
  // must not send the reads to MySQL-B.
  const reader = await stage.reader({
    localMaxEntries: AT_ONCE,
    redisTimeoutMs: 10_000,
    readTimeoutMs: 60_000,
  });
  await reader.getMany(keys);
  const client = new Redis(stage.redis);
  stage.after(async () => client.disconnect());
  for (const key of keys) await client.set(`plain:${key}`, VALUE);
  const ours = async () => {
    const perSecond = await throughput((key) => reader.get(key));
    return perSecond;
  };
  const tiers = await Promise.all(
    keys.slice(0, 100).map(async (key) => (await reader.get(key)).tier),
  );
  if (tiers.some((tier) => tier !== 'redis')) {
    throw new Error(`Expected reads from Redis, got ${[...new Set(tiers)]}`);
  }
  return [
    await compare(
      {
        name: 'redis-hit',
        peerName: 'ioredis GET',
        unit: '1/s',
        better: 'higher',
        target: 0.9,
        ours,
        peer: () => throughput((key) => client.getBuffer(`plain:${key}`)),
      },
      rounds,
    ),
  ];
}
