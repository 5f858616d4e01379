/**
 * Judges the writes: an acked one is in the log, under its version; versions are in the order of
 * commits; a refused one did not happen. What it learns of times, it tells the truth.
 *
 * A write without an answer can have happened at any time after it was sent, or never: its time
 * counts only once the log shows its value.
 */
import type { Suspects, Violation } from './check-violations.js';
import type { RewriteRecord, TruthRow, WriteRecord } from './history.js';
import { Staircase } from './staircase.js';
import type { Truth } from './truth.js';

/** Each has a value of its own, so this is about as many writes. */
const RECENT_VALUES = 20_000;
const MAX_REFUSED = 100_000;

/** The acked versions of writes that were sent after `fromMs`. */
interface Acked {
  readonly fromMs: number;
  readonly versionBy: Staircase;
}

export class WriteJudge {
  readonly #truth: Truth;
  readonly #suspects: Suspects;
  /** Acked, but the log was not told that far; by version. */
  readonly #early = new Map<number, WriteRecord[]>();
  /** Not acked with a version, and not in the log so far; by value. */
  readonly #unseen = new Map<string, WriteRecord>();
  readonly #refused = new Set<string>();
  readonly #acked: Acked[] = [{ fromMs: Number.NEGATIVE_INFINITY, versionBy: new Staircase() }];
  /** By value, the oldest first. */
  readonly #recent = new Map<string, WriteRecord[]>();
  /** By key, when its first deletion was sent. */
  readonly #deletedMs = new Map<string, number>();
  #writes = 0;
  lost = 0;

  constructor(truth: Truth, suspects: Suspects) {
    this.#truth = truth;
    this.#suspects = suspects;
  }

  get writes(): number {
    return this.#writes;
  }

  /** What is known of the writes of `value`, of the last 20,000. */
  of(value: string | null): readonly WriteRecord[] {
    return this.#recent.get(value?.replace(/^torn:/, '') ?? '') ?? [];
  }

  /** Whether anyone may have written that, in a part of the log that was never told. */
  mayHaveWritten(key: string, value: string | null, byMs: number): boolean {
    if (value === null) return (this.#deletedMs.get(key) ?? Number.POSITIVE_INFINITY) <= byMs;
    return this.of(value).some(
      (write) => write.key === key && write.outcome !== 'refused' && write.sentMs <= byMs,
    );
  }

  write(record: WriteRecord): void {
    this.#writes += 1;
    this.#note(record);
    const { outcome, version, value } = record;
    if (outcome === 'refused') {
      if (value !== null && this.#refused.size < MAX_REFUSED) this.#refused.add(value);
      if (value !== null && this.#stateOf(record) !== undefined) this.#denied(record);
      return;
    }
    if (outcome === 'unknown' || version === undefined) {
      if (value !== null && !this.#matchByValue(record)) this.#unseen.set(value, record);
      return;
    }
    this.#order(record, version);
    if (version > this.#truth.head) {
      const others = this.#early.get(version);
      if (others === undefined) this.#early.set(version, [record]);
      else others.push(record);
    } else {
      this.#matchByVersion(record, version);
    }
  }

  /** A row of the log, after the truth took it in. */
  row({ version, value }: TruthRow): void {
    const early = this.#early.get(version);
    if (early !== undefined) {
      this.#early.delete(version);
      for (const record of early) this.#matchByVersion(record, version);
    }
    if (value === null) return;
    const unseen = this.#unseen.get(value);
    if (unseen !== undefined && this.#matchByValue(unseen)) this.#unseen.delete(value);
    if (this.#refused.has(value)) {
      const [record] = this.of(value);
      if (record !== undefined) this.#denied(record);
    }
  }

  #note(record: WriteRecord): void {
    const { key, value, outcome, sentMs } = record;
    if (value === null) {
      const soonestMs = Math.min(sentMs, this.#deletedMs.get(key) ?? sentMs);
      if (outcome !== 'refused') this.#deletedMs.set(key, soonestMs);
      return;
    }
    const others = this.#recent.get(value);
    if (others === undefined) this.#recent.set(value, [record]);
    else others.push(record);
    if (this.#recent.size <= RECENT_VALUES) return;
    for (const oldest of this.#recent.keys()) {
      this.#recent.delete(oldest);
      return;
    }
  }

  rewrite({ backMs }: RewriteRecord): void {
    this.#acked.push({ fromMs: backMs, versionBy: new Staircase() });
  }

  /** Nothing more will be told. */
  finish(): void {
    for (const [version, records] of this.#early) {
      for (const record of records) this.#matchByVersion(record, version);
    }
    for (const record of this.#unseen.values()) {
      if (record.outcome !== 'acked') continue;
      this.#suspects.hold(record.doneMs, () => this.#lost(record));
    }
    this.#early.clear();
    this.#unseen.clear();
  }

  /** Unknown, or acked by something that tells no version. */
  #matchByValue(record: WriteRecord): boolean {
    const found = this.#stateOf(record);
    if (found === undefined) return false;
    this.#truth.sent(found.epoch, found.since, record.sentMs);
    if (record.outcome === 'acked') {
      this.#truth.committed(found.epoch, found.since, record.doneMs);
    }
    return true;
  }

  #matchByVersion(record: WriteRecord, version: number): void {
    const epoch = this.#epochOf(record, version);
    if (epoch !== undefined) {
      this.#truth.committed(epoch, version, record.doneMs);
      // Deletions are all alike: which of them made the version is not certain.
      const { value, since } = this.#truth.state(epoch, record.key, version);
      if (value !== null) this.#truth.sent(epoch, since, record.sentMs);
    } else {
      this.#suspects.hold(record.doneMs, () => this.#lost(record));
    }
  }

  /** The newest epoch in which this write is what its answer said. */
  #epochOf(record: WriteRecord, version: number): number | undefined {
    const { key, value, isBatch } = record;
    for (let epoch = this.#truth.latest; epoch >= 0; epoch--) {
      if (version > this.#truth.headOf(epoch) || !this.#canBeOf(epoch, record, version)) continue;
      if (this.#truth.state(epoch, key, version).value !== value) continue;
      // A batch, or the deletion of what was not there, answers a version of another key.
      if (isBatch === true || value === null) return epoch;
      if (this.#truth.keyAt(epoch, version) === key) return epoch;
    }
    return undefined;
  }

  /** Whether A was in `epoch` when it can have answered. */
  #canBeOf(epoch: number, { sentMs, doneMs }: WriteRecord, version: number): boolean {
    const { rewrites } = this.#truth;
    const [begin, end] = [rewrites[epoch - 1], rewrites[epoch]];
    if (begin !== undefined && (doneMs < begin.goneMs || version <= begin.lastKept)) return false;
    return end === undefined || sentMs <= end.goneMs;
  }

  #stateOf({ key, value }: WriteRecord): { epoch: number; since: number } | undefined {
    for (let epoch = this.#truth.latest; epoch >= 0; epoch--) {
      const state = this.#truth.stateOf(epoch, key, value);
      if (state !== undefined) return { epoch, since: state.since };
    }
    return undefined;
  }

  #lost(record: WriteRecord): Violation[] {
    const { key, value, version, sentMs, isBatch } = record;
    if (version !== undefined && this.#epochOf(record, version) !== undefined) return [];
    for (const { lastKept, goneMs } of this.#truth.rewrites) {
      if (sentMs <= goneMs && (version ?? Number.POSITIVE_INFINITY) > lastKept) return [];
    }
    const found = value === null ? undefined : this.#stateOf(record);
    if (version === undefined && found !== undefined) return [];
    const facts = { ...record, inLogAt: found ?? null, head: this.#truth.head };
    if (found !== undefined) {
      const what = `${key} = ${value} was acked as version ${version}, A's log has it at ${found.since}`;
      return [{ guarantee: 'ordered', what: isBatch ? `${what} (a batch)` : what, facts }];
    }
    this.lost += 1;
    const what = `${key} = ${value} was acked as version ${version}, A's log does not have it`;
    return [{ guarantee: 'lost', what, facts }];
  }

  #denied(record: WriteRecord): void {
    this.#suspects.hold(record.doneMs, () => {
      const { key, value } = record;
      const what = `${key} = ${value} was refused, and A's log has it`;
      return [
        {
          guarantee: 'refused',
          what,
          facts: { ...record, inLogAt: this.#stateOf(record) ?? null },
        },
      ];
    });
  }

  /** Sent after another's answer: a greater version, unless a failover came between. */
  #order(record: WriteRecord, version: number): void {
    // What changed nothing answers the head that it found.
    const least = record.isBatch === true || record.value === null ? version + 1 : version;
    if (this.#versionBefore(record) >= least) {
      this.#suspects.hold(record.doneMs, () => {
        const before = this.#versionBefore(record);
        if (before < least) return [];
        const what = `${record.key} was acked as version ${version}, sent after version ${before} was acked`;
        return [{ guarantee: 'ordered', what, facts: { ...record, before } }];
      });
    }
    const acked = this.#acked.findLast(({ fromMs }) => record.sentMs >= fromMs);
    acked?.versionBy.add(record.doneMs, version);
  }

  /** The greatest version that was acked before `sentMs`, as far as it must still hold. */
  #versionBefore({ sentMs, doneMs }: WriteRecord): number {
    let greatest = Number.NEGATIVE_INFINITY;
    // An answer that came at the very moment of sending proves no order.
    const byMs = sentMs - 1e-6;
    for (const [epoch, { versionBy }] of this.#acked.entries()) {
      const version = versionBy.highestBy(byMs);
      const isLost = this.#truth.rewrites.slice(epoch).filter(({ goneMs }) => doneMs >= goneMs);
      greatest = Math.max(greatest, Math.min(version, ...isLost.map(({ lastKept }) => lastKept)));
    }
    return greatest;
  }
}
