/**
 * What happened in a chaos run, as the checker is told it. The checker knows nothing else.
 *
 * All times are milliseconds of CLOCK_MONOTONIC (`Number(process.hrtime.bigint()) / 1e6`), which all
 * processes of one machine share and which no clock jump moves. A value is named by its mark: the
 * text that each written value begins with, different for every write; null means that the key does
 * not exist.
 */

/** A write as its client saw it. `unknown`: it may or may not have happened (timeout, 504, reset). */
export interface WriteRecord {
  readonly key: string;
  readonly value: string | null;
  readonly outcome: 'acked' | 'refused' | 'unknown';
  /** What the answer said; of acked writes only. */
  readonly version: number | undefined;
  /** `version` is the last one of a batch: this key's own is at most that. */
  readonly isBatch?: boolean;
  readonly sentMs: number;
  readonly doneMs: number;
}

/** One change as A's own log has it, told in the order of versions, each once per history. */
export interface TruthRow {
  readonly version: number;
  readonly key: string;
  readonly value: string | null;
  /** A time at which A's log had it for certain, if the run knows one. */
  readonly seenMs?: number;
}

/** A failover of A that lost its tail: the changes after `lastKept` never happened any more. */
export interface RewriteRecord {
  readonly lastKept: number;
  /** The old history can have been read from B until here (B's old server is gone). */
  readonly goneMs: number;
  /** From here on B's new server may have answered. Never before `goneMs`, and neither has the new
   * A acked a write before `goneMs`. */
  readonly backMs: number;
  /** What B's new server had of the log at the least, when that is less than `lastKept`. */
  readonly resumesAt?: number;
}

/** One read, whatever became of it. */
export interface ReadRecord {
  /** The instance: a reader that was restarted is another one (`reader-2#3`). */
  readonly reader: string;
  readonly key: string;
  readonly startMs: number;
  readonly endMs: number;
  /** The version that the caller demanded; 0 for an ordinary read. */
  readonly minVersion: number;
  /** The bound that the caller demanded, if any. */
  readonly maxStalenessMs?: number;
  /** The position that the instance said it had applied, asked right before the read; 0 if unknown. */
  readonly appliedBefore: number;
  /** Whether the instance held the key locally (peek) right before the read. */
  readonly heldLocally: boolean;
  readonly answer:
    | {
        readonly value: string | null;
        readonly asOf: number;
        readonly tier: 'local' | 'redis' | 'mysql';
        readonly stale: boolean;
      }
    | { readonly error: string };
}

/** An entry of Redis that a read would trust: its generation is the mark's, read in one step with it. */
export interface RedisRecord {
  readonly key: string;
  readonly value: string | null;
  readonly markVersion: number;
  /** Whether A's log, as the checker's side computed it, has the mark's fingerprint at its version. */
  readonly isMarkOfThisHistory: boolean;
  readonly startMs: number;
  readonly endMs: number;
}

/** How much memory the process of one instance has, a reader's or an app's. */
export interface MemoryRecord {
  readonly instance: string;
  readonly atMs: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
}

/** What one reader says of itself, and what the system says of its process. */
export interface SampleRecord extends Omit<MemoryRecord, 'instance'> {
  readonly reader: string;
  readonly applied: number;
  readonly fillsInFlight: number;
  readonly localEntries: number;
  /** Entries that its audits have compared, and flagged, since it began. */
  readonly audited: number;
  readonly flagged: number;
  /** Connections that MySQL-B has open for this reader's account, over all readers; -1 if unknown. */
  readonly mysqlConnections: number;
}

/** Every place's answer for every key after the faults have ended and all has come to rest. */
export interface SettledRecord {
  readonly place: string;
  readonly key: string;
  readonly value: string | null;
}
