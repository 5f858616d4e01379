/**
 * The truth: what each key was at each version, as A's own log told it, and when at the latest (and
 * at the earliest) each version was committed, as the writers' clocks told it.
 *
 * A failover that loses the tail of the log begins a new epoch, which shares with the epoch before
 * it all up to `base`. Versions are committed in their order, so an acked version proves all the
 * versions below it, too: that is what bounds the commits of writes whose outcome is unknown.
 */
import type { RewriteRecord, TruthRow } from './history.js';
import { firstAbove, Staircase } from './staircase.js';

/** A value of a key, and the versions between which it was the truth: since <= version < until. */
export interface State {
  readonly value: string | null;
  readonly since: number;
  /** Infinity when nothing is known to have superseded it. */
  readonly until: number;
}

interface Changes {
  readonly versions: number[];
  readonly values: (string | null)[];
}

class Epoch {
  readonly changes = new Map<string, Changes>();
  readonly keys: string[] = [];
  /** By the time x, version y was committed: clients had its answer. */
  readonly acks = new Staircase();
  /** At version x, the time was y at the least: its client had not sent it before. */
  readonly sends = new Staircase();
  head: number;
  /** When it ended: what only this epoch has was not the truth any more. */
  goneMs = Number.POSITIVE_INFINITY;

  constructor(
    readonly base: number,
    readonly resumesAt: number,
    readonly backMs: number,
  ) {
    this.head = base;
  }
}

export class Truth {
  readonly #epochs: Epoch[] = [new Epoch(0, 0, Number.NEGATIVE_INFINITY)];
  readonly rewrites: RewriteRecord[] = [];
  readonly #holes: { readonly first: number; readonly last: number }[] = [];
  #begun = false;

  /** The epoch that the log is in now. */
  get latest(): number {
    return this.#epochs.length - 1;
  }

  get head(): number {
    return this.headOf(this.latest);
  }

  headOf(epoch: number): number {
    return this.#epoch(epoch).head;
  }

  goneMsOf(epoch: number): number {
    return this.#epoch(epoch).goneMs;
  }

  /** From when on `epoch` may have been read in B. */
  backMsOf(epoch: number): number {
    return this.#epoch(epoch).backMs;
  }

  /** All keys that were ever written. */
  get keys(): Set<string> {
    return new Set(this.#epochs.flatMap(({ changes }) => [...changes.keys()]));
  }

  /** Versions that the run took out of the log on purpose. */
  hole(first: number, last: number): void {
    this.#holes.push({ first, last });
  }

  /** Takes one row in; what is wrong about it, if anything is. */
  add({ version, key, value, seenMs }: TruthRow): string | undefined {
    const epoch = this.#epoch(this.latest);
    const expected = this.#begun ? epoch.head + 1 : version;
    if (version < expected) {
      return `Expected version ${expected} or later of A's log, got ${version} once more`;
    }
    this.#begun = true;
    if (this.state(this.latest, key, version).value !== value) {
      const changes = epoch.changes.get(key) ?? { versions: [], values: [] };
      epoch.changes.set(key, changes);
      changes.versions.push(version);
      changes.values.push(value);
    } else if (!epoch.changes.has(key)) {
      epoch.changes.set(key, { versions: [], values: [] });
    }
    epoch.head = version;
    epoch.keys[version - epoch.base] = key;
    if (seenMs !== undefined) epoch.acks.add(seenMs, version);
    if (version === expected || this.#isHole(expected, version - 1)) return undefined;
    return `Expected version ${expected} of A's log, got ${version}: some are missing`;
  }

  rewrite(record: RewriteRecord): void {
    this.rewrites.push(record);
    this.#epoch(this.latest).goneMs = record.goneMs;
    const { lastKept, backMs } = record;
    const resumesAt = Math.min(lastKept, record.resumesAt ?? lastKept);
    this.#epochs.push(new Epoch(lastKept, resumesAt, backMs));
    this.#begun = true;
  }

  /** What `key` was at `version`, in the history that `epoch` has. */
  state(epoch: number, key: string, version: number): State {
    const { base, changes } = this.#epoch(epoch);
    const own = changes.get(key);
    if (version > base && own !== undefined) {
      const at = firstAbove(own.versions, version) - 1;
      const since = own.versions[at];
      if (since !== undefined) {
        const until = own.versions[at + 1] ?? Number.POSITIVE_INFINITY;
        return { value: own.values[at] ?? null, since, until };
      }
    }
    const next = own?.versions[0] ?? Number.POSITIVE_INFINITY;
    if (epoch === 0) return { value: null, since: 0, until: next };
    const before = this.state(epoch - 1, key, Math.min(version, base));
    return before.until > base ? { ...before, until: next } : before;
  }

  /** Where `value` was the truth of `key`, newest first; undefined when it never was. */
  stateOf(epoch: number, key: string, value: string | null): State | undefined {
    let state = this.state(epoch, key, Number.POSITIVE_INFINITY);
    while (state.value !== value && state.since > 0) {
      state = this.state(epoch, key, state.since - 1);
    }
    return state.value === value ? state : undefined;
  }

  /** The key that `version` changed; undefined when the log was not told that far. */
  keyAt(epoch: number, version: number): string | undefined {
    const { base, keys } = this.#owner(epoch, version);
    return keys[version - base];
  }

  /** The client of `version` had not sent it before this. */
  sent(epoch: number, version: number, atMs: number): void {
    this.#owner(epoch, version).sends.add(version, atMs);
  }

  /** `version` was committed by then: its client, or another witness, knew. */
  committed(epoch: number, version: number, atMs: number): void {
    this.#owner(epoch, version).acks.add(atMs, version);
  }

  /** The newest version that was committed by `atMs` for certain. */
  committedBy(epoch: number, atMs: number): number {
    const { base, acks } = this.#epoch(epoch);
    const own = acks.highestBy(atMs);
    if (epoch === 0) return own;
    return Math.max(own, Math.min(base, this.committedBy(epoch - 1, atMs)));
  }

  /** The earliest time by which `version` was committed for certain; Infinity when none is. */
  committedMs(epoch: number, version: number): number {
    const { base, acks } = this.#epoch(epoch);
    const own = acks.soonestReaching(version);
    if (epoch === 0 || version > base) return own;
    return Math.min(own, this.committedMs(epoch - 1, version));
  }

  /** The time before which `version` was not committed for certain. */
  notBeforeMs(epoch: number, version: number): number {
    const { base, sends } = this.#epoch(epoch);
    const own = sends.highestBy(version);
    if (epoch === 0) return own;
    return Math.max(own, this.notBeforeMs(epoch - 1, Math.min(version, base)));
  }

  /** What is left of having been at `version` of epoch `from`, once in epoch `to`. */
  kept(from: number, to: number, version: number): number {
    let kept = version;
    for (let epoch = from + 1; epoch <= to; epoch++) {
      kept = Math.min(kept, this.#epoch(epoch).resumesAt);
    }
    return kept;
  }

  /** The states of `key` around `version`, oldest first: for people. */
  around(epoch: number, key: string, version: number): State[] {
    const at = this.state(epoch, key, version);
    const states = [at];
    if (at.since > 0) states.unshift(this.state(epoch, key, at.since - 1));
    for (let next = at; next.until !== Number.POSITIVE_INFINITY && states.length < 5; ) {
      next = this.state(epoch, key, next.until);
      states.push(next);
    }
    return states;
  }

  /** The epoch, of those that `epoch` goes back to, that added `version`. */
  #owner(index: number, version: number): Epoch {
    const epoch = this.#epoch(index);
    return index > 0 && version <= epoch.base ? this.#owner(index - 1, version) : epoch;
  }

  #isHole(first: number, last: number): boolean {
    return this.#holes.some((hole) => hole.first <= first && last <= hole.last);
  }

  #epoch(index: number): Epoch {
    const epoch = this.#epochs[index];
    if (epoch === undefined) throw new RangeError(`Expected an epoch, got ${index}.`);
    return epoch;
  }
}
