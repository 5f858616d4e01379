/**
 * One write that waits for its outcome: for its turn, then for its transaction, then for COMMIT.
 *
 * Invariant: it is answered once, at its deadline at the latest. Until COMMIT is sent an answer at
 * the deadline takes it back: whoever carries it out finds it settled and leaves it out. From then on
 * nobody can, and the answer is that the outcome is unknown.
 */
import { Deadline, outcomeUnknown } from '../mysql/transaction.js';
import type { Outcome } from './group.js';
import type { WritePlan } from './write-plan.js';

type Phase = 'open' | 'committing' | 'settled';

export class PendingWrite {
  readonly outcome: Promise<Outcome>;
  readonly deadline: Deadline;
  /** Bytes of its values. */
  readonly bytes: number;
  #phase: Phase = 'open';
  readonly #timer: NodeJS.Timeout;
  #resolve: (outcome: Outcome) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(
    readonly plan: WritePlan,
    timeoutMs: number,
  ) {
    this.deadline = new Deadline(timeoutMs);
    let bytes = 0;
    for (const document of plan.puts.values()) bytes += document.bytes.byteLength;
    this.bytes = bytes;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timer = setTimeout(() => this.#expire(), timeoutMs);
  }

  get isSettled(): boolean {
    return this.#phase === 'settled';
  }

  /** COMMIT is about to be sent: from now on it cannot be taken back. */
  commits(): void {
    if (this.#phase === 'open') this.#phase = 'committing';
  }

  /** The transaction was rolled back. */
  reopen(): void {
    if (this.#phase === 'committing') this.#phase = 'open';
  }

  resolve(outcome: Outcome): void {
    if (this.#settle()) this.#resolve(outcome);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #expire(): void {
    this.reject(this.#phase === 'committing' ? outcomeUnknown() : this.deadline.lateError);
  }

  #settle(): boolean {
    if (this.#phase === 'settled') return false;
    this.#phase = 'settled';
    clearTimeout(this.#timer);
    return true;
  }
}
