/**
 * The auditor's judgement: do a cache and MySQL-B contradict each other?
 *
 * Caches follow the log. A change that the log does not name (TRUNCATE, a trigger that is missing, a
 * cascade) leaves them as they were, and no version tells it. What tells it is the value itself,
 * but a look into a cache and a look into MySQL-B are never at one moment, and a change in between
 * would look the same. So they are compared over a stretch of the log: if the reader followed it
 * page by page, both looks are the truth at places on it, and it does not name the key, then the key
 * has one state all along, and both must tell that. Whatever is not so is left for the next audit.
 */
import { fingerprintOf, type Page, type Position } from './position.js';

/** What was seen of one key: its entity tag (undefined when it was absent), true at a position. */
export interface Look {
  readonly at: Position;
  readonly etag: string | undefined;
}

/** 'open': the log alone can explain the difference, or nobody followed it there. */
export type Finding = 'same' | 'open' | 'mismatch';

/** What the reader's log told from one position on, without a break. */
export class Stretch {
  readonly #fingerprints: Map<number, string>;
  readonly #named = new Set<string>();
  #isBroken = false;

  constructor(start: Position) {
    this.#fingerprints = new Map([[start.version, start.fingerprint]]);
  }

  /** @param keys of the tracked table that the page names */
  add(page: Page, keys: readonly string[]): void {
    for (const row of page.rows) this.#fingerprints.set(row.version, fingerprintOf(row));
    for (const key of keys) this.#named.add(key);
  }

  /** The reader started again: what it holds now has nothing to do with what was looked at. */
  break(): void {
    this.#isBroken = true;
  }

  judge(key: string, held: Look, found: Look): Finding {
    if (held.etag === found.etag) return 'same';
    const isComparable = this.#leadsOver(held.at) && this.#leadsOver(found.at);
    return isComparable && !this.#isBroken && !this.#named.has(key) ? 'mismatch' : 'open';
  }

  /** Whether that is a place in this very history, and on this stretch of it. */
  #leadsOver({ version, fingerprint }: Position): boolean {
    return this.#fingerprints.get(version) === fingerprint;
  }
}
