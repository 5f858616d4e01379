/**
 * The pause after an early wake, so that a busy database does not end a wait with each of its
 * transactions: none after a wake that brought news; doubled after each in a row that did not.
 *
 * A wake that took longer than the longest pause costs little, whatever it brought: the database
 * is not busy. The longest pause is a compromise of its own, much shorter than a poll interval: at
 * most about 30 waits a second bring nothing, and what does come is found about 20 ms late.
 */

const FIRST_MS = 8;
const LONGEST_MS = 32;

export class Spacing {
  readonly #longestMs: number;
  #pauseMs = 0;

  /** @param limitMs no pause is longer: the poll interval */
  constructor(limitMs: number) {
    this.#longestMs = Math.min(LONGEST_MS, limitMs);
  }

  get pauseMs(): number {
    return this.#pauseMs;
  }

  /** A wait has ended. @param waitedMs how long the replica had applied nothing */
  ended(news: boolean, waitedMs: number): void {
    if (news || waitedMs > this.#longestMs) this.#pauseMs = 0;
    else this.#pauseMs = Math.min(this.#longestMs, Math.max(FIRST_MS, this.#pauseMs * 2));
  }
}
