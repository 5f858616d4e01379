/**
 * Those who wait for one key to change. Many may wait for the same key: a page of changes costs its
 * keys, not its waiters.
 */
import { UnavailableError } from '../errors.js';

export interface ChangedOptions {
  /** The longest wait, in ms. */
  readonly timeoutMs: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

export class KeyChanges {
  readonly #maxWaiters: number;
  readonly #waiting = new Map<string, Set<(changed: boolean) => void>>();
  #size = 0;

  constructor(maxWaiters: number) {
    this.#maxWaiters = maxWaiters;
  }

  get size(): number {
    return this.#size;
  }

  /** True when `key` may have changed since the call; false when the wait ended without.
   * @throws UnavailableError when too many are waiting already */
  next(key: string, { timeoutMs, signal }: ChangedOptions): Promise<boolean> {
    if (signal?.aborted || timeoutMs <= 0) return Promise.resolve(false);
    if (this.#size >= this.#maxWaiters) {
      throw new UnavailableError(
        `Expected at most ${this.#maxWaiters} to wait for changes at once, got one more. ` +
          'Try again later.',
      );
    }
    return new Promise((resolve) => {
      const waiters = this.#waiting.get(key) ?? new Set();
      const end = () => settle(false);
      const settle = (changed: boolean) => {
        if (!waiters.delete(settle)) return;
        this.#size -= 1;
        if (waiters.size === 0) this.#waiting.delete(key);
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve(changed);
      };
      const timer = setTimeout(end, timeoutMs);
      signal?.addEventListener('abort', end);
      waiters.add(settle);
      this.#waiting.set(key, waiters);
      this.#size += 1;
    });
  }

  page(keys: readonly string[]): void {
    if (this.#size === 0) return;
    for (const key of keys) this.#settle(this.#waiting.get(key), true);
  }

  /** Any key may have changed. */
  rebase(): void {
    for (const waiters of this.#waiting.values()) this.#settle(waiters, true);
  }

  close(): void {
    for (const waiters of this.#waiting.values()) this.#settle(waiters, false);
  }

  #settle(waiters: ReadonlySet<(changed: boolean) => void> = new Set(), changed: boolean): void {
    for (const settle of waiters) settle(changed);
  }
}
