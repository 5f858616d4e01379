/** What a read answers: an entry, where it came from, and how far it can be trusted. */
import { NotFreshError } from '../errors.js';
import type { Entry } from './entry.js';

export type Tier = 'local' | 'redis' | 'mysql';

export interface ReadOptions {
  /** Read your own write: wait until this version (what the write returned) is applied. */
  readonly minVersion?: number;
  /** Wait until the instance is complete up to at most this many ms ago; else NotFreshError. */
  readonly maxStalenessMs?: number;
  /** The whole read, waits included, in ms. */
  readonly timeoutMs?: number;
}

/** How an instance stood when a read began to load. */
export interface Beginning {
  readonly asOf: number;
  /** How often history had been rewritten. */
  readonly rewrites: number;
  /** The monotonic time from which on what it knew counts as stale. */
  readonly staleAtMs: number;
}

export class Reading {
  /**
   * @param asOf the position in the log at which this is the truth, at least the entry's own
   * @param staleAtMs the monotonic time from which on what is known here counts as stale
   */
  constructor(
    readonly key: string,
    private readonly entry: Entry,
    readonly asOf: number,
    readonly tier: Tier,
    private readonly staleAtMs: number,
    private readonly monotonicMs: () => number,
  ) {}

  /** Whether the instance cannot prove that this is recent (see `staleAfterMs`). Judged by what was
   * known when it was read, at the time of asking: a reading grows stale, and never fresh again. */
  get stale(): boolean {
    return this.monotonicMs() > this.staleAtMs;
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
