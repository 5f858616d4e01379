/**
 * The reconciler: brings one instance's local tier, and Redis, up to the head of the log on MySQL-B.
 *
 * One turn: poll from the instance's position and read the marks; decide; load what changed; apply
 * it to Redis; evict it locally. Redis comes first so that the reads after an eviction hit it, but
 * nothing hangs on that: when Redis does not answer, the instance evicts and goes on, the marks stay
 * behind, and rule R2 sends reads to MySQL until a later turn has caught Redis up.
 * Invariant: the local tier's position moves only over changes that the log showed without a gap;
 * anything else is a rebase, which trusts nothing that was held before.
 * `turn` does one turn and keeps no time; the loop around it is in `poll-loop.ts`.
 */
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { Entry } from './core/entry.js';
import { ageMs, type Freshness, type Now, observeBeat } from './core/freshness.js';
import {
  cutPage,
  decide,
  decideMark,
  keysOf,
  type LogSnapshot,
  type Page,
  positionOf,
  type RebaseReason,
} from './core/position.js';
import { UnavailableError } from './errors.js';
import type { LocalTier } from './local/tier.js';
import type { ChangeLog } from './mysql/log.js';
import type { RedisTier, StoredMark } from './redis/tier.js';

export interface ReconcilerOptions {
  readonly log: ChangeLog;
  readonly redis: RedisTier;
  readonly local: LocalTier<unknown>;
  /** The tracked table's name, as the log's rows carry it. */
  readonly table: string;
  /** The most changes that one turn takes in. */
  readonly pageSize: number;
  readonly onChange: 'evict' | 'refresh';
  readonly now: () => Now;
  /** A name that no earlier generation had. */
  readonly newGeneration?: () => string;
}

export interface ReconcilerEvents {
  /** Local entries of these keys are gone, or replaced; `rows` are the log's. */
  page: [page: Page, keys: readonly string[]];
  rebase: [reason: RebaseReason];
  generation: [bucket: number, reason: string];
  /** Redis did not take part in this turn. */
  'redis-fault': [error: unknown];
}

/** A head below the position is believed after this long without a proof: until then, the answer
 * may come from a replica that lags behind the one that answered before. */
const REGRESSION_GRACE_MS = 3_000;
/** The most bytes of values that one turn holds in memory. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Up to so many keys are loaded without asking for their sizes first. */
const FEW_KEYS = 4;

export class Reconciler extends EventEmitter<ReconcilerEvents> {
  readonly #options: ReconcilerOptions;
  readonly #local: LocalTier<unknown>;
  readonly #newGeneration: () => string;
  #started = false;
  #startHead = 0;
  #head = 0;
  #freshness: Freshness | undefined;
  #newestBeatAtMs = Number.NEGATIVE_INFINITY;
  /** A snapshot's beat that counts once the instance has caught up with its head. */
  #pendingBeat: { readonly head: number; readonly beatAtMs: number } | undefined;
  #behindSinceMs: number | undefined;
  #sightingsBehindSinceMs: number | undefined;
  #marksBehindSinceMs = new Map<number, number>();
  #markVersions = new Map<number, number>();

  constructor(options: ReconcilerOptions) {
    super();
    this.#options = options;
    this.#local = options.local;
    this.#newGeneration = options.newGeneration ?? (() => randomBytes(9).toString('base64url'));
  }

  /** The newest head seen on MySQL-B. */
  get head(): number {
    return this.#head;
  }

  get started(): boolean {
    return this.#started;
  }

  /** Whether Redis vouches for all that was in the log when this instance started. */
  get marksReachedStart(): boolean {
    if (!this.#started) return false;
    for (let bucket = 0; bucket < this.#options.redis.buckets; bucket++) {
      if (this.#options.redis.adopted(bucket) === undefined) return false;
      if ((this.#markVersions.get(bucket) ?? -1) < this.#startHead) return false;
    }
    return true;
  }

  get markVersions(): ReadonlyMap<number, number> {
    return this.#markVersions;
  }

  /** How long ago, at most, this instance was complete; Infinity before the first turn. */
  ageMs(): number {
    return ageMs(this.#freshness, this.#options.now());
  }

  /** One turn. True when there is more to do at once.
   * @throws TidemarkError when MySQL-B could not answer; nothing was half done */
  async turn(): Promise<boolean> {
    if (!this.#started) return this.#rebase('start');
    const from = this.#local.applied;
    const limit = this.#options.pageSize + 1;
    const [snapshot, marks] = await Promise.all([
      this.#options.log.poll(from.version, limit),
      this.#readMarks(),
    ]);
    const verdict = decide(from, snapshot);
    if (verdict.kind === 'rebase') return this.#rebase(verdict.reason);
    if (verdict.kind === 'behind') return this.#waitOrRegress(snapshot);
    this.#behindSinceMs = undefined;
    const lost = this.#judgeSightings(snapshot);
    if (lost !== undefined) return this.#rebase(lost);
    this.#head = Math.max(this.#head, snapshot.head);

    const judged = this.#judgeMarks(marks, snapshot, { from: from.version, limit });
    const inStep = judged.filter(({ state }) => state === 'in-step').map(({ stored }) => stored);
    if (verdict.kind === 'page') await this.#takePage(verdict.page, inStep);
    this.#noteBeat(snapshot);
    const caughtUp = await this.#mendMarks(judged);
    return !caughtUp || this.#local.applied.version < snapshot.head;
  }

  /** Loads a page's changes, applies them to the buckets that are in step, and evicts. */
  async #takePage(whole: Page, marks: readonly StoredMark[]): Promise<void> {
    const due = marks.filter(({ mark }) => (mark?.position.version ?? 0) < whole.to.version);
    const wanted = due.length > 0 || this.#options.onChange === 'refresh';
    const page = wanted ? await this.#affordable(whole) : whole;
    const keys = keysOf(page, this.#options.table);
    const entries = wanted ? await this.#load(keys, page) : new Map<string, Entry>();
    await this.#applyTo(due, page, entries);

    const held = this.#options.onChange === 'refresh' ? this.#local.held(keys) : [];
    this.#local.evict(keys, page.to);
    for (const key of held) {
      const entry = entries.get(key);
      if (entry !== undefined) this.#local.refresh(key, entry);
    }
    this.emit('page', page, keys);
  }

  /** The first part of a page whose values fit into memory together. */
  async #affordable(page: Page): Promise<Page> {
    const keys = keysOf(page, this.#options.table);
    if (keys.length <= FEW_KEYS) return page;
    return cutPage(page, await this.#options.log.sizes(keys), PAGE_BYTES);
  }

  async #load(keys: readonly string[], page: Page): Promise<Map<string, Entry>> {
    if (keys.length === 0) return new Map();
    const entries = await this.#options.log.fetch(keys);
    for (const entry of entries.values()) {
      if (entry.asOf >= page.to.version) continue;
      throw laggingReplica(page.to.version, entry.asOf);
    }
    return entries;
  }

  async #applyTo(marks: readonly StoredMark[], page: Page, entries: Map<string, Entry>) {
    try {
      for (const { bucket, mark } of marks) {
        if (mark === undefined) continue;
        const reply = await this.#options.redis.apply(bucket, mark.generation, page, entries);
        if (reply === 'applied' || reply === 'done') {
          this.#markVersions.set(bucket, Math.max(page.to.version, mark.position.version));
        }
      }
    } catch (error) {
      this.emit('redis-fault', error);
    }
  }

  async #readMarks(): Promise<StoredMark[]> {
    try {
      return await this.#options.redis.marks();
    } catch (error) {
      this.emit('redis-fault', error);
      return [];
    }
  }

  /** Where each bucket stands against the log. Adopts the generations that the log confirms. */
  #judgeMarks(
    marks: readonly StoredMark[],
    snapshot: LogSnapshot,
    polled: { from: number; limit: number },
  ): JudgedMark[] {
    return marks.map((stored): JudgedMark => {
      const { bucket, mark } = stored;
      if (mark === undefined) return { stored, state: 'lost', reason: 'missing' };
      this.#markVersions.set(bucket, mark.position.version);
      const verdict = decideMark(mark.position, snapshot, polled);
      if (verdict.kind === 'rebase') return { stored, state: 'lost', reason: verdict.reason };
      if (verdict.kind === 'behind') return this.#judgeMarkAhead(stored);
      this.#marksBehindSinceMs.delete(bucket);
      if (verdict.kind === 'unseen') {
        return { stored, state: mark.position.version < polled.from ? 'late' : 'ahead' };
      }
      this.#options.redis.adopt(bucket, mark.generation);
      return { stored, state: 'in-step' };
    });
  }

  /** A mark beyond the head: another instance's replica is ahead, or history lost its tail. */
  #judgeMarkAhead(stored: StoredMark): JudgedMark {
    const { monotonicMs } = this.#options.now();
    const sinceMs = this.#marksBehindSinceMs.get(stored.bucket) ?? monotonicMs;
    this.#marksBehindSinceMs.set(stored.bucket, sinceMs);
    if (monotonicMs - sinceMs < REGRESSION_GRACE_MS) return { stored, state: 'ahead' };
    return { stored, state: 'lost', reason: 'regressed' };
  }

  /** New generations where marks are lost, one page of catching up where they are late.
   * True when no bucket needs another turn at once. */
  async #mendMarks(judged: readonly JudgedMark[]): Promise<boolean> {
    let caughtUp = true;
    for (const { stored, state, reason } of judged) {
      if (state === 'lost') await this.#beginGeneration(stored, reason ?? 'missing');
      if (state === 'late') caughtUp = (await this.#catchUp(stored)) && caughtUp;
    }
    return caughtUp;
  }

  /** Brings one bucket's mark a page nearer to this instance's position. */
  async #catchUp(stored: StoredMark): Promise<boolean> {
    const { bucket, mark } = stored;
    if (mark === undefined) return true;
    const polled = { from: mark.position.version, limit: this.#options.pageSize + 1 };
    const snapshot = await this.#options.log.poll(polled.from, polled.limit);
    const verdict = decide(mark.position, snapshot);
    const [judged] = this.#judgeMarks([stored], snapshot, polled);
    if (judged?.state === 'lost') await this.#beginGeneration(stored, judged.reason ?? 'missing');
    // Idle, or behind (a lagging replica answered): judged again by a later turn.
    if (judged?.state !== 'in-step' || verdict.kind !== 'page') return true;
    const page = await this.#affordable(verdict.page);
    const entries = await this.#load(keysOf(page, this.#options.table), page);
    await this.#applyTo([stored], page, entries);
    const reached = this.#markVersions.get(bucket) ?? 0;
    return reached < page.to.version || reached >= this.#local.applied.version;
  }

  async #beginGeneration(stored: StoredMark, reason: string): Promise<void> {
    const generation = this.#newGeneration();
    const position = this.#local.applied;
    try {
      this.#options.redis.adopt(stored.bucket, undefined);
      if (!(await this.#options.redis.begin(stored, generation, position))) return;
      this.#options.redis.adopt(stored.bucket, generation);
      this.#markVersions.set(stored.bucket, position.version);
      this.#marksBehindSinceMs.delete(stored.bucket);
      this.emit('generation', stored.bucket, reason);
    } catch (error) {
      this.emit('redis-fault', error);
    }
  }

  /** Whether the log denies what answers ahead of the position have seen. */
  #judgeSightings(snapshot: LogSnapshot): 'diverged' | 'regressed' | undefined {
    const { sightings } = this.#local;
    if (sightings.contradictedBy(snapshot)) return 'diverged';
    if (sightings.newest <= snapshot.head) {
      this.#sightingsBehindSinceMs = undefined;
      return undefined;
    }
    const { monotonicMs } = this.#options.now();
    this.#sightingsBehindSinceMs ??= monotonicMs;
    const waitedMs = monotonicMs - this.#sightingsBehindSinceMs;
    return waitedMs >= REGRESSION_GRACE_MS ? 'regressed' : undefined;
  }

  /** The head is below the position. A newer heartbeat proves that this is another history. */
  async #waitOrRegress(snapshot: LogSnapshot): Promise<boolean> {
    const { monotonicMs } = this.#options.now();
    this.#behindSinceMs ??= monotonicMs;
    const waitedMs = monotonicMs - this.#behindSinceMs;
    if (snapshot.beatAtMs > this.#newestBeatAtMs || waitedMs >= REGRESSION_GRACE_MS) {
      return this.#rebase('regressed');
    }
    return false;
  }

  /** Starts again from the head of the log, trusting nothing that was held. */
  async #rebase(reason: RebaseReason): Promise<boolean> {
    const tip = await this.#options.log.tip();
    const rewritten = reason === 'regressed' || reason === 'diverged';
    if (!rewritten && tip.head < this.#local.applied.version) {
      throw laggingReplica(this.#local.applied.version, tip.head);
    }
    const row = tip.rows[0];
    const position = row === undefined ? { version: tip.head, fingerprint: '' } : positionOf(row);
    this.#local.clear(position, rewritten);
    // A mark is trusted again after a turn has judged it by the log as it is now.
    for (let bucket = 0; bucket < this.#options.redis.buckets; bucket++) {
      this.#options.redis.adopt(bucket, undefined);
    }
    this.#behindSinceMs = undefined;
    this.#sightingsBehindSinceMs = undefined;
    this.#pendingBeat = undefined;
    this.#newestBeatAtMs = tip.beatAtMs;
    this.#head = tip.head;
    if (!this.#started) this.#startHead = tip.head;
    this.#started = true;
    this.#freshness = observeBeat(this.#freshness, tip.beatAtMs, this.#options.now());
    this.emit('rebase', reason);
    return true;
  }

  #noteBeat(snapshot: LogSnapshot): void {
    this.#newestBeatAtMs = Math.max(this.#newestBeatAtMs, snapshot.beatAtMs);
    this.#pendingBeat ??= snapshot;
    if (this.#local.applied.version >= snapshot.head) this.#pendingBeat = snapshot;
    if (this.#local.applied.version < this.#pendingBeat.head) return;
    this.#freshness = observeBeat(this.#freshness, this.#pendingBeat.beatAtMs, this.#options.now());
    this.#pendingBeat = undefined;
  }
}

function laggingReplica(expected: number, got: number): UnavailableError {
  return new UnavailableError(
    `Expected MySQL-B at version ${expected} or later, got ${got}: another replica, which lags. ` +
      'The next poll tries again.',
  );
}

interface JudgedMark {
  readonly stored: StoredMark;
  /** in-step: within this turn's snapshot; late: before it; ahead: beyond it; lost: not in the log. */
  readonly state: 'in-step' | 'late' | 'ahead' | 'lost';
  readonly reason?: string;
}
