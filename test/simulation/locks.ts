/** Row locks: exclusive, first come first served, until their transaction ends. */
import { mysqlError } from './fake-pool.js';

/** Who holds locks, and what it waits for. */
export interface Holder {
  waitsFor: string | undefined;
}

interface Waiter {
  readonly holder: Holder;
  readonly grant: () => void;
  readonly fail: (error: Error) => void;
}

interface Lock {
  holder: Holder;
  readonly waiters: Waiter[];
}

export class Locks {
  readonly #locks = new Map<string, Lock>();
  readonly #waitTimeoutMs: number;
  deadlocks = 0;
  timeouts = 0;

  constructor(waitTimeoutMs: number) {
    this.#waitTimeoutMs = waitTimeoutMs;
  }

  holderOf(name: string): Holder | undefined {
    return this.#locks.get(name)?.holder;
  }

  /** Resolves when `holder` has the lock.
   * @throws ER_LOCK_DEADLOCK when it would wait for itself, ER_LOCK_WAIT_TIMEOUT */
  async take(holder: Holder, name: string): Promise<void> {
    const lock = this.#locks.get(name);
    if (lock === undefined) {
      this.#locks.set(name, { holder, waiters: [] });
      return;
    }
    if (lock.holder === holder) return;
    if (this.#waitsFor(lock.holder, holder)) {
      this.deadlocks += 1;
      throw mysqlError('ER_LOCK_DEADLOCK');
    }
    await this.#wait(holder, name, lock);
  }

  #wait(holder: Holder, name: string, lock: Lock): Promise<void> {
    return new Promise((resolve, reject) => {
      holder.waitsFor = name;
      const end = () => {
        clearTimeout(timer);
        holder.waitsFor = undefined;
        const index = lock.waiters.indexOf(waiter);
        if (index !== -1) lock.waiters.splice(index, 1);
      };
      const waiter: Waiter = {
        holder,
        grant: () => {
          end();
          lock.holder = holder;
          resolve();
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.timeouts += 1;
        waiter.fail(mysqlError('ER_LOCK_WAIT_TIMEOUT'));
      }, this.#waitTimeoutMs);
      lock.waiters.push(waiter);
    });
  }

  /** Gives up one lock. */
  release(holder: Holder, name: string): void {
    const lock = this.#locks.get(name);
    if (lock?.holder !== holder) return;
    const [next] = lock.waiters;
    if (next === undefined) this.#locks.delete(name);
    else next.grant();
  }

  /** Gives up all that `holder` has, and what it waits for. */
  releaseAll(holder: Holder): void {
    for (const [name, lock] of [...this.#locks]) {
      const waiter = lock.waiters.find((each) => each.holder === holder);
      waiter?.fail(mysqlError('PROTOCOL_CONNECTION_LOST'));
      this.release(holder, name);
    }
  }

  #waitsFor(one: Holder, other: Holder): boolean {
    const seen = new Set<Holder>();
    for (let at: Holder | undefined = one; at !== undefined; ) {
      if (at === other) return true;
      if (seen.has(at)) return false;
      seen.add(at);
      at = at.waitsFor === undefined ? undefined : this.#locks.get(at.waitsFor)?.holder;
    }
    return false;
  }
}
