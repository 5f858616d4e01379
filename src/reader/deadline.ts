/** The end of one read's time, on the monotonic clock. */
import { UnavailableError } from '../errors.js';
import { within } from '../within.js';

export class Deadline {
  readonly #monotonicMs: () => number;
  readonly #atMs: number;

  constructor(monotonicMs: () => number, timeoutMs: number) {
    this.#monotonicMs = monotonicMs;
    this.#atMs = monotonicMs() + timeoutMs;
  }

  get remainingMs(): number {
    return Math.max(0, this.#atMs - this.#monotonicMs());
  }

  /** What `answer` brings, or UnavailableError when it comes too late. */
  bound<T>(answer: Promise<T>): Promise<T> {
    return within(answer, this.remainingMs, late);
  }
}

function late(): UnavailableError {
  return new UnavailableError("Expected an answer within the read's time, got none.");
}
