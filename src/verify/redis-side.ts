/** Redis, as readers use it: the entries of each bucket's generation, as of its mark. */
import { Cluster, type Redis } from 'ioredis';
import type { Entry } from '../core/entry.js';
import { type RedisClient, RedisTier } from '../redis/tier.js';
import { isSame, type Side } from './side.js';
import type { TruthPage } from './truth.js';

export interface RedisSideOptions {
  readonly client: RedisClient;
  readonly prefix: string;
  readonly table: string;
  readonly buckets: number;
}

const TIMEOUT_MS = 5_000;
const SCAN_COUNT = 500;
const A_MOMENT = 1;

export class RedisSide implements Side {
  readonly #client: RedisClient;
  readonly #tier: RedisTier;
  /** Entries that were looked at. */
  checked = 0;
  /** Keys that have none. */
  missing = 0;

  constructor({ client, prefix, table, buckets }: RedisSideOptions) {
    this.#client = client;
    this.#tier = new RedisTier({
      ...{ client, prefix, table, buckets, timeoutMs: TIMEOUT_MS, random: Math.random },
      ...{ ttlMs: A_MOMENT, negativeTtlMs: A_MOMENT }, // it stores no entry
    });
  }

  async suspects({ entries }: TruthPage): Promise<string[]> {
    const held = await this.#read([...entries.keys()]);
    this.checked += held.size;
    this.missing += entries.size - held.size;
    return [...held].flatMap(([key, entry]) => {
      const expected = entries.get(key);
      return expected !== undefined && isSame(expected, entry) ? [] : [key];
    });
  }

  async observe(key: string): Promise<Entry | undefined> {
    return (await this.#read([key])).get(key);
  }

  /** Keys that have an entry, some at a time; none of them twice in a row, perhaps twice in all.
   * @throws when this user may not SCAN */
  async *keys(): AsyncGenerator<string[]> {
    await this.#adopt();
    const nodes: Redis[] =
      this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
    for (const node of nodes) {
      let cursor = '0';
      do {
        const match = this.#tier.entryPattern;
        const [next, names] = await node.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT);
        cursor = next;
        const keys = names.flatMap((name) => this.#tier.keyOf(name) ?? []);
        if (keys.length > 0) yield keys;
      } while (cursor !== '0');
    }
  }

  /** Believes the marks, whose positions are held against the log where something differs. */
  async #adopt(): Promise<void> {
    for (const { bucket, mark } of await this.#tier.marks()) {
      this.#tier.adopt(bucket, mark?.generation);
    }
  }

  async #read(keys: readonly string[]): Promise<Map<string, Entry>> {
    await this.#adopt();
    const held = new Map<string, Entry>();
    const byBucket = new Map<number, string[]>();
    for (const key of keys) {
      const bucket = this.#tier.bucketOf(key);
      byBucket.set(bucket, [...(byBucket.get(bucket) ?? []), key]);
    }
    for (const [bucket, mine] of byBucket) {
      const entries = await this.#tier.read(bucket, mine);
      for (const [index, entry] of entries.entries()) {
        const key = mine[index];
        if (key !== undefined && entry !== undefined) held.set(key, entry);
      }
    }
    return held;
  }
}
