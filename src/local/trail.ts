/**
 * The trail: the pages that the position has passed while fills were in flight. A fill may have been read
 * anywhere on that way, or at the same place of a history that is no more.
 *
 * Invariant: while a fill is in flight, it reaches back to where the position stood when the fill took off,
 * unless more pages came than are remembered.
 */
import { fingerprintOf, type Page, type Position } from '../core/position.js';

/** What they hold stays in memory for as long as the slowest fill. */
const MOST_PAGES = 100;

export class Trail {
  readonly #pages: Page[] = [];

  passed(page: Page): void {
    this.#pages.push(page);
    if (this.#pages.length > MOST_PAGES) this.#pages.shift();
  }

  clear(): void {
    this.#pages.length = 0;
  }

  /** Whether the way has another row where `at` is. */
  denies(at: Position): boolean {
    const page = this.#pages.find(
      ({ from, to }) => from.version <= at.version && at.version <= to.version,
    );
    if (page === undefined) return false;
    const row = page.rows[at.version - page.from.version - 1];
    return areDifferent(at.fingerprint, row ? fingerprintOf(row) : page.from.fingerprint);
  }
}

/** A row that is gone says nothing of the history that it was in. */
export function areDifferent(one: string, other: string): boolean {
  return one !== other && one !== '' && other !== '';
}
