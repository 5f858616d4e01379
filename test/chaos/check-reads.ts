/**
 * Judges the reads. A read is held against each epoch that it can have seen; it is right when all
 * of its guarantees hold in one of them.
 *
 * Soundness: only what is certain convicts. A version counts as committed when the answer of a
 * write at or above it had arrived; a read counts as earlier than another when it had ended before
 * that one began; an instance counts as arrived in a new epoch, for one key, when a read of that key
 * can only come from there. Reads wait, in their instance's order, until the log was told up to
 * their as-of.
 */
import type { Guarantee, Suspects, Violation } from './check-violations.js';
import type { WriteJudge } from './check-writes.js';
import type { ReadRecord } from './history.js';
import { Staircase } from './staircase.js';
import type { State, Truth } from './truth.js';

export interface ReadBounds {
  /** After this long without news from A, an answer is to be flagged stale. */
  readonly staleAfterMs: number;
  readonly slackMs: number;
}

type Answer = Exclude<ReadRecord['answer'], { readonly error: string }>;
export type Answered = ReadRecord & { readonly answer: Answer };

interface Fault {
  readonly guarantee: Guarantee;
  readonly why: string;
}

/** What a read is in one epoch. */
interface Finding {
  readonly epoch: number;
  readonly faults: readonly Fault[];
  /** Undefined when the log was never told that far. */
  readonly state: State | undefined;
}

interface Instance {
  readonly waiting: Answered[];
  /** By a time, the epoch in which the instance had begun. */
  readonly epochBy: Staircase;
  /** The same by key: what it showed of a key can only come from there. */
  readonly reached: Map<string, Staircase>;
  /** Per key and epoch: by the end of a read, the version of the state that it showed. */
  readonly shown: Map<string, Map<number, Staircase>>;
}

/** Reads that wait for the log; over it, the log counts as told. */
const MAX_WAITING = 2_000_000;
const MAX_SHOWN = 64;

export class ReadJudge {
  readonly #truth: Truth;
  readonly #writes: WriteJudge;
  readonly #suspects: Suspects;
  readonly #bounds: ReadBounds;
  readonly #instances = new Map<string, Instance>();
  #waiting = 0;
  /** The greatest age that is proven: since when, at least, the shown value was not the truth. */
  staleMaxMs = 0;
  staleMaxUnflaggedMs = 0;
  /** What that answer was, and where it was right. */
  oldestUnflagged: Readonly<Record<string, unknown>> = {};
  /** Answers that are right in a history that is over, while the new one's log is not told that far:
   * there they may be right, too, and no older than their reads. */
  #undated: { readonly instance: Instance; readonly read: Answered }[] = [];

  constructor(truth: Truth, writes: WriteJudge, suspects: Suspects, bounds: ReadBounds) {
    this.#truth = truth;
    this.#writes = writes;
    this.#suspects = suspects;
    this.#bounds = bounds;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** An instance that began after a failover knows nothing of what was lost in it. */
  started(reader: string, atMs: number): void {
    const epoch = this.#truth.rewrites.filter(({ backMs }) => backMs <= atMs).length;
    this.#instance(reader).epochBy.add(atMs, epoch);
  }

  read(read: Answered): void {
    const instance = this.#instance(read.reader);
    instance.waiting.push(read);
    this.#waiting += 1;
    const isFull = this.#waiting > MAX_WAITING;
    if (instance.waiting.length === 1 || isFull) this.#drain(instance, isFull);
  }

  /** The log was told further. */
  truthGrew(): void {
    this.#date((read) => !this.#isUntold(read));
    if (this.#waiting === 0) return;
    for (const instance of this.#instances.values()) this.#drain(instance, false);
  }

  /** The log will not be told further. */
  finish(): void {
    for (const instance of this.#instances.values()) this.#drain(instance, true);
    this.#date(() => true);
  }

  #drain(instance: Instance, isFinal: boolean): void {
    let judged = 0;
    for (const read of instance.waiting) {
      if (!this.#judge(instance, read, isFinal)) break;
      judged += 1;
    }
    if (judged === instance.waiting.length) instance.waiting.length = 0;
    else instance.waiting.splice(0, judged);
    this.#waiting -= judged;
  }

  /** False when the log was not told far enough. */
  #judge(instance: Instance, read: Answered, isFinal: boolean): boolean {
    const findings = this.#findings(instance, read);
    const right = findings.filter(({ faults }) => faults.length === 0);
    const isUntold = this.#isUntold(read);
    if (right.length === 0) {
      if (!isFinal && isUntold) return false;
      this.#suspects.hold(read.endMs, () => this.#violations(instance, read));
      return true;
    }
    this.#learn(instance, read, right);
    if (isUntold) this.#undated.push({ instance, read });
    else this.#noteAge(read, right);
    return true;
  }

  /** Whether it may be of the newest history, whose log was not told that far. */
  #isUntold(read: Answered): boolean {
    return this.#isVisible(this.#truth.latest, read) && read.answer.asOf > this.#truth.head;
  }

  /** Notes the ages of those put off that `isDue` names, by what the log has told since. */
  #date(isDue: (read: Answered) => boolean): void {
    const due = this.#undated.filter(({ read }) => isDue(read));
    if (due.length === 0) return;
    this.#undated = this.#undated.filter(({ read }) => !isDue(read));
    for (const { instance, read } of due) {
      const findings = this.#findings(instance, read);
      const right = findings.filter(({ faults }) => faults.length === 0);
      this.#noteAge(read, right);
    }
  }

  /** What the read is in each epoch that it can have seen, oldest first. */
  #findings(instance: Instance, read: Answered): Finding[] {
    const findings: Finding[] = [];
    for (let epoch = this.#epochAt(instance, read); epoch <= this.#truth.latest; epoch++) {
      if (this.#isVisible(epoch, read)) findings.push(this.#judgeIn(epoch, instance, read));
    }
    return findings;
  }

  #isVisible(epoch: number, read: Answered): boolean {
    return read.endMs >= this.#truth.backMsOf(epoch);
  }

  /** The epoch that the instance had certainly reached, for that key, when the read began. */
  #epochAt(instance: Instance, read: Answered): number {
    const reached = instance.reached.get(read.key)?.highestBy(read.startMs) ?? 0;
    return Math.max(0, instance.epochBy.highestBy(read.startMs), reached);
  }

  #judgeIn(epoch: number, instance: Instance, read: Answered): Finding {
    const { key, answer } = read;
    const truth = this.#truth;
    if (answer.asOf > truth.headOf(epoch)) return this.#judgeBeyond(epoch, read);
    const state = truth.state(epoch, key, answer.asOf);
    const faults: Fault[] = [];
    if (state.value !== answer.value) {
      faults.push({ guarantee: this.#isReal(read) ? 'honest' : 'real', why: 'is not the truth' });
    }
    if (truth.notBeforeMs(epoch, answer.asOf) > read.endMs) {
      faults.push({ guarantee: 'honest', why: 'claims a version that nobody had sent yet' });
    }
    // A value that is wrong at its as-of is held against the rest by where it was right.
    const shown = faults.length === 0 ? state : truth.stateOf(epoch, key, answer.value);
    const floor = this.#shownBefore(epoch, instance, read);
    if (shown !== undefined && shown.since < floor) {
      faults.push({ guarantee: 'monotonic', why: `was shown as of version ${floor} before` });
    }
    const applied = truth.kept(this.#epochAt(instance, read), epoch, read.appliedBefore);
    if (answer.asOf < applied) {
      faults.push({ guarantee: 'prompt', why: `was at ${applied} when the read began` });
    }
    if (answer.asOf < read.minVersion) {
      faults.push({ guarantee: 'own-writes', why: `was asked for ${read.minVersion}` });
    }
    const isTooOld = shown !== undefined && this.#ageFault(epoch, read, shown);
    if (isTooOld) faults.push({ guarantee: 'fresh', why: isTooOld });
    if (faults.length === 0 || shown === undefined) return { epoch, faults, state };
    return { epoch, faults: this.#sharpened(epoch, read, shown, faults, floor), state };
  }

  /** An as-of that the log was not told to. Of an epoch that is over, a part of the tail that was
   * lost may never have been seen by the run: then only the value itself can be judged. */
  #judgeBeyond(epoch: number, read: Answered): Finding {
    const { key, answer } = read;
    const isOver = epoch < this.#truth.latest;
    const last = this.#truth.state(epoch, key, this.#truth.headOf(epoch));
    const isRecent = this.#notOlderThanMs(read) <= this.#truth.goneMsOf(epoch);
    const isPossible = () =>
      last.value === answer.value || this.#writes.mayHaveWritten(key, answer.value, read.endMs);
    if (isOver && isRecent && isPossible()) return { epoch, faults: [], state: undefined };
    const why = `the log ends at ${this.#truth.headOf(epoch)}`;
    return { epoch, faults: [{ guarantee: 'honest', why }], state: undefined };
  }

  #isReal({ key, answer }: Answered): boolean {
    const { value } = answer;
    if (value === null) return true;
    if (value.startsWith('torn:')) return false;
    if (this.#writes.of(value).some((write) => write.key === key)) return true;
    for (let epoch = this.#truth.latest; epoch >= 0; epoch--) {
      if (this.#truth.stateOf(epoch, key, value) !== undefined) return true;
    }
    return false;
  }

  /** The newest state, as `epoch` has it, that a read of this key and instance showed before. */
  #shownBefore(epoch: number, instance: Instance, { key, startMs }: Answered): number {
    let newest = 0;
    for (const [from, shown] of instance.shown.get(key) ?? []) {
      if (from > epoch) continue;
      const kept = this.#truth.kept(from, epoch, shown.highestBy(startMs));
      // A state that a failover undid binds as the state that it left.
      if (kept > newest) newest = this.#truth.state(epoch, key, kept).since;
    }
    return newest;
  }

  /** What the answer shows was the truth in A at this time, or later. */
  #notOlderThanMs({ startMs, answer, maxStalenessMs }: Answered): number {
    const { staleAfterMs, slackMs } = this.#bounds;
    const flaggedMs = answer.stale ? Number.POSITIVE_INFINITY : staleAfterMs;
    return startMs - slackMs - Math.min(flaggedMs, maxStalenessMs ?? Number.POSITIVE_INFINITY);
  }

  #ageFault(epoch: number, read: Answered, shown: State): string | undefined {
    const byMs = this.#notOlderThanMs(read);
    if (byMs === Number.NEGATIVE_INFINITY) return undefined;
    const endedMs = this.#endedMs(epoch, shown);
    if (endedMs >= byMs) return undefined;
    return `had not been the truth for ${Math.round(read.startMs - endedMs)} ms`;
  }

  /** By when `shown` was certainly not the truth any more. */
  #endedMs(epoch: number, shown: State): number {
    const goneMs = this.#truth.goneMsOf(epoch);
    if (shown.until === Number.POSITIVE_INFINITY) return goneMs;
    return Math.min(goneMs, this.#truth.committedMs(epoch, shown.until));
  }

  /** Names a value that had been deleted for what it is. */
  #sharpened(
    epoch: number,
    { answer, key, startMs }: Answered,
    shown: State,
    faults: readonly Fault[],
    floor: number,
  ): readonly Fault[] {
    const dueAsOf = Math.max(answer.asOf, floor, this.#truth.committedBy(epoch, startMs));
    const isGone =
      answer.value !== null &&
      shown.until <= dueAsOf &&
      this.#truth.state(epoch, key, shown.until).value === null;
    if (!isGone) return faults;
    return faults.map(({ guarantee, why }) =>
      guarantee === 'honest' || guarantee === 'monotonic' || guarantee === 'fresh'
        ? { guarantee: 'resurrected', why: `${why}, was deleted as of ${shown.until}` }
        : { guarantee, why },
    );
  }

  /** What a read that is right tells of its instance. */
  #learn(instance: Instance, read: Answered, right: readonly Finding[]): void {
    const [oldest] = right;
    if (oldest === undefined) return;
    const { epoch, state } = oldest;
    // Of this key alone: a load from MySQL-B, and what it leaves in memory, show the new history
    // before the instance's own poll has noticed it. Until then other keys are as they were.
    if (epoch > 0) {
      const reached = instance.reached.get(read.key) ?? new Staircase();
      instance.reached.set(read.key, reached);
      reached.add(read.endMs, epoch);
    }
    if (state !== undefined && state.since > 0) {
      const epochs = instance.shown.get(read.key) ?? new Map<number, Staircase>();
      instance.shown.set(read.key, epochs);
      const shown = epochs.get(epoch) ?? new Staircase(MAX_SHOWN);
      epochs.set(epoch, shown);
      shown.add(read.endMs, state.since);
    }
  }

  /** Keeps the greatest age that the answers prove. */
  #noteAge(read: Answered, right: readonly Finding[]): void {
    if (right.length === 0) return;
    const ends = right.map(({ epoch, state }) =>
      state === undefined ? this.#truth.goneMsOf(epoch) : this.#endedMs(epoch, state),
    );
    const ageMs = read.startMs - Math.max(...ends);
    if (ageMs > this.staleMaxMs) this.staleMaxMs = ageMs;
    if (ageMs > this.staleMaxUnflaggedMs && !read.answer.stale) {
      this.staleMaxUnflaggedMs = ageMs;
      const { reader, key, startMs, endMs, appliedBefore, answer } = read;
      const { asOf, tier } = answer;
      const where = right.map(({ epoch, state }, index) => ({
        ...{ epoch, since: state?.since, until: state?.until },
        endedMs: ends[index],
      }));
      this.oldestUnflagged = { reader, key, startMs, endMs, appliedBefore, asOf, tier, where };
    }
  }

  /** Judged again, with all that was told since. */
  #violations(instance: Instance, read: Answered): Violation[] {
    const findings = this.#findings(instance, read);
    // Where the log can say most: an epoch that has the as-of, and the fewest faults, the newest.
    const [best] = findings.sort(
      (one, other) => rank(one) - rank(other) || other.epoch - one.epoch,
    );
    if (best === undefined || best.faults.length === 0) return [];
    const { reader, key, answer } = read;
    const { value, asOf, tier } = answer;
    const facts = {
      ...read,
      epoch: best.epoch,
      rewrites: this.#truth.rewrites,
      truth: this.#truth.around(best.epoch, key, asOf),
      writes: this.#writes.of(value),
      shownBefore: this.#shownBefore(best.epoch, instance, read),
    };
    const what = `${reader}: ${key} = ${value} as of ${asOf} (${tier})`;
    const named = new Map(best.faults.map((fault) => [fault.guarantee, fault]));
    return [...named.values()].map(({ guarantee, why }) => ({
      guarantee,
      what: `${what} ${why}`,
      facts,
    }));
  }

  #instance(reader: string): Instance {
    const known = this.#instances.get(reader);
    if (known !== undefined) return known;
    const instance: Instance = {
      waiting: [],
      epochBy: new Staircase(),
      reached: new Map(),
      shown: new Map(),
    };
    this.#instances.set(reader, instance);
    return instance;
  }
}

function rank({ faults, state }: Finding): number {
  return faults.length + (faults.length > 0 && state === undefined ? 0.5 : 0);
}
