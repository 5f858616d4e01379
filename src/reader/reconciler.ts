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
import type { Entry } from '../core/entry.js';
import { ageMs, type Freshness, type Now, observeBeat } from '../core/freshness.js';
import {
  decide,
  type LogSnapshot,
  type Page,
  positionOf,
  type RebaseReason,
} from '../core/position.js';
import type { LocalTier } from '../local/tier.js';
import type { Glance } from '../mysql/glance.js';
import type { ChangeLog } from '../mysql/log.js';
import type { RedisTier, StoredMark } from '../redis/tier.js';
import { type JudgedMark, Marks } from './marks.js';
import { type LoadedPage, laggingReplica, PageLoader } from './page-loader.js';
import { type Polled, ReadAhead } from './read-ahead.js';

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
  /** Nothing that was held before is held any more; the position is the head, or as it was (`asked`). */
  rebase: [reason: RebaseReason];
  generation: [bucket: number, reason: string];
  /** `onChange: 'refresh'`: a local entry was replaced by what its change brought. */
  refresh: [key: string, entry: Entry];
  /** MySQL-B has answered a poll, Redis has taken a page into one bucket: after so long. */
  poll: [ms: number];
  apply: [ms: number];
  /** The instance has caught up with a heartbeat: `ageMs` is what it was then. */
  beat: [];
  /** Redis did not take part in this turn. */
  'redis-fault': [error: unknown];
}

/** A head below the position is believed when it is shown for this long without a proof: until then,
 * the answer may come from a replica that lags behind the one that answered before. What counts is when
 * MySQL-B was asked: however late an answer is looked at, it tells of then. */
const REGRESSION_GRACE_MS = 3_000;
export class Reconciler extends EventEmitter<ReconcilerEvents> {
  readonly #options: ReconcilerOptions;
  readonly #local: LocalTier<unknown>;
  readonly #pages: PageLoader;
  readonly #ahead: ReadAhead;
  readonly #marks: Marks;
  #started = false;
  #startHead = 0;
  #head = 0;
  #freshness: Freshness | undefined;
  #newestBeatAtMs = Number.NEGATIVE_INFINITY;
  /** A snapshot's beat that counts once the instance has caught up with its head. */
  #pendingBeat: LogSnapshot | undefined;
  #behindSinceMs: number | undefined;
  /** The sighting that the log is to reach, and since when it is waited for. */
  #awaited: { readonly version: number; readonly sinceMs: number } | undefined;
  /** A turn is to drop all that is held, because the log does not tell all changes. */
  #isRepairDue = false;

  constructor(options: ReconcilerOptions) {
    super();
    this.#options = options;
    this.#local = options.local;
    const pollLimit = options.pageSize + 1;
    this.#pages = new PageLoader(options.log, options.table);
    const monotonicMs = () => options.now().monotonicMs;
    const onPoll = (ms: number) => this.emit('poll', ms);
    this.#ahead = new ReadAhead(options.log, this.#pages, pollLimit, monotonicMs, onPoll);
    this.#marks = new Marks({
      ...options,
      pages: this.#pages,
      pollLimit,
      graceMs: REGRESSION_GRACE_MS,
      newGeneration: options.newGeneration ?? (() => randomBytes(9).toString('base64url')),
      applied: () => this.#local.applied,
      onGeneration: (bucket, reason) => this.emit('generation', bucket, reason),
      onRepair: () => {
        this.#isRepairDue = true;
      },
      onApplied: (ms) => this.emit('apply', ms),
      onFault: (error) => this.emit('redis-fault', error),
    });
  }

  /** The newest head seen on MySQL-B. */
  get head(): number {
    return this.#head;
  }

  /** Data center A's clock at the newest heartbeat seen, ms since the epoch; -Infinity before. */
  get beatAtMs(): number {
    return this.#newestBeatAtMs;
  }

  get started(): boolean {
    return this.#started;
  }

  /** Has the next turn drop all that is held here and in Redis: some of it is wrong, and the log does
   * not tell. Other readers see it by the name of the new generation, and drop theirs. */
  repair(): void {
    this.#marks.giveUp();
    this.#isRepairDue = true;
  }

  get isRepairDue(): boolean {
    return this.#isRepairDue;
  }

  /** Whether Redis vouches for all that was in the log when this instance started. */
  get marksReachedStart(): boolean {
    return this.#started && this.#marks.haveReached(this.#startHead);
  }

  get markVersions(): ReadonlyMap<number, number> {
    return this.#marks.versions;
  }

  get asked(): number {
    return this.#marks.asked;
  }

  /** How long ago, at most, this instance was complete; Infinity before the first turn. */
  ageMs(): number {
    return ageMs(this.#freshness, this.#options.now());
  }

  /** How late A's newest heartbeat was here, by the clocks of both; undefined until one came. */
  get lagMs(): number | undefined {
    return this.#freshness?.lagMs;
  }

  /** One turn. True when there is more to do at once.
   * @param glance what an early wake has brought, a moment ago
   * @throws TidemarkError when MySQL-B could not answer; nothing was half done */
  async turn(glance?: Glance): Promise<boolean> {
    try {
      return this.#started ? await this.#turn(glance) : await this.#rebase('start');
    } catch (error) {
      this.#ahead.forget(); // the next turn is not at once
      throw error;
    }
  }

  async #turn(glance: Glance | undefined): Promise<boolean> {
    const from = this.#local.applied;
    const marks = this.#readMarks();
    const polled = await this.#ahead.poll(from, glance);
    const { snapshot } = polled;
    const verdict = decide(from, snapshot);
    if (verdict.kind === 'rebase') return this.#rebase(verdict.reason);
    if (verdict.kind === 'behind') return this.#waitOrRegress(polled);
    this.#behindSinceMs = undefined;
    const lost = this.#judgeSightings(polled);
    if (lost !== undefined) return this.#rebase(lost);
    if (this.#isRepairDue) return this.#rebase('audit'); // history has not been rewritten, see above
    this.#head = Math.max(this.#head, snapshot.head);
    const page = verdict.kind === 'page' ? verdict.page : undefined;
    const refreshed =
      page && this.#options.onChange === 'refresh' ? await this.#refresh(page) : undefined;

    const stored = await marks;
    if (this.#marks.heed(stored)) return this.#dropAll();
    const judged = this.#marks.judge(stored, snapshot, from.version);
    if (page && !(await this.#takePage(page, judged, snapshot, refreshed))) {
      return this.#rebase('diverged');
    }
    this.#noteBeat(polled);
    const marksDone = await this.#marks.mend(judged);
    return !marksDone || this.#isRepairDue || this.#local.applied.version < snapshot.head;
  }

  /** Once the poll is on its way: it takes longer, and is not to wait for what Redis is sent. */
  async #readMarks(): Promise<StoredMark[]> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    return await this.#marks.read();
  }

  /** Loads a page's changes, unless that is done, applies them to the buckets that are in step, and
   * evicts. A page that other instances have applied already is only evicted.
   * @returns false when answers that came meanwhile tell another history: then it is not taken */
  async #takePage(
    whole: Page,
    judged: readonly JudgedMark[],
    snapshot: LogSnapshot,
    refreshed: LoadedPage | undefined,
  ): Promise<boolean> {
    const due = judged
      .filter(({ state }) => state === 'in-step')
      .map(({ stored }) => stored)
      .filter(({ mark }) => (mark?.position.version ?? 0) < whole.to.version);
    const unread = { page: whole, entries: new Map<string, Entry>() };
    const loaded = refreshed ?? (due.length > 0 ? await this.#ahead.load(whole) : unread);
    if (due.length > 0 && loaded.page.to.version < snapshot.head) {
      this.#ahead.go(loaded.page.to);
    }
    await this.#marks.apply(due, loaded);

    if (this.#local.sightings.contradictedBy(snapshot)) return false;
    const keys = this.#pages.keysOf(loaded.page);
    this.#local.evict(keys, loaded.page);
    this.emit('page', loaded.page, keys);
    return true;
  }

  /** Loads a page's changes, and replaces what is held of them at once: they were read from MySQL-B, like
   * any answer ahead of the position, and wait for no Redis. */
  async #refresh(page: Page): Promise<LoadedPage> {
    const loaded = await this.#ahead.load(page);
    for (const [key, entry] of loaded.entries) {
      if (this.#local.refresh(key, entry)) this.emit('refresh', key, entry);
    }
    return loaded;
  }

  /** Whether the log denies what answers ahead of the position have seen. */
  #judgeSightings({ snapshot, askedAtMs }: Polled): 'diverged' | 'regressed' | undefined {
    const { sightings } = this.#local;
    if (sightings.contradictedBy(snapshot)) return 'diverged';
    // The log that reaches it goes on, though others may lie beyond by then.
    if ((this.#awaited?.version ?? 0) <= snapshot.head) this.#awaited = undefined;
    if (sightings.newest <= snapshot.head) return undefined;
    this.#awaited ??= { version: sightings.newest, sinceMs: askedAtMs };
    const waitedMs = askedAtMs - this.#awaited.sinceMs;
    return waitedMs >= REGRESSION_GRACE_MS ? 'regressed' : undefined;
  }

  /** The head is below the position. A newer heartbeat proves that this is another history. */
  async #waitOrRegress({ snapshot, askedAtMs }: Polled): Promise<boolean> {
    this.#behindSinceMs ??= askedAtMs;
    const waitedMs = askedAtMs - this.#behindSinceMs;
    if (snapshot.beatAtMs > this.#newestBeatAtMs || waitedMs >= REGRESSION_GRACE_MS) {
      return this.#rebase('regressed');
    }
    return false;
  }

  /** Someone asked for a rebase. The log is not in doubt, so the position stays; but what this turn has
   * read was read before, so the next one reads it anew. */
  #dropAll(): boolean {
    this.#ahead.forget();
    this.#local.forgetAll();
    this.emit('rebase', 'asked');
    return true;
  }

  /** Starts again from the head of the log, trusting nothing that was held. */
  async #rebase(reason: RebaseReason): Promise<boolean> {
    // Nothing is held yet: whoever asked for it before has it.
    if (reason === 'start') this.#marks.heed(await this.#marks.read());
    const askedAtMs = this.#options.now().monotonicMs;
    const tip = await this.#options.log.tip();
    const rewritten = reason === 'regressed' || reason === 'diverged';
    if (!rewritten && tip.head < this.#local.applied.version) {
      throw laggingReplica(this.#local.applied.version, tip.head);
    }
    const row = tip.rows[0];
    const position = row === undefined ? { version: tip.head, fingerprint: '' } : positionOf(row);
    this.#local.clear(position, rewritten, rewritten || this.#isRepairDue);
    this.#marks.distrust();
    this.#isRepairDue = false;
    this.#behindSinceMs = undefined;
    this.#awaited = undefined;
    this.#pendingBeat = undefined;
    this.#newestBeatAtMs = tip.beatAtMs;
    this.#head = tip.head;
    if (!this.#started || rewritten) this.#startHead = tip.head;
    this.#started = true;
    if (rewritten) this.#freshness = undefined; // another server's clock, perhaps
    this.#caughtUpWith(tip.beatAtMs, { snapshot: tip, askedAtMs });
    this.emit('rebase', reason);
    return true;
  }

  #noteBeat(polled: Polled): void {
    const { snapshot } = polled;
    this.#newestBeatAtMs = Math.max(this.#newestBeatAtMs, snapshot.beatAtMs);
    // What was seen beyond this head may be of a history that is no more: that is not fresh.
    if (this.#local.sightings.newest > snapshot.head) return;
    this.#pendingBeat ??= snapshot;
    if (this.#local.applied.version >= snapshot.head) this.#pendingBeat = snapshot;
    if (this.#local.applied.version < this.#pendingBeat.head) return;
    this.#caughtUpWith(this.#pendingBeat.beatAtMs, polled);
    this.#pendingBeat = undefined;
  }

  #caughtUpWith(beatAtMs: number, { snapshot, askedAtMs }: Polled): void {
    const beat = { beatAtMs, serverOffsetMs: askedAtMs - snapshot.clockMs };
    this.#freshness = observeBeat(this.#freshness, beat, this.#options.now());
    this.emit('beat');
  }
}
