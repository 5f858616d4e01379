/**
 * The loader: what happens on a local miss. One load per key at a time: Redis first, MySQL-B for
 * what Redis does not have or cannot vouch for, and a fill of Redis that no read waits for.
 *
 * Invariant: what a load brings is at least as recent as what the instance required when the load
 * began (R2 for Redis; for MySQL an as-of of that much, or another attempt: a replica may lag), and
 * it is cached locally only when its key did not change while it was in flight (R3).
 *
 * Whatever is asked, a bounded number of keys is in flight, one connection to MySQL-B is left for
 * the poll, and MySQL-B is not asked for what no one can be waiting for any more.
 */
import { type BulkheadPolicy, BulkheadRejectedError, bulkhead } from 'cockatiel';
import { answersRead } from '../core/coherence.js';
import type { Entry } from '../core/entry.js';
import type { Tier } from '../core/reading.js';
import { UnavailableError } from '../errors.js';
import type { Flight, LocalTier } from '../local/tier.js';
import type { ChangeLog } from '../mysql/log.js';
import type { FillReply, RedisTier } from '../redis/tier.js';

/** What a load brought for one key. */
export interface Loaded {
  readonly entry: Entry;
  readonly tier: Exclude<Tier, 'local'>;
}

export interface LoaderOptions {
  readonly log: ChangeLog;
  readonly redis: RedisTier;
  readonly local: LocalTier<Loaded>;
  /** How long a load tries, in ms, whoever waits for it. */
  readonly timeoutMs: number;
  /** Connections to MySQL-B, of which loads leave one to others. */
  readonly mysqlConnections: number;
  readonly monotonicMs: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
  readonly onRedisFault: (error: unknown) => void;
  readonly onFill: (reply: FillReply) => void;
  /** A load that was refused, because too many are in flight. */
  readonly onRefused: () => void;
}

/** More could not be loaded within a read's time, and each costs memory. */
export const MAX_KEYS_IN_FLIGHT = 10_000;

const FIRST_RETRY_MS = 4;
const MAX_RETRY_MS = 100;

export class Loader {
  readonly #options: LoaderOptions;
  readonly #local: LocalTier<Loaded>;
  readonly #mysql: BulkheadPolicy;

  constructor(options: LoaderOptions) {
    this.#options = options;
    this.#local = options.local;
    this.#mysql = bulkhead(Math.max(1, options.mysqlConnections - 1), MAX_KEYS_IN_FLIGHT);
  }

  /** Joins the loads of `keys` that are in flight, and starts one load for all the others. */
  load(keys: readonly string[]): Map<string, Promise<Loaded>> {
    const landings = new Map<string, Promise<Loaded>>();
    const free: string[] = [];
    for (const key of keys) {
      const flight = this.#local.flight(key);
      if (flight === undefined) free.push(key);
      else landings.set(key, flight.landing);
    }
    if (this.#local.flights + free.length > MAX_KEYS_IN_FLIGHT) {
      const refusal = Promise.reject(this.#refused());
      refusal.catch(() => undefined); // whoever waits for it hears of it
      for (const key of free) landings.set(key, refusal);
    } else if (free.length > 0) {
      const loading = this.#loadAll(free);
      for (const key of free) landings.set(key, this.#takeOff(key, loading));
    }
    return landings;
  }

  #takeOff(key: string, loading: Promise<Map<string, Loaded>>): Promise<Loaded> {
    const landing = loading.then(
      (all) =>
        isOutdated(flight, all.get(key))
          ? this.#loadAgain(flight)
          : this.#land(flight, all.get(key)),
      (error) => {
        this.#local.land(flight, undefined);
        throw error;
      },
    );
    const flight = this.#local.takeOff(key, landing);
    landing.catch(() => undefined); // whoever waits for it hears of it; perhaps no one does
    return landing;
  }

  /** Its answer is not given. */
  async #loadAgain(flight: Flight<Loaded>): Promise<Loaded> {
    this.#local.land(flight, undefined);
    const landing = this.load([flight.key]).get(flight.key);
    if (landing === undefined) throw new UnavailableError('Expected a load, got none. Try again.');
    return await landing;
  }

  #land(flight: Flight<Loaded>, loaded: Loaded | undefined): Loaded {
    const newest = this.#local.land(flight, loaded?.entry);
    if (loaded === undefined || newest === undefined) {
      throw new UnavailableError('Expected an answer for each key asked for, got one too few.');
    }
    return newest === loaded.entry ? loaded : { entry: newest, tier: loaded.tier };
  }

  async #loadAll(keys: readonly string[]): Promise<Map<string, Loaded>> {
    const generations = new Map(keys.map((key) => [key, this.#options.redis.generationFor(key)]));
    const loaded = await this.#readRedis(keys);
    const rest = keys.filter((key) => !loaded.has(key));
    if (rest.length === 0) return loaded;
    const entries = await this.recent(
      () => this.#options.log.fetch(rest),
      (fetched) => Math.min(...[...fetched.values()].map((entry) => entry.asOf)),
    );
    for (const [key, entry] of entries) {
      loaded.set(key, { entry, tier: 'mysql' });
      this.#fillRedis(key, entry, generations.get(key));
    }
    return loaded;
  }

  /** What Redis can vouch for. A Redis that fails is a miss. */
  async #readRedis(keys: readonly string[]): Promise<Map<string, Loaded>> {
    const loaded = new Map<string, Loaded>();
    const requiredAsOf = this.#local.requiredAsOf;
    try {
      for (const [key, entry] of await this.#options.redis.read(keys)) {
        if (answersRead(entry.asOf, requiredAsOf)) loaded.set(key, { entry, tier: 'redis' });
      }
    } catch (error) {
      this.#options.onRedisFault(error);
    }
    return loaded;
  }

  /** Asks until the answer is as recent as this instance requires.
   * @throws UnavailableError when it is not in time, or MySQL-B does not answer */
  async recent<T>(ask: () => Promise<T>, asOfIn: (answer: T) => number): Promise<T> {
    const deadlineMs = this.#options.monotonicMs() + this.#options.timeoutMs;
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(MAX_RETRY_MS, retryMs * 2)) {
      const requiredAsOf = this.#local.requiredAsOf;
      const answer = await this.#askMysql(ask, deadlineMs);
      const asOf = asOfIn(answer);
      if (answersRead(asOf, requiredAsOf)) return answer;
      if (this.#options.monotonicMs() + retryMs > deadlineMs) {
        throw new UnavailableError(
          `Expected MySQL-B at version ${requiredAsOf} or later, got ${asOf}: it answers from a ` +
            'replica that lags. Check replication on all hosts behind MYSQL_B_URL.',
        );
      }
      await this.#options.sleep(retryMs);
    }
  }

  /** Asks when a connection is free, unless that is too late. */
  async #askMysql<T>(ask: () => Promise<T>, deadlineMs: number): Promise<T> {
    try {
      return await this.#mysql.execute(() => {
        if (this.#options.monotonicMs() <= deadlineMs) return ask();
        throw new UnavailableError(
          `Expected a connection to MySQL-B within ${this.#options.timeoutMs} ms, got none: all ` +
            'are in use by other loads. Try again later.',
        );
      });
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? this.#refused() : error;
    }
  }

  #refused(): UnavailableError {
    this.#options.onRefused();
    return new UnavailableError(
      `Expected at most ${MAX_KEYS_IN_FLIGHT} keys to be loaded at once, got more. Try again later.`,
    );
  }

  #fillRedis(key: string, entry: Entry, generation: string | undefined): void {
    if (generation === undefined) return;
    const { redis, onFill, onRedisFault } = this.#options;
    redis.fill(key, entry, generation).then(onFill, onRedisFault);
  }
}

/** Whether history was rewritten while a load was in flight (nobody knows of which one its answer
 * is), or its key was answered with something newer, which has been pushed out since. */
function isOutdated(flight: Flight<Loaded>, loaded: Loaded | undefined): boolean {
  return flight.foreign || (loaded !== undefined && loaded.entry.asOf < flight.overtakenAsOf);
}
