/**
 * The auditor: compares what the caches hold with what MySQL-B has, and finds what no log tells:
 * TRUNCATE, triggers that are missing, cascades of foreign keys, rows that were changed on MySQL-B
 * around its triggers.
 *
 * Invariant: nothing is flagged that the log can explain (see core/audit.ts). A server that does not
 * answer, a replica that lags, a history that is rewritten leave an audit unfinished, no more.
 * Each audit takes the next entries, of the local tier and of Redis, so that all have their turn: a
 * change of many rows is found by the next audit, that of one row when its turn comes. One mismatch
 * is enough to drop everything, here, in Redis, and in all readers.
 */
import type { ScheduledTask } from 'node-cron';
import { type Finding, type Look, Stretch } from '../core/audit.js';
import type { Entry } from '../core/entry.js';
import { keyFault } from '../core/key.js';
import type { Page } from '../core/position.js';
import type { LocalTier } from '../local/tier.js';
import type { ChangeLog } from '../mysql/log.js';
import type { RedisTier } from '../redis/tier.js';
import { type AuditTaskOptions, auditTask } from './audit-task.js';
import type { Loader } from './loader.js';
import type { Reconciler } from './reconciler.js';

export interface AuditSettings extends AuditTaskOptions {
  /** The most entries of each tier that one audit looks at. */
  readonly auditSample?: number;
}

export interface AuditorOptions extends AuditSettings {
  readonly log: ChangeLog;
  readonly redis: RedisTier;
  readonly local: LocalTier<unknown>;
  readonly reconciler: Reconciler;
  readonly table: string;
  /** Asks until the answer is as recent as the reader requires. */
  readonly recent: Loader['recent'];
  /** Hurries the polls until that holds, or time is over. */
  readonly until: (holds: () => boolean) => Promise<boolean>;
  readonly monotonicMs: () => number;
}

/** Of one audit. */
export interface Audit {
  /** Entries that were looked at, absences too. */
  readonly sampled: number;
  /** Those that could be judged: the others were changing, or the audit was left unfinished. */
  readonly checked: number;
  readonly mismatches: number;
  /** Why it was left unfinished. */
  readonly fault?: string;
}

/** Of all audits since the start. */
export interface AuditStatus {
  readonly sampled: number;
  readonly checked: number;
  readonly mismatches: number;
  /** How often all that was held was dropped because of them. */
  readonly repaired: number;
  /** Audits that were finished, and those that were not. */
  readonly completed: number;
  readonly skipped: number;
  /** When the last one ended. */
  readonly lastAt: string | null;
}

export const DEFAULT_AUDIT_SAMPLE = 5_000;

/** What one statement is asked for, and what is hashed without a pause. */
const TOGETHER = 512;
const TOGETHER_BYTES = 1024 * 1024;
/** Of the values of one tier in one audit: they are hashed here and on MySQL-B. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Keys that Redis is asked for at once: as many as have brought TOGETHER_BYTES before, at most. */
const REDIS_TOGETHER = 64;
/** Slices of 1,000 names that one audit goes through: others may have millions in the same Redis. */
const MOST_SLICES = 100;
const SHOWN_KEYS = 5;

type Tier = 'local' | 'redis';

/** What one audit has come to so far. */
class Tally {
  readonly found: { readonly tier: Tier; readonly key: string }[] = [];
  sampled = 0;
  checked = 0;

  count(tier: Tier, key: string, finding: Finding): void {
    if (finding !== 'open') this.checked += 1;
    if (finding === 'mismatch') this.found.push({ tier, key });
  }
}

export class Auditor {
  readonly #options: AuditorOptions;
  readonly #local: LocalTier<unknown>;
  readonly #sample: number;
  readonly #task: ScheduledTask | undefined;
  #status: AuditStatus = {
    sampled: 0,
    checked: 0,
    mismatches: 0,
    repaired: 0,
    completed: 0,
    skipped: 0,
    lastAt: null,
  };
  #running: Promise<Audit> | undefined;
  /** The local tier's keys as they were when this round through them began, and the next of them. */
  #round: readonly string[] = [];
  #nextInRound = 0;
  /** Where the round through Redis is, and what is left of the slice before. */
  #bucket = 0;
  #cursor = '0';
  #together = 1;
  #scanned: { readonly bucket: number; readonly keys: string[] } = { bucket: 0, keys: [] };
  #isRepairing = false;
  #isStopping = false;
  #begunAtMs: number | undefined;
  /** When this reader last dropped everything because another one had found something. */
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#local = options.local;
    this.#sample = options.auditSample ?? DEFAULT_AUDIT_SAMPLE;
    this.#task = auditTask(options, () => this.audit());
    options.reconciler.on('rebase', (reason) => {
      if (this.#isRepairing)
        this.#status = { ...this.#status, repaired: this.#status.repaired + 1 };
      else if (reason === 'audit') this.#toldAtMs = options.monotonicMs();
      this.#isRepairing = false;
    });
  }

  get status(): AuditStatus {
    return this.#status;
  }

  /** One audit, and the repair if it is needed; joins the one that is under way. Does not fail. */
  audit(): Promise<Audit> {
    this.#running ??= this.#audit().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** From now on audits come at their times. */
  async start(): Promise<void> {
    if (!this.#isStopping) await this.#task?.start();
  }

  /** Ends the audit that is under way soon, for good. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#task?.destroy();
    await this.#running;
  }

  async #audit(): Promise<Audit> {
    const tally = new Tally();
    const begunAtMs = this.#options.monotonicMs();
    const periodMs = begunAtMs - (this.#begunAtMs ?? begunAtMs);
    this.#begunAtMs = begunAtMs;
    const faults = [
      await faultOf(() => this.#auditLocal(tally)),
      await faultOf(() => this.#auditRedis(tally)),
    ];
    const fault = faults.find((one) => one !== undefined);
    if (fault !== undefined) this.#options.logger.warn({ reason: fault }, 'an audit was cut short');
    const { sampled, checked, found } = tally;
    const before = this.#status;
    this.#status = {
      ...before,
      sampled: before.sampled + sampled,
      checked: before.checked + checked,
      mismatches: before.mismatches + found.length,
      completed: before.completed + (fault === undefined ? 1 : 0),
      skipped: before.skipped + (fault === undefined ? 0 : 1),
      lastAt: new Date(Date.now()).toISOString(),
    };
    if (found.length > 0) await this.#repair(tally, periodMs);
    const audit = { sampled, checked, mismatches: found.length };
    return fault === undefined ? audit : { ...audit, fault };
  }

  /** While someone goes on changing rows around the log, each audit of each reader finds something,
   * and the caches of a large fleet would never get warm. So a reader that was told by another one
   * waits for half a period; the one that told does not. */
  async #repair({ found, checked }: Tally, periodMs: number): Promise<void> {
    const { logger, table, reconciler, until, monotonicMs } = this.#options;
    const isDueNow = monotonicMs() - this.#toldAtMs >= periodMs / 2;
    const keys = [...new Set(found.map(({ key }) => key))].slice(0, SHOWN_KEYS);
    const tiers = [...new Set(found.map(({ tier }) => tier))];
    logger.error(
      { table, mismatches: found.length, checked, tiers, keys, repair: isDueNow ? 'now' : 'later' },
      `rows of ${table} have changed and the log does not name them: a TRUNCATE, a trigger that ` +
        'is missing, a cascade of a foreign key, or a write on MySQL-B. All readers drop what they ' +
        'hold. Run `tidemark doctor`, and change this table through its triggers only',
    );
    if (!isDueNow) return;
    this.#isRepairing = true;
    reconciler.repair();
    await faultOf(() => until(() => !reconciler.isRepairDue)); // else a later turn does it
  }

  async #auditLocal(tally: Tally): Promise<void> {
    if (this.#nextInRound >= this.#round.length) {
      this.#round = this.#local.keys();
      this.#nextInRound = 0;
    }
    let [left, bytesLeft] = [this.#sample, MOST_BYTES];
    while (left > 0 && bytesLeft > 0 && !this.#isStopping) {
      const { held, bytes } = this.#nextHeld(Math.min(left, TOGETHER));
      if (held.size === 0) return;
      [left, bytesLeft] = [left - held.size, bytesLeft - bytes];
      tally.sampled += held.size;
      await this.#compareLocal(held, tally);
    }
  }

  /** The next entries of the round that are still there. */
  #nextHeld(most: number): { held: Map<string, Entry>; bytes: number } {
    const held = new Map<string, Entry>();
    let bytes = 0;
    while (held.size < most && bytes < TOGETHER_BYTES) {
      const key = this.#round[this.#nextInRound];
      if (key === undefined) break;
      this.#nextInRound += 1;
      const entry = this.#local.peek(key);
      if (entry === undefined) continue;
      held.set(key, entry);
      bytes += entry.value?.length ?? 0;
    }
    return { held, bytes };
  }

  /** What is held is true as of the position of the reader; what a load brought from beyond it, as
   * of its own. What has been evicted meanwhile is not there to be wrong. */
  async #compareLocal(held: ReadonlyMap<string, Entry>, tally: Tally): Promise<void> {
    const start = this.#local.applied;
    const looks = new Map<string, Look>();
    for (const [key, { asOf, at, etag }] of held) {
      looks.set(key, { at: asOf > start.version ? at : start, etag });
    }
    await this.#compare(
      [...held.keys()],
      async () => looks,
      (key, finding) => {
        const isHeld = this.#local.peek(key) === held.get(key);
        tally.count('local', key, finding === 'mismatch' && !isHeld ? 'open' : finding);
      },
    );
  }

  /** Goes on with the round through Redis, through each bucket once at most. */
  async #auditRedis(tally: Tally): Promise<void> {
    const { buckets } = this.#options.redis;
    let [left, bytesLeft, slices, ended] = [this.#sample, MOST_BYTES, 0, 0];
    while (left > 0 && bytesLeft > 0 && !this.#isStopping) {
      const keys = this.#scanned.keys.splice(0, Math.min(left, this.#together));
      if (keys.length > 0) {
        const bytes = await this.#compareRedis(this.#scanned.bucket, keys, tally);
        [left, bytesLeft] = [left - keys.length, bytesLeft - bytes];
        const fitting = Math.floor((TOGETHER_BYTES * keys.length) / Math.max(1, bytes));
        this.#together = Math.max(1, Math.min(fitting, REDIS_TOGETHER));
        continue;
      }
      if (slices === MOST_SLICES || ended === buckets) return;
      slices += 1;
      if (await this.#scan()) ended += 1;
    }
  }

  /** The next slice of keys in Redis; true when it was the last one of its bucket. */
  async #scan(): Promise<boolean> {
    const { redis } = this.#options;
    const bucket = this.#bucket;
    const { cursor, keys } = await redis.scan(bucket, this.#cursor);
    this.#cursor = cursor;
    const proper = keys.filter((key) => keyFault(key) === undefined);
    this.#scanned = { bucket, keys: [...new Set(proper)] };
    if (cursor !== '0') return false;
    this.#bucket = (bucket + 1) % redis.buckets;
    return true;
  }

  /** An entry in Redis is true as of its bucket's mark. Returns how many bytes were read. */
  async #compareRedis(bucket: number, keys: readonly string[], tally: Tally): Promise<number> {
    const looks = new Map<string, Look>();
    let bytes = 0;
    const look = async () => {
      const entries = await this.#options.redis.read(bucket, keys);
      for (const [index, key] of keys.entries()) {
        const entry = entries[index];
        if (entry === undefined) continue;
        looks.set(key, { at: entry.at, etag: entry.etag });
        tally.sampled += 1;
        bytes += entry.value?.length ?? 0;
      }
      return looks;
    };
    const judged = (key: string, finding: Finding) => tally.count('redis', key, finding);
    await this.#compare(keys, look, judged);
    return bytes;
  }

  /** Looks at `keys` in MySQL-B and then into the cache, and follows the log until both are behind
   * the reader if they differ anywhere. */
  async #compare(
    keys: readonly string[],
    look: () => Promise<ReadonlyMap<string, Look>>,
    judged: (key: string, finding: Finding) => void,
  ): Promise<void> {
    const { log, reconciler, recent, until } = this.#options;
    const stretch = new Stretch(this.#local.applied);
    const onPage = (page: Page, named: readonly string[]) => stretch.add(page, named);
    const onRebase = () => stretch.break();
    reconciler.on('page', onPage);
    reconciler.on('rebase', onRebase);
    try {
      const found = await recent(
        (onSend) => log.tags(keys, onSend),
        (tags) => Math.min(...[...tags.values()].map(({ at }) => at.version)),
      );
      const looks = await look();
      let end = 0;
      for (const [key, held] of looks) {
        const { at, etag } = found.get(key) ?? held;
        if (etag !== held.etag) end = Math.max(end, at.version, held.at.version);
      }
      if (end > 0) await until(() => this.#local.applied.version >= end);
      for (const [key, held] of looks) {
        judged(key, stretch.judge(key, held, found.get(key) ?? held));
      }
    } finally {
      reconciler.off('page', onPage);
      reconciler.off('rebase', onRebase);
    }
  }
}

/** What went wrong, if something did: a server did not answer. */
async function faultOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
