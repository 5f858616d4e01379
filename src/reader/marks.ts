/**
 * The marks: keeps what Redis vouches for in step with the log.
 *
 * Invariant: a generation is read from (`adopt`) only after the log has confirmed its mark's position.
 * A mark that the log does not confirm is given up for a new generation, by compare-and-set, so that
 * of many readers one succeeds. Redis that does not answer stops nothing: its marks stay behind, and
 * are caught up page by page when it does.
 * Someone can ask for a rebase by beginning a generation that says so. Who has seen that never reads
 * from a generation before it again, and hands the word on in each one that it begins: it outlives
 * a Redis that forgets or goes back.
 */
import type { Now } from '../core/freshness.js';
import { askedIn, generationName } from '../core/mark.js';
import {
  decide,
  decideMark,
  type LogSnapshot,
  type Position,
  type RebaseReason,
} from '../core/position.js';
import type { ChangeLog } from '../mysql/log.js';
import type { RedisTier, StoredMark } from '../redis/tier.js';
import type { LoadedPage, PageLoader } from './page-loader.js';

export interface MarksOptions {
  readonly log: ChangeLog;
  readonly redis: RedisTier;
  readonly pages: PageLoader;
  /** The most rows of the log that one poll asks for. */
  readonly pollLimit: number;
  /** A mark beyond the head is given up after so long. */
  readonly graceMs: number;
  readonly now: () => Now;
  /** A name that no earlier generation had. */
  readonly newGeneration: () => string;
  /** The position at which a new generation may start. */
  readonly applied: () => Position;
  readonly onGeneration: (bucket: number, reason: string) => void;
  /** Another reader has given a generation up because of changes that are not in the log. */
  readonly onRepair: () => void;
  /** Redis has taken a page into one bucket, after so long. */
  readonly onApplied: (ms: number) => void;
  readonly onFault: (error: unknown) => void;
}

/** What a snapshot of the log says of a stored mark. */
export interface JudgedMark {
  readonly stored: StoredMark;
  /** in-step: within the snapshot; late: before it; ahead: beyond it; lost: not in the log. */
  readonly state: 'in-step' | 'late' | 'ahead' | 'lost';
  /** Why it is lost. */
  readonly reason?: string;
}

/** What stands in the name of a generation that an audit was the reason for, so that all readers see. */
const REPAIR = 'audit-';
const OF_REPAIR = /^(asked-\d+-)?audit-/;

export class Marks {
  readonly #options: MarksOptions;
  readonly #redis: RedisTier;
  readonly #versions = new Map<number, number>();
  readonly #aheadSinceMs = new Map<number, number>();
  /** The generation that was last seen in each bucket. */
  readonly #seen = new Map<number, string>();
  /** The generations that were given up; undefined: the one that is seen next. */
  readonly #givenUp = new Map<number, string | undefined>();
  /** The newest rebase that was asked for, as far as this instance knows. */
  #asked = 0;

  constructor(options: MarksOptions) {
    this.#options = options;
    this.#redis = options.redis;
  }

  /** The last known version of each bucket's mark. */
  get versions(): ReadonlyMap<number, number> {
    return this.#versions;
  }

  /** The newest rebase that was asked for and is done; 0 when there was none. */
  get asked(): number {
    return this.#asked;
  }

  /** Whether Redis vouches, in every bucket, for all up to `version`. */
  haveReached(version: number): boolean {
    for (let bucket = 0; bucket < this.#redis.buckets; bucket++) {
      if (this.#redis.adopted(bucket) === undefined) return false;
      if ((this.#versions.get(bucket) ?? -1) < version) return false;
    }
    return true;
  }

  /** The marks as Redis holds them; none when it does not answer. */
  async read(): Promise<StoredMark[]> {
    try {
      return await this.#redis.marks();
    } catch (error) {
      this.#options.onFault(error);
      return [];
    }
  }

  /** Whether the marks tell of a rebase that was asked for and that this instance has not done. It is
   * done when the caller has dropped all that it holds, before it goes on. */
  heed(marks: readonly StoredMark[]): boolean {
    const newest = Math.max(0, ...marks.map(({ mark }) => askedIn(mark?.generation ?? '')));
    if (newest <= this.#asked) return false;
    this.#asked = newest;
    this.distrust();
    return true;
  }

  /** Trusts no generation until its mark is judged again. */
  distrust(): void {
    for (let bucket = 0; bucket < this.#redis.buckets; bucket++) {
      this.#redis.adopt(bucket, undefined);
    }
  }

  /** Says that entries of the generations that there are may be wrong, though their marks are right. */
  giveUp(): void {
    for (let bucket = 0; bucket < this.#redis.buckets; bucket++) {
      this.#givenUp.set(bucket, this.#seen.get(bucket));
    }
  }

  /** Judges the marks by a snapshot polled `from` a position, and adopts what it confirms. */
  judge(marks: readonly StoredMark[], snapshot: LogSnapshot, from: number): JudgedMark[] {
    const polled = { from, limit: this.#options.pollLimit };
    return marks.map((stored): JudgedMark => {
      const { bucket, mark } = stored;
      if (mark === undefined) return { stored, state: 'lost', reason: 'missing' };
      this.#versions.set(bucket, mark.position.version);
      this.#see(bucket, mark.generation);
      if (askedIn(mark.generation) < this.#asked) return { stored, state: 'lost', reason: 'asked' };
      if (this.#givenUp.get(bucket) === mark.generation) {
        return { stored, state: 'lost', reason: 'audit' };
      }
      const verdict = decideMark(mark.position, snapshot, polled);
      if (verdict.kind === 'rebase')
        return lostUnless(mark.position.version > from, stored, verdict);
      if (verdict.kind === 'behind') return this.#judgeAhead(stored);
      this.#aheadSinceMs.delete(bucket);
      if (verdict.kind === 'unseen') {
        return { stored, state: mark.position.version < from ? 'late' : 'ahead' };
      }
      this.#redis.adopt(bucket, mark.generation);
      return { stored, state: 'in-step' };
    });
  }

  #see(bucket: number, generation: string): void {
    if (this.#givenUp.has(bucket) && this.#givenUp.get(bucket) === undefined) {
      this.#givenUp.set(bucket, generation);
    }
    const before = this.#seen.get(bucket);
    this.#seen.set(bucket, generation);
    if (before === undefined || before === generation) return;
    const isKnown = before === this.#givenUp.get(bucket); // what was held then is dropped already
    if (OF_REPAIR.test(generation) && !isKnown) this.#options.onRepair();
  }

  /** Beyond the head: another instance's replica is ahead of ours, or history lost its tail. */
  #judgeAhead(stored: StoredMark): JudgedMark {
    const { monotonicMs } = this.#options.now();
    const sinceMs = this.#aheadSinceMs.get(stored.bucket) ?? monotonicMs;
    this.#aheadSinceMs.set(stored.bucket, sinceMs);
    if (monotonicMs - sinceMs < this.#options.graceMs) return { stored, state: 'ahead' };
    return { stored, state: 'lost', reason: 'regressed' };
  }

  /** Applies a page to the buckets whose marks stand in it; another instance may be first. */
  async apply(marks: readonly StoredMark[], loaded: LoadedPage): Promise<void> {
    const { to } = loaded.page;
    try {
      for (const stored of marks) {
        const startedAtMs = this.#options.now().monotonicMs;
        const isApplied = await this.#redis.apply(stored, to, entriesAfter(stored, loaded));
        if (!isApplied) continue;
        this.#options.onApplied(this.#options.now().monotonicMs - startedAtMs);
        this.#versions.set(stored.bucket, to.version);
      }
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  /** New generations where marks are lost, one page of catching up where they are late.
   * True when no bucket needs another turn at once. */
  async mend(judged: readonly JudgedMark[]): Promise<boolean> {
    let isDone = true;
    for (const { stored, state, reason } of judged) {
      if (state === 'lost') await this.#begin(stored, reason ?? 'missing');
      if (state === 'late') isDone = (await this.#catchUp(stored)) && isDone;
    }
    return isDone;
  }

  /** Brings one bucket's mark a page nearer to this instance's position. */
  async #catchUp(stored: StoredMark): Promise<boolean> {
    const { bucket, mark } = stored;
    if (mark === undefined) return true;
    const { version } = mark.position;
    const snapshot = await this.#options.log.poll(version, this.#options.pollLimit);
    const verdict = decide(mark.position, snapshot);
    const [judged] = this.judge([stored], snapshot, version);
    if (judged?.state === 'lost') await this.#begin(stored, judged.reason ?? 'missing');
    // Idle, or behind (a lagging replica answered): judged again by a later turn.
    if (judged?.state !== 'in-step' || verdict.kind !== 'page') return true;
    const loaded = await this.#options.pages.load(verdict.page);
    await this.apply([stored], loaded);
    const reached = this.#versions.get(bucket) ?? 0;
    return reached < loaded.page.to.version || reached >= this.#options.applied().version;
  }

  async #begin(stored: StoredMark, reason: string): Promise<void> {
    const name = this.#options.newGeneration();
    const isRepair = reason === 'audit';
    const generation = generationName(isRepair ? `${REPAIR}${name}` : name, this.#asked);
    const position = this.#options.applied();
    const givenUp = isRepair ? stored.mark?.generation : ''; // others go on moving its mark
    try {
      this.#redis.adopt(stored.bucket, undefined);
      if (!(await this.#redis.begin(stored, generation, position, givenUp))) return;
      this.#redis.adopt(stored.bucket, generation);
      this.#seen.set(stored.bucket, generation);
      this.#versions.set(stored.bucket, position.version);
      this.#aheadSinceMs.delete(stored.bucket);
      this.#options.onGeneration(stored.bucket, reason);
    } catch (error) {
      this.#options.onFault(error);
    }
  }
}

/** What the page changed after the mark: what it changed before is there already, by whoever has moved
 * the mark past it, and would be written once more by each instance that is behind. */
function entriesAfter({ mark }: StoredMark, { page, entries }: LoadedPage): LoadedPage['entries'] {
  const markVersion = mark?.position.version ?? 0;
  if (markVersion <= page.from.version) return entries;
  const rows = page.rows.filter(({ version }) => version > markVersion);
  const keys = new Set(rows.map(({ key }) => key));
  return new Map([...entries].filter(([key]) => keys.has(key)));
}

/** A hole at or after a mark that is `ahead` of this instance is ahead of the instance, too: a
 * generation begun now would start before the hole and be lost to it again. The instance's own next
 * turn leaps over it. */
function lostUnless(
  isAhead: boolean,
  stored: StoredMark,
  { reason }: { readonly reason: RebaseReason },
): JudgedMark {
  if (isAhead && reason !== 'diverged') return { stored, state: 'ahead' };
  return { stored, state: 'lost', reason };
}
