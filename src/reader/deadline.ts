/** The end of one read's time, on the monotonic clock. */
import { UnavailableError } from '../errors.js';

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
  async bound<T>(answer: Promise<T>): Promise<T> {
    let handle: NodeJS.Timeout | undefined;
    const overdue = new Promise<never>((_, reject) => {
      const error = new UnavailableError("Expected an answer within the read's time, got none.");
      handle = setTimeout(reject, this.remainingMs, error);
    });
    try {
      return await Promise.race([answer, overdue]);
    } finally {
      clearTimeout(handle);
    }
  }
}
