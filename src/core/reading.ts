/** What a read answers: an entry, where it came from, and how far it can be trusted. */
import { NotFreshError } from '../errors.js';
import type { Entry } from './entry.js';
import type { Position } from './position.js';

export type Tier = 'local' | 'redis' | 'mysql';

export interface ReadOptions {
  /** Read your own write: wait until this version (what the write returned) is applied. */
  readonly minVersion?: number;
  /** Wait until the instance is complete up to at most this many ms ago; else NotFreshError. */
  readonly maxStalenessMs?: number;
  /** The whole read, waits included, in ms. */
  readonly timeoutMs?: number;
}

/** How an instance stands, until the next page or heartbeat. */
export interface Standing {
  /** Up to where its local tier is coherent. */
  readonly applied: Position;
  /** How often history had been rewritten. */
  readonly rewrites: number;
  /** The monotonic time from which on what it knows counts as stale. */
  readonly staleAtMs: number;
  readonly monotonicMs: () => number;
}

/** Made for each read, so it holds little, and works out the rest when it is asked for it. */
export class Reading {
  /**
   * @param trueAt a position in the log at which this is the truth, beside the entry's own
   * @param standing by which it is judged whether this is stale
   */
  constructor(
    readonly key: string,
    private readonly entry: Entry,
    readonly tier: Tier,
    private readonly trueAt: number,
    private readonly standing: Standing,
  ) {}

  /** The newest position in the log at which this is known to be the truth. */
  get asOf(): number {
    return Math.max(this.entry.asOf, this.trueAt);
  }

  /** Whether the instance cannot prove that this is recent (see `staleAfterMs`). Judged by what was
   * known when it was read, at the time of asking: a reading grows stale, and never fresh again. */
  get stale(): boolean {
    return this.standing.monotonicMs() > this.standing.staleAtMs;
  }

  get found(): boolean {
    return this.entry.value !== null;
  }

  /** The stored bytes: shared, do not write to them. Undefined when the key does not exist. */
  get value(): Buffer | undefined {
    return this.entry.value ?? undefined;
  }

  /** The row's version; undefined when the key does not exist. */
  get version(): number | undefined {
    return this.entry.value === null ? undefined : this.entry.version;
  }

  /** Strong HTTP entity tag, quotes included; undefined when the key does not exist. */
  get etag(): string | undefined {
    return this.entry.etag;
  }

  /** The value as JSON, frozen and shared; undefined when the key does not exist.
   * @throws SyntaxError when the stored text is not JSON */
  json<T = unknown>(): T | undefined {
    return this.entry.json as T | undefined; // the caller names the type it stored
  }
}

/** @param asOf after the wait; lower again only if history was rewritten since */
export function assertReached(asOf: number, { minVersion = 0 }: ReadOptions): void {
  if (asOf >= minVersion) return;
  throw new NotFreshError(
    `Expected version ${minVersion} within the read's time, got ${asOf} so far. Try again, or ` +
      'check replication from data center A.',
  );
}

/** Whether a caller demands more than an ordinary read. */
export function needsWait(options: ReadOptions): boolean {
  return options.minVersion !== undefined || options.maxStalenessMs !== undefined;
}
