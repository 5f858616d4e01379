/**
 * The loader: what happens on a local miss. One load per key at a time: Redis first, MySQL-B for
 * what Redis does not have or cannot vouch for, and a fill of Redis that no read waits for. The loads
 * of one turn of the event loop are asked for together.
 *
 * Invariant: what a load brings is at least as recent as what the instance required when the load
 * began (R2 for Redis; for MySQL an as-of of that much, or another attempt: a replica may lag), is of
 * the history that the log has told since, and is cached locally only when its key did not change
 * while it was in flight (R3).
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
  /** What bounds the loads of several readers together, on the connections that they share. */
  readonly mysqlLoads?: BulkheadPolicy;
  readonly monotonicMs: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
  readonly onRedisFault: (error: unknown) => void;
  readonly onFill: (reply: FillReply) => void;
  /** A tier has answered loads that were asked for together, after so long. */
  readonly onAnswer: (tier: Loaded['tier'], ms: number) => void;
  /** A load has ended well. */
  readonly onLoaded: (key: string, loaded: Loaded) => void;
  /** A load that was refused, because too many are in flight. */
  readonly onRefused: () => void;
}

/** More could not be loaded within a read's time, and each costs memory. */
export const MAX_KEYS_IN_FLIGHT = 10_000;

/** Keys that are asked for at once: a few values of the largest size must not fill the memory. */
export const MOST_TOGETHER = 64;
const FIRST_RETRY_MS = 4;
const MAX_RETRY_MS = 100;

/** Leaves one of so many connections to the poll. */
export function mysqlLoads(connections: number): BulkheadPolicy {
  return bulkhead(Math.max(1, connections - 1), MAX_KEYS_IN_FLIGHT);
}

const NOBODY_YET = (): void => undefined;

/** The load of one key: its flight, and the promise of those who wait for it. */
class Load {
  succeed: (loaded: Loaded | Promise<Loaded>) => void = NOBODY_YET;
  fail: (error: unknown) => void = NOBODY_YET;
  readonly landing = new Promise<Loaded>((resolve, reject) => {
    this.succeed = resolve;
    this.fail = reject;
  });
  readonly flight: Flight<Loaded>;

  constructor(key: string, local: LocalTier<Loaded>) {
    this.flight = local.takeOff(key, this.landing);
  }
}

export class Loader {
  readonly #options: LoaderOptions;
  readonly #local: LocalTier<Loaded>;
  readonly #mysql: BulkheadPolicy;
  /** They depart together: when the event loop has turned, or as soon as there are enough. */
  #boarding: Load[] = [];

  constructor(options: LoaderOptions) {
    this.#options = options;
    this.#local = options.local;
    this.#mysql = options.mysqlLoads ?? mysqlLoads(options.mysqlConnections);
  }

  /** Joins the load of `key` that is in flight, or starts one. The promise is not to be dropped:
   * it may be rejected. */
  load(key: string): Promise<Loaded> {
    const flight = this.#local.flight(key);
    if (flight !== undefined) return flight.landing;
    if (this.#local.flights >= MAX_KEYS_IN_FLIGHT) return Promise.reject(this.#refused());
    const load = new Load(key, this.#local);
    if (this.#boarding.push(load) === 1) setImmediate(() => this.#depart());
    if (this.#boarding.length === MOST_TOGETHER) this.#depart();
    return load.landing;
  }

  #depart(): void {
    const loads = this.#boarding;
    this.#boarding = [];
    if (loads.length > 0) void this.#loadAll(loads);
  }

  /** Settles all of `loads`, and does not fail. */
  async #loadAll(loads: readonly Load[]): Promise<void> {
    const missed = await this.#loadFromRedis(loads);
    if (missed.length === 0) return;
    const keys = missed.map(({ flight }) => flight.key);
    const generations = missed.map(({ flight }) => this.#options.redis.generationFor(flight.key));
    const { monotonicMs, onAnswer } = this.#options;
    try {
      const startedAtMs = monotonicMs();
      const entries = await this.recent(
        (onSend) => this.#options.log.fetch(keys, onSend),
        (fetched) => Math.min(...[...fetched.values()].map((entry) => entry.asOf)),
        (fetched) => ![...fetched.values()].some(({ at }) => this.#local.denies(at)),
      );
      onAnswer('mysql', monotonicMs() - startedAtMs);
      for (const [index, load] of missed.entries()) {
        const entry = entries.get(load.flight.key);
        this.#arrive(load, entry, 'mysql');
        if (entry !== undefined) this.#fillRedis(load.flight.key, entry, generations[index]);
      }
    } catch (error) {
      for (const load of missed) {
        this.#local.land(load.flight, undefined);
        load.fail(error);
      }
    }
  }

  /** Settles those that Redis can vouch for, and returns the others. A bucket that fails is a miss
   * of its keys. */
  async #loadFromRedis(loads: readonly Load[]): Promise<readonly Load[]> {
    const { redis, onRedisFault, onAnswer, monotonicMs } = this.#options;
    const requiredAsOf = this.#local.requiredAsOf;
    const buckets = new Map<number, Load[]>();
    for (const load of loads) {
      const bucket = redis.bucketOf(load.flight.key);
      const others = buckets.get(bucket);
      if (others === undefined) buckets.set(bucket, [load]);
      else others.push(load);
    }
    const missed: Load[] = [];
    const ask = async (bucket: number, mine: readonly Load[]) => {
      const keys = mine.map(({ flight }) => flight.key);
      const startedAtMs = monotonicMs();
      const found = await redis.read(bucket, keys).catch((error: unknown) => {
        onRedisFault(error);
        return [];
      });
      if (found.length > 0) onAnswer('redis', monotonicMs() - startedAtMs);
      for (const [index, load] of mine.entries()) {
        const entry = found[index];
        const isRecent = entry !== undefined && answersRead(entry.asOf, requiredAsOf);
        if (isRecent && !this.#local.denies(entry.at)) this.#arrive(load, entry, 'redis');
        else missed.push(load);
      }
    };
    await Promise.all([...buckets].map(([bucket, mine]) => ask(bucket, mine)));
    return missed;
  }

  /** A load's end, unless its answer cannot be given: then it starts again. */
  #arrive(load: Load, entry: Entry | undefined, tier: Loaded['tier']): void {
    const { flight } = load;
    if (this.#isOutdated(flight, entry)) {
      this.#local.land(flight, undefined);
      load.succeed(this.load(flight.key));
      return;
    }
    const newest = this.#local.land(flight, entry);
    if (newest === undefined) {
      load.fail(
        new UnavailableError('Expected an answer for each key asked for, got one too few.'),
      );
      return;
    }
    const loaded = { entry: newest, tier };
    this.#options.onLoaded(flight.key, loaded);
    load.succeed(loaded);
  }

  /** Asks until the answer is as recent as this instance requires when it is asked for.
   * @param ask calls `onSend` when it asks later than it is called, or once more
   * @param isOurs whether an answer is of the history that the log has told
   * @throws UnavailableError when it is not in time, or MySQL-B does not answer */
  async recent<T>(
    ask: (onSend: () => void) => Promise<T>,
    asOfIn: (answer: T) => number,
    isOurs: (answer: T) => boolean = () => true,
  ): Promise<T> {
    const deadlineMs = this.#options.monotonicMs() + this.#options.timeoutMs;
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(MAX_RETRY_MS, retryMs * 2)) {
      let requiredAsOf = 0;
      const onSend = () => {
        requiredAsOf = this.#local.requiredAsOf;
      };
      const answer = await this.#askMysql(() => {
        onSend(); // it may have had to wait for its turn
        return ask(onSend);
      }, deadlineMs);
      const asOf = asOfIn(answer);
      if (answersRead(asOf, requiredAsOf) && isOurs(answer)) return answer;
      if (this.#options.monotonicMs() + retryMs > deadlineMs) {
        throw new UnavailableError(
          `Expected MySQL-B at version ${requiredAsOf} or later, got ${asOf}: it answers from a ` +
            'replica that lags, or that has lost changes. Check replication on all hosts behind ' +
            'MYSQL_B_URL.',
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

  /** Whether history was rewritten while a load was in flight (nobody knows of which one its answer
   * is, or it is of another one than the pages that came meanwhile), or its key was answered with
   * something newer, which has been pushed out since. */
  #isOutdated(flight: Flight<Loaded>, entry: Entry | undefined): boolean {
    if (flight.foreign || entry === undefined) return flight.foreign;
    return entry.asOf < flight.overtakenAsOf || this.#local.denies(entry.at);
  }

  #fillRedis(key: string, entry: Entry, generation: string | undefined): void {
    if (generation === undefined) return;
    const { redis, onFill, onRedisFault } = this.#options;
    redis.fill(key, entry, generation).then(onFill, onRedisFault);
  }
}
