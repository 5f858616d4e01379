/**
 * The checker of a chaos run: is told what happened (history.ts), and says which guarantees broke.
 *
 * It shares no code with what it judges. The truth is A's own log; times are monotonic; a write
 * without an answer is a maybe; and only what is certain convicts, so that each violation is worth
 * a look. Tell a rewrite within `holdMs` of its `backMs`, and before the rows of the new history.
 * Reads are judged and forgotten: what is kept grows with the writes, and with keys x instances.
 */
import { Outages, type Unavailable } from './check-outages.js';
import { RedisJudge, SettledJudge } from './check-places.js';
import { type Answered, ReadJudge } from './check-reads.js';
import { type Growth, type SampleBounds, SampleJudge } from './check-samples.js';
import { Suspects, type Violation, Violations } from './check-violations.js';
import { WriteJudge } from './check-writes.js';
import type {
  MemoryRecord,
  ReadRecord,
  RedisRecord,
  RewriteRecord,
  SampleRecord,
  SettledRecord,
  TruthRow,
  WriteRecord,
} from './history.js';
import { Truth } from './truth.js';

export type { Guarantee, Violation } from './check-violations.js';

export interface CheckerOptions {
  /** What the readers run with. */
  readonly staleAfterMs: number;
  /** Allowed on top of every bound in ms: the clocks' grain, and a process that was not scheduled. */
  readonly slackMs: number;
  /** How long, in told time, what looks wrong waits for a record that explains it. */
  readonly holdMs?: number;
  readonly bounds?: Partial<SampleBounds>;
}

export interface Verdict {
  readonly reads: number;
  readonly writes: number;
  readonly violations: number;
  readonly byGuarantee: Record<string, number>;
  readonly first: readonly Violation[];
  readonly lost: number;
  /** The greatest age, proven, of any answer; and of those that were not flagged stale. */
  readonly staleMaxMs: number;
  readonly staleMaxUnflaggedMs: number;
  readonly oldestUnflagged: Readonly<Record<string, unknown>>;
  readonly unavailableMs: Unavailable;
  readonly growth: readonly Growth[];
  readonly fillsInFlightMax: number;
  readonly mysqlConnectionsMax: number;
  readonly localEntriesMax: number;
  /** Entries that audits have compared with MySQL-B. */
  readonly audited: number;
  readonly redisEntries: number;
  readonly errors: Record<string, number>;
  readonly tiers: Record<string, number>;
  readonly head: number;
}

export class Checker {
  readonly #truth = new Truth();
  readonly #violations = new Violations();
  readonly #suspects: Suspects;
  readonly #writes: WriteJudge;
  readonly #reads: ReadJudge;
  readonly #redis: RedisJudge;
  readonly #samples: SampleJudge;
  readonly #settled = new SettledJudge();
  readonly #outages = new Outages();
  #readCount = 0;

  constructor({ staleAfterMs, slackMs, holdMs = 10_000, bounds }: CheckerOptions) {
    this.#suspects = new Suspects(this.#violations, holdMs);
    this.#writes = new WriteJudge(this.#truth, this.#suspects);
    this.#reads = new ReadJudge(this.#truth, this.#writes, this.#suspects, {
      staleAfterMs,
      slackMs,
    });
    this.#redis = new RedisJudge(this.#truth, this.#suspects);
    this.#samples = new SampleJudge(this.#violations, bounds);
  }

  get reads(): number {
    return this.#readCount;
  }

  get writes(): number {
    return this.#writes.writes;
  }

  /** The first 50 that are certain. */
  get violations(): readonly Violation[] {
    return this.#violations.first;
  }

  /** All that are certain so far. */
  get violationCount(): number {
    return this.#violations.count;
  }

  /** Those that no record has explained yet. */
  get suspectCount(): number {
    return this.#suspects.size;
  }

  /** The version up to which the log was told. */
  get head(): number {
    return this.#truth.head;
  }

  /** Reads that wait for the log. */
  get waiting(): number {
    return this.#reads.waiting;
  }

  write(record: WriteRecord): void {
    this.#writes.write(record);
    this.#suspects.tick(record.doneMs);
  }

  /** A's log, in the order of versions, without gaps; may lag behind the reads. */
  truth(rows: readonly TruthRow[]): void {
    for (const row of rows) {
      const what = this.#truth.add(row);
      if (what !== undefined) {
        this.#violations.add({ guarantee: 'ordered', what, facts: { ...row } });
      }
      this.#writes.row(row);
    }
    this.#reads.truthGrew();
    this.#redis.truthGrew();
  }

  /** Versions that the run took out of A's log on purpose. Before the rows after them. */
  hole(first: number, last: number): void {
    this.#truth.hole(first, last);
  }

  rewrite(record: RewriteRecord): void {
    this.#truth.rewrite(record);
    this.#writes.rewrite(record);
    this.#reads.truthGrew();
  }

  /** A new instance: it can know nothing of a history that was gone by then. Optional. */
  started(reader: string, atMs: number): void {
    this.#reads.started(reader, atMs);
  }

  read(record: ReadRecord): void {
    this.#readCount += 1;
    const fault = this.#outages.note(record);
    if (fault !== undefined) this.#violations.add(fault);
    if (isAnswered(record)) this.#reads.read(record);
    this.#suspects.tick(record.endMs);
  }

  redis(record: RedisRecord): void {
    this.#redis.redis(record);
    this.#suspects.tick(record.endMs);
  }

  sample(record: SampleRecord): void {
    this.#samples.sample(record);
    this.#suspects.tick(record.atMs);
  }

  /** Of an app. */
  memory(record: MemoryRecord): void {
    this.#samples.memory(record);
  }

  /** What each place says of every key after all has come to rest. May be called again for more
   * places. @param mayLack places that need not know all keys (Redis holds what was read) */
  settled(records: readonly SettledRecord[], mayLack: readonly string[] = []): void {
    this.#settled.settled(records, mayLack);
  }

  /** Judges all that still waits. The log must have been told to its end before. */
  finish(): Verdict {
    this.#writes.finish();
    this.#reads.finish();
    this.#redis.finish();
    this.#suspects.finish();
    this.#settled.finish(this.#truth, this.#violations);
    const growth = this.#samples.finish();
    return {
      reads: this.reads,
      writes: this.writes,
      violations: this.#violations.count,
      byGuarantee: { ...this.#violations.byGuarantee },
      first: this.#violations.first,
      lost: this.#writes.lost,
      staleMaxMs: this.#reads.staleMaxMs,
      staleMaxUnflaggedMs: this.#reads.staleMaxUnflaggedMs,
      oldestUnflagged: this.#reads.oldestUnflagged,
      unavailableMs: this.#outages.finish(),
      growth,
      fillsInFlightMax: this.#samples.fillsInFlightMax,
      mysqlConnectionsMax: this.#samples.mysqlConnectionsMax,
      localEntriesMax: this.#samples.localEntriesMax,
      audited: this.#samples.audited,
      redisEntries: this.#redis.judged,
      errors: { ...this.#outages.errors },
      tiers: { ...this.#outages.tiers },
      head: this.head,
    };
  }
}

function isAnswered(record: ReadRecord): record is Answered {
  return !('error' in record.answer);
}
