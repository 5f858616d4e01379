/**
 * The queue of writes: who goes next, and with whom.
 *
 * A group is what has queued up while those before it were committed, so a write that is alone waits
 * for nobody, and the busier the writer, the larger the groups.
 *
 * Invariant: writes of one key are carried out in the order in which they came, one at a time. A
 * write of a row that someone else has locked waits for it beside the groups, on a connection of its
 * own, and later writes of its keys wait for it; nobody else does.
 * The queue is bounded in writes and bytes: what does not fit is refused at once.
 */
import { NotRunningError, UnavailableError } from '../errors.js';
import type { PendingWrite } from './pending-write.js';

export interface WriteQueueOptions {
  /** Carries a group out and answers it. @returns those that met a locked row */
  readonly commit: (group: readonly PendingWrite[]) => Promise<PendingWrite[]>;
  /** Carries out one write, waiting for its rows. */
  readonly commitAlone: (write: PendingWrite) => Promise<void>;
  readonly maxGroupRows: number;
  readonly maxQueuedWrites: number;
  readonly maxQueuedBytes: number;
}

/** Of a group of more than one write: one packet holds it, wherever a value of 1 MiB fits. */
const MAX_GROUP_BYTES = 1024 * 1024;
/** Writes that may wait for locked rows at once, each on a connection. */
const MAX_ALONE = 4;
/** While one holds the log's head, the next is already on its way there. */
const MAX_GROUPS = 2;
/** Fewer writes than this are not worth two groups. */
const MIN_SHARE = 16;

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #waiting = new Set<PendingWrite>();
  #waitingBytes = 0;
  /** Those that met a locked row and wait for one of the few connections. */
  readonly #busy = new Set<PendingWrite>();
  /** Of all that are being carried out, and of #busy. */
  readonly #keysUnderWay = new Set<string>();
  #groups = 0;
  #alone = 0;
  #isScheduled = false;
  #isClosed = false;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** Writes that wait for their turn. */
  get length(): number {
    return this.#waiting.size + this.#busy.size;
  }

  /** @throws UnavailableError when the queue is full, NotRunningError after `close` */
  add(write: PendingWrite): void {
    if (this.#isClosed) {
      throw new NotRunningError('Expected an open writer, got one that was closed.');
    }
    const { maxQueuedWrites, maxQueuedBytes } = this.#options;
    const bytes = this.#waitingBytes + write.bytes;
    if (this.length >= maxQueuedWrites || (this.length > 0 && bytes > maxQueuedBytes)) {
      throw new UnavailableError(
        `Expected room in the queue of writes, got ${this.length} waiting. Nothing was written. ` +
          'Try again later; if that does not help, look for long transactions on MySQL-A.',
      );
    }
    this.#waiting.add(write);
    this.#waitingBytes = bytes;
    write.outcome.catch(() => this.#remove(write)); // its caller handles the error
    this.#schedule();
  }

  /** Takes no more writes; resolves when all that it has are answered. */
  close(): Promise<void> {
    this.#isClosed = true;
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
      this.#schedule();
    });
  }

  #remove(write: PendingWrite): void {
    if (this.#waiting.delete(write)) this.#waitingBytes -= write.bytes;
  }

  /** Not at once: what arrives in the same turn of the event loop is to share a group. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#start();
    });
  }

  #start(): void {
    while (this.#groups < MAX_GROUPS) {
      const group = this.#nextGroup();
      if (group.length === 0) break;
      void this.#commit(group);
    }
    for (const write of this.#busy) {
      if (this.#alone === MAX_ALONE) break;
      this.#busy.delete(write);
      void this.#commitAlone(write);
    }
    if (this.#groups + this.#alone + this.length === 0) {
      for (const resolve of this.#onIdle.splice(0)) resolve();
    }
  }

  /** The oldest writes that fit, without two of one key, and none before an older one of its key. */
  #nextGroup(): PendingWrite[] {
    const group: PendingWrite[] = [];
    const passed = new Set<string>();
    const share = Math.ceil(this.#waiting.size / (MAX_GROUPS - this.#groups));
    const maxRows = Math.min(this.#options.maxGroupRows, Math.max(MIN_SHARE, share));
    let rows = 0;
    let bytes = 0;
    for (const write of this.#waiting) {
      const { keys } = write.plan;
      const mustWait = keys.some((key) => passed.has(key) || this.#keysUnderWay.has(key));
      for (const key of keys) passed.add(key);
      if (mustWait) continue;
      rows += keys.length;
      bytes += write.bytes;
      const isFull = rows > maxRows || bytes > MAX_GROUP_BYTES;
      if (isFull && group.length > 0) break;
      group.push(write);
    }
    for (const write of group) {
      this.#remove(write);
      for (const key of write.plan.keys) this.#keysUnderWay.add(key);
    }
    return group;
  }

  async #commit(group: readonly PendingWrite[]): Promise<void> {
    this.#groups += 1;
    const busy = new Set(await this.#options.commit(group));
    this.#groups -= 1;
    for (const write of group) {
      if (busy.has(write)) this.#busy.add(write);
      else this.#forget(write);
    }
    this.#schedule();
  }

  async #commitAlone(write: PendingWrite): Promise<void> {
    this.#alone += 1;
    await this.#options.commitAlone(write);
    this.#alone -= 1;
    this.#forget(write);
    this.#schedule();
  }

  #forget(write: PendingWrite): void {
    for (const key of write.plan.keys) this.#keysUnderWay.delete(key);
  }
}
