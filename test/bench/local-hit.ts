/**
 * local-hit: what a read costs that this process can answer from its memory, against a bare
 * lru-cache, an async function around one, and what a user would take from the registry instead.
 */
import { createCache } from 'async-cache-dedupe';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { createCache as createManaged } from 'cache-manager';
import { Loader } from 'layered-loader';
import { LRUCache } from 'lru-cache';
import { compare, type Figure, type Rounds } from './figure.js';
import type { Stage } from './stage.js';

const KEYS = 10_000;
const CALLS = 200_000;
const keys = Array.from({ length: KEYS }, (_, index) => `service/${index % 97}/setting-${index}`);
/** A fixed order in which no key follows itself. */
const order = Array.from({ length: CALLS }, (_, call) => keys[(call * 7919) % KEYS] ?? '');
const VALUE = Buffer.from(JSON.stringify({ level: 'debug', pad: 'x'.repeat(170) }));
const FOREVER_MS = 2 ** 30;
const FOREVER_SECONDS = 2 ** 20;

type Get = (key: string) => unknown;

/** ns per call of something that answers at once. */
function timeSync(get: Get): number {
  let found = 0;
  const start = process.hrtime.bigint();
  for (const key of order) if (get(key) !== undefined) found += 1;
  const ns = Number(process.hrtime.bigint() - start) / CALLS;
  if (found !== CALLS) throw new Error(`Expected ${CALLS} hits, got ${found}`);
  return ns;
}

/** ns per awaited call. */
async function timeAwaited(get: (key: string) => Promise<unknown>): Promise<number> {
  let found = 0;
  const start = process.hrtime.bigint();
  for (const key of order) if ((await get(key)) !== undefined) found += 1;
  const ns = Number(process.hrtime.bigint() - start) / CALLS;
  if (found !== CALLS) throw new Error(`Expected ${CALLS} hits, got ${found}`);
  return ns;
}

export async function localHit(stage: Stage, rounds: Rounds): Promise<Figure[]> {
  await stage.fill(new Map(keys.map((key) => [key, VALUE])));
  const reader = await stage.reader({ localMaxEntries: 2 * KEYS });
  for (let start = 0; start < KEYS; start += 500) {
    await reader.getMany(keys.slice(start, start + 500));
  }
  const raw = new LRUCache<string, Buffer>({ max: 2 * KEYS, ttl: FOREVER_MS });
  for (const key of keys) raw.set(key, VALUE);
  const floor = async (key: string) => raw.get(key);
  const figures = [
    await compare(
      {
        name: 'local-hit peek',
        peerName: 'raw lru-cache get',
        unit: 'ns',
        better: 'lower',
        target: 1.5,
        ours: async () => timeSync((key) => reader.peek(key)),
        peer: async () => timeSync((key) => raw.get(key)),
      },
      rounds,
    ),
    await compare(
      {
        name: 'local-hit get',
        peerName: 'async function around lru-cache',
        unit: 'ns',
        better: 'lower',
        target: 1.2,
        ours: () => timeAwaited((key) => reader.get(key)),
        peer: () => timeAwaited(floor),
      },
      rounds,
    ),
  ];
  for (const [peerName, peer] of await libraries()) {
    figures.push(
      await compare(
        {
          name: 'local-hit get',
          peerName,
          unit: 'ns',
          better: 'lower',
          target: 1,
          ours: () => timeAwaited((key) => reader.get(key)),
          peer: () => timeAwaited(peer),
        },
        rounds,
      ),
    );
  }
  return figures;
}

/** What others offer for the same purpose, each with all keys in its memory. */
async function libraries(): Promise<[string, (key: string) => Promise<unknown>][]> {
  const layered = new Loader<Buffer>({
    inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: FOREVER_MS, maxItems: 2 * KEYS },
    dataSources: [{ name: 'source', get: async () => VALUE, getMany: async () => [] }],
  });
  const bento = new BentoCache({
    default: 'memory',
    stores: {
      memory: bentostore().useL1Layer(memoryDriver({ maxItems: 2 * KEYS, serialize: false })),
    },
  });
  const managed = createManaged({ ttl: FOREVER_MS });
  const dedupe = createCache({ ttl: FOREVER_SECONDS, storage: { type: 'memory' } }).define(
    'config',
    async (_key: string) => VALUE,
  );
  for (const key of keys) {
    await layered.get(key);
    await bento.set({ key, value: VALUE, ttl: FOREVER_MS });
    await managed.set(key, VALUE);
    await dedupe.config(key);
  }
  return [
    ['layered-loader', (key) => layered.get(key)],
    ['bentocache', (key) => bento.get({ key })],
    ['cache-manager', (key) => managed.get(key)],
    ['async-cache-dedupe', (key) => dedupe.config(key)],
  ];
}
