/**
 * The reader: local -> Redis -> MySQL-B, one answer per key at a time.
 *
 * Invariant: an answer is never older than one that this reader gave before for the same key, and
 * never older than the position its instance had reached when the read began.
 * A read waits only for what its caller asked for (`minVersion`, `maxStalenessMs`) and for a load.
 * When no tier answers, an expired local entry still does, marked stale.
 */
import type { Registry } from 'prom-client';
import type { Entry } from '../core/entry.js';
import { assertKey } from '../core/key.js';
import type { LogRow, Page, RebaseReason } from '../core/position.js';
import {
  assertReached,
  needsWait,
  Reading,
  type ReadOptions,
  type Standing,
} from '../core/reading.js';
import { NotFreshError, NotRunningError, UnavailableError } from '../errors.js';
import type { LocalTier } from '../local/tier.js';
import type { Logger } from '../logger.js';
import type { ChangeLog } from '../mysql/log.js';
import type { RedisTier } from '../redis/tier.js';
import { type Audit, Auditor, type AuditSettings } from './auditor.js';
import { Deadline } from './deadline.js';
import { type LiveParts, LiveReader } from './live.js';
import { type Loaded, Loader, type LoaderOptions } from './loader.js';
import { ReaderMetrics } from './metrics.js';
import { PollLoop, type Wake } from './poll-loop.js';
import { ReaderLogging } from './reader-logging.js';
import type { Reconciler } from './reconciler.js';
import { type ReaderStatus, statusOf } from './status.js';

export interface ReaderParts extends LiveParts, AuditSettings {
  readonly log: ChangeLog;
  readonly redis: RedisTier;
  readonly local: LocalTier<Loaded>;
  readonly reconciler: Reconciler;
  readonly logger: Logger;
  readonly table: string;
  readonly pollIntervalMs: number;
  readonly readTimeoutMs: number;
  readonly staleAfterMs: number;
  readonly mysqlConnections?: number;
  /** What bounds the loads of several readers together. */
  readonly mysqlLoads?: LoaderOptions['mysqlLoads'];
  readonly monotonicMs: () => number;
  readonly sleep: (ms: number) => Promise<unknown>;
  readonly random: () => number;
  /** Closes what was opened for this reader, and nothing else. */
  readonly close: () => Promise<void>;
  /** Ends pauses between polls early. */
  readonly wake?: Wake & { readonly wakes: { readonly news: number; readonly nothing: number } };
}

export interface ReaderEvents {
  /** Rows changed: these keys' next reads see the log at `to` or later. `rows` are the log's. */
  change: [change: { keys: readonly string[]; from: number; to: number; rows: readonly LogRow[] }];
  /** The reader started again with empty caches; any key may have changed. */
  rebase: [rebase: { reason: RebaseReason }];
}

export interface ListOptions {
  readonly prefix: string;
  /** The most readings to answer. */
  readonly limit: number;
  /** A key (of a previous page's `next`) after which to go on. */
  readonly after?: string | undefined;
}

/** A list's values in one answer, in bytes; the page ends early over it. */
const LIST_BYTES = 8 * 1024 * 1024;
const DEFAULT_MYSQL_CONNECTIONS = 8;
/** Ready without Redis after this long: an outage of the cache must not keep readers out. */
const READY_WITHOUT_REDIS_MS = 5_000;
const ALREADY_STALE = Number.NEGATIVE_INFINITY;

export class Reader extends LiveReader<ReaderEvents> {
  readonly #parts: ReaderParts;
  readonly #local: LocalTier<Loaded>;
  readonly #loop: PollLoop;
  readonly #loader: Loader;
  readonly #metrics: ReaderMetrics;
  readonly #auditor: Auditor;
  readonly #logging: ReaderLogging;
  #ready = false;
  #startedAtMs: number | undefined;
  #lastStanding: Standing;
  #started: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(parts: ReaderParts) {
    super();
    this.#parts = parts;
    this.#local = parts.local;
    this.#lastStanding = {
      applied: parts.local.applied,
      rewrites: 0,
      staleAtMs: 0,
      monotonicMs: parts.monotonicMs,
    };
    this.#metrics = new ReaderMetrics(parts);
    this.#logging = new ReaderLogging(parts);
    this.#loop = new PollLoop({
      turn: (glance) => parts.reconciler.turn(glance),
      intervalMs: parts.pollIntervalMs,
      random: parts.random,
      onFailure: (error, failures) => this.#pollFailed(error, failures),
      wake: parts.wake,
    });
    this.#loader = new Loader({
      ...parts,
      timeoutMs: parts.readTimeoutMs,
      mysqlConnections: parts.mysqlConnections ?? DEFAULT_MYSQL_CONNECTIONS,
      onRedisFault: (error) => this.#redisFault(error),
      onFill: (reply) => this.#metrics.filled(reply),
      onAnswer: (tier, ms) => this.#metrics.loaded(tier, ms),
      onLoaded: (key, { entry, tier }) => this.#logging.refreshed(key, entry, tier),
      onRefused: () => {
        this.#metrics.refusedLoads += 1;
      },
    });
    this.#auditor = new Auditor({
      ...parts,
      recent: (ask, asOfIn) => this.#loader.recent(ask, asOfIn),
      until: (holds) => this.#loop.until(holds, parts.readTimeoutMs),
    });
    this.#metrics.countAudits(this.#auditor);
    const { registry } = this.#metrics;
    const [status, reads] = [() => this.status(), this.#metrics.hits];
    this.follow(parts, { loop: this.#loop, loader: this.#loader, registry, status, reads });
    this.#listen(parts.reconciler);
  }

  /** Starts polling. Resolves when MySQL-B has answered for the first time; reads work from then
   * on, and `ready` follows when Redis is known to be coherent. Waits while MySQL-B is away.
   * @throws SchemaError, AccessDeniedError which waiting would not heal */
  start(): Promise<void> {
    this.#startedAtMs ??= this.#parts.monotonicMs();
    this.#started ??= this.#loop.start().then(() => this.#auditor.start());
    return this.#started;
  }

  /** Stops polling and closes what this reader opened; injected clients stay open. For good. */
  stop(): Promise<void> {
    const ended = () => Promise.all([this.unfollow(), this.#auditor.stop(), this.#loop.stop()]);
    this.#closed ??= ended().then(() => this.#parts.close());
    return this.#closed;
  }

  /** Whether traffic should come here: polled once, and Redis coherent or found to be away. */
  get ready(): boolean {
    if (this.#closed !== undefined || !this.#parts.reconciler.started) return false;
    if (this.#ready) return true;
    const waitedMs = this.#parts.monotonicMs() - (this.#startedAtMs ?? 0);
    this.#ready = this.#parts.reconciler.marksReachedStart || waitedMs > READY_WITHOUT_REDIS_MS;
    return this.#ready;
  }

  /** prom-client metrics, in a registry of this reader's own. */
  get metrics(): Registry {
    return this.#metrics.registry;
  }

  /** The local entry, if there is one, at once: no I/O, no promise. */
  peek(key: string): Reading | undefined {
    const entry = this.#local.get(key);
    if (entry === undefined || this.#closed !== undefined) return undefined;
    this.#metrics.hits.local += 1;
    return this.#localReading(key, entry, this.#standing());
  }

  /** One key. An absent key is an answer, too (`found` is false).
   * @throws InvalidKeyError, NotFreshError (`minVersion`, `maxStalenessMs` not met in time),
   * UnavailableError (no tier could answer), NotRunningError; all of them by the promise */
  get(key: string, options?: ReadOptions): Promise<Reading> {
    // Not an async function: a local hit would pay more for that than for all the rest.
    const hit = options === undefined || !needsWait(options) ? this.peek(key) : undefined;
    return hit === undefined ? this.#getSlowly(key, options ?? {}) : Promise.resolve(hit);
  }

  async #getSlowly(key: string, options: ReadOptions): Promise<Reading> {
    assertKey(key);
    this.#assertStarted();
    const deadline = this.#deadlineOf(options);
    if (needsWait(options)) {
      await this.#waitFor(options, deadline);
      const hit = this.peek(key);
      if (hit !== undefined) return hit;
    }
    const reading = await this.#arrival(key, deadline, this.#standing());
    assertReached(reading.asOf, options);
    return reading;
  }

  /** Several keys, each once, in the order given. Each is an answer of its own: not one snapshot.
   * @throws as `get` does, when any key cannot be answered */
  async getMany(keys: readonly string[], options: ReadOptions = {}): Promise<Map<string, Reading>> {
    for (const key of keys) assertKey(key);
    this.#assertStarted();
    const deadline = this.#deadlineOf(options);
    await this.#waitFor(options, deadline);
    const readings = await this.#inOneHistory(() => this.#readMany(keys, deadline));
    for (const { asOf } of readings.values()) assertReached(asOf, options);
    return readings;
  }

  async #readMany(keys: readonly string[], deadline: Deadline): Promise<Map<string, Reading>> {
    const standing = this.#standing();
    const arrivals: Promise<Reading>[] = [];
    const readings = new Map<string, Reading | undefined>();
    for (const key of keys) {
      if (readings.has(key)) continue;
      const hit = this.peek(key);
      readings.set(key, hit);
      if (hit === undefined) arrivals.push(this.#arrival(key, deadline, standing));
    }
    for (const reading of await Promise.all(arrivals)) readings.set(reading.key, reading);
    return readings as Map<string, Reading>; // every key was hit, or has arrived
  }

  /** Reads again when history was rewritten while some answers waited for others: they may be of the
   * history that was lost, and nothing here would remember that they were given. */
  async #inOneHistory<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      const { rewrites } = this.#local;
      const found = await read();
      if (this.#local.rewrites === rewrites) return found;
    }
  }

  /** Keys that begin with `prefix`, in the table's order. The list of keys is one snapshot of
   * MySQL-B; the values come from the tiers. `next` is the `after` of the next page. */
  async list(
    options: ListOptions,
    read: ReadOptions = {},
  ): Promise<{ asOf: number; readings: Reading[]; next: string | undefined }> {
    this.#assertStarted();
    const deadline = this.#deadlineOf(read);
    await this.#waitFor(read, deadline);
    return await this.#inOneHistory(() => this.#list(options, read, deadline));
  }

  async #list(options: ListOptions, read: ReadOptions, deadline: Deadline) {
    const list = await this.#loader.recent(
      (onSend) => this.#parts.log.list(options.prefix, options.after, options.limit, onSend),
      (found) => found.asOf,
    );
    assertReached(list.asOf, read);
    let bytes = 0;
    const kept = list.keys.filter((found, index) => {
      bytes += found.bytes;
      return index === 0 || bytes <= LIST_BYTES;
    });
    const readings = await this.getMany(
      kept.map((found) => found.key),
      { ...read, timeoutMs: deadline.remainingMs },
    );
    const next = kept.length < list.keys.length ? kept.at(-1)?.key : list.next;
    return { asOf: list.asOf, readings: [...readings.values()].filter((r) => r.found), next };
  }

  /** Reads `key` from MySQL-B, whatever the caches hold, and caches that. */
  async refresh(key: string): Promise<Reading> {
    await this.invalidate(key);
    return this.get(key);
  }

  /** Forgets `key` here and in Redis: after a change that went around the triggers. Other readers'
   * local entries stay. */
  async invalidate(key: string): Promise<void> {
    assertKey(key);
    this.#local.forget(key);
    await this.#parts.redis.remove(key).catch((error: unknown) => this.#redisFault(error));
    this.#local.forget(key); // what a read picked up from Redis in the meantime
  }

  /** Compares entries of this process and of Redis with MySQL-B, as happens at `auditCron`, and
   * drops everything, in all readers, when something went around the log. */
  async audit(): Promise<Audit> {
    this.#assertStarted();
    return await this.#auditor.audit();
  }

  status(): ReaderStatus {
    const [ready, stale, pollFailures] = [this.ready, this.#isStale(), this.#loop.failures];
    const reads = { ...this.#metrics.hits };
    const audit = this.#auditor.status;
    return { ready, stale, pollFailures, reads, audit, ...statusOf(this.#parts) };
  }

  /** The answer of one load; an expired local entry when it fails.
   * @param from how the instance stood when the read began: a load that was in flight already is
   * joined only while its key did not change, so what it brings is the truth as of now, even if it
   * read before */
  async #arrival(key: string, deadline: Deadline, from: Standing): Promise<Reading> {
    try {
      const { entry, tier } = await deadline.bound(this.#loader.load(key));
      this.#metrics.hits[tier] += 1;
      const now = this.#standing();
      const isSameHistory = from.rewrites === now.rewrites;
      const trueAt = isSameHistory ? from.applied.version : entry.asOf;
      // What this instance has learned since then is not in an answer from before it.
      const isRecent = isSameHistory && Math.max(entry.asOf, trueAt) >= now.applied.version;
      return new Reading(key, entry, tier, trueAt, isRecent ? now : from);
    } catch (error) {
      const entry = this.#local.getExpired(key);
      if (entry === undefined) throw error;
      this.#metrics.hits.local += 1;
      return this.#localReading(key, entry, { ...this.#standing(), staleAtMs: ALREADY_STALE });
    }
  }

  /** Waits for what the caller demands beyond an ordinary read. */
  async #waitFor(options: ReadOptions, deadline: Deadline): Promise<void> {
    if (!needsWait(options)) return;
    const { minVersion = 0, maxStalenessMs = Number.POSITIVE_INFINITY } = options;
    const { reconciler } = this.#parts;
    const holds = () =>
      this.#local.applied.version >= minVersion && reconciler.ageMs() <= maxStalenessMs;
    if (await this.#loop.until(holds, deadline.remainingMs)) return;
    assertReached(this.#local.applied.version, options);
    throw new NotFreshError(
      `Expected to be at most ${maxStalenessMs} ms behind data center A, got ` +
        `${Math.round(reconciler.ageMs())} ms. Try again, or check replication and the heartbeat ` +
        '(the write process sends one each second; a bound under that has to wait for it).',
    );
  }

  /** What is held here is the truth as of the instance's position. */
  #localReading(key: string, entry: Entry, standing: Standing): Reading {
    return new Reading(key, entry, 'local', standing.applied.version, standing);
  }

  #standing(): Standing {
    const { applied } = this.#local;
    return this.#lastStanding.applied === applied ? this.#lastStanding : this.#stand({ applied });
  }

  #stand(by: Partial<Standing>): Standing {
    this.#lastStanding = { ...this.#lastStanding, rewrites: this.#local.rewrites, ...by };
    return this.#lastStanding;
  }

  #isStale(): boolean {
    return this.#parts.monotonicMs() > this.#lastStanding.staleAtMs;
  }

  #deadlineOf({ timeoutMs = this.#parts.readTimeoutMs }: ReadOptions): Deadline {
    return new Deadline(this.#parts.monotonicMs, timeoutMs);
  }

  #assertStarted(): void {
    if (this.#closed !== undefined) {
      throw new NotRunningError('Expected a reader that runs, got one that was stopped.');
    }
    if (this.#startedAtMs === undefined) {
      throw new NotRunningError('Expected a reader that runs: call `await reader.start()` first.');
    }
    if (!this.#parts.reconciler.started) {
      throw new UnavailableError(
        'Expected a first answer from MySQL-B, got none yet. Check MYSQL_B_URL and try again.',
      );
    }
  }

  #listen(reconciler: Reconciler): void {
    const { table, monotonicMs, staleAfterMs } = this.#parts;
    reconciler.on('beat', () => {
      this.#stand({ staleAtMs: monotonicMs() + staleAfterMs - reconciler.ageMs() });
    });
    reconciler.on('page', (page: Page, keys: readonly string[]) => {
      const [from, to] = [page.from.version, page.to.version];
      const rows = page.rows.filter((row) => row.table === table);
      if (keys.length > 0)
        this.#tell('change', () => this.emit('change', { keys, from, to, rows }));
    });
    reconciler.on('rebase', (reason) => {
      this.#logging.rebased(reason, this.#local.applied.version);
      this.#tell('rebase', () => this.emit('rebase', { reason }));
    });
    reconciler.on('redis-fault', (error) => this.#redisFault(error));
  }

  /** A listener that throws must not end the turn that calls it. */
  #tell(event: string, emit: () => void): void {
    try {
      emit();
    } catch (error) {
      this.#logging.listenerThrew(event, error);
    }
  }

  #pollFailed(error: unknown, failures: number): void {
    this.#metrics.pollFailures += 1;
    this.#logging.pollFailed(error, failures);
  }

  #redisFault(error: unknown): void {
    this.#metrics.redisFaults += 1;
    this.#logging.redisFault(error, this.#metrics.redisFaults);
  }
}
