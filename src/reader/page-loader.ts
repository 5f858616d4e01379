/**
 * Loads the values that a page of changes names, as many as memory allows at once.
 *
 * Invariant: what it returns was read at the page's end or later, so that it can stand for the page.
 */
import type { Entry } from '../core/entry.js';
import { cutPage, keysOf, type Page } from '../core/position.js';
import { UnavailableError } from '../errors.js';
import type { Glance } from '../mysql/glance.js';
import type { ChangeLog } from '../mysql/log.js';

/** The most bytes of values that one page holds in memory. */
const PAGE_BYTES = 4 * 1024 * 1024;

export interface LoadedPage {
  /** The page, or its first part. */
  readonly page: Page;
  /** An entry for each key of the tracked table that the page names. */
  readonly entries: ReadonlyMap<string, Entry>;
}

export class PageLoader {
  constructor(
    private readonly log: ChangeLog,
    private readonly table: string,
  ) {}

  keysOf(page: Page): string[] {
    return keysOf(page, this.table);
  }

  /** A page with what a glance has brought, if that is all that it names. */
  glanced(page: Page, { newest }: Glance): LoadedPage | undefined {
    const isAll = this.keysOf(page).every((key) => key === newest?.key);
    if (newest === undefined || !isAll) return undefined;
    return { page, entries: new Map([[newest.key, newest.entry]]) };
  }

  /** @throws UnavailableError when MySQL-B does not answer, or answers from before the page's end */
  async load(page: Page): Promise<LoadedPage> {
    const keys = this.keysOf(page);
    if (keys.length === 0) return { page, entries: new Map() };
    // Values are small as a rule; where one is not, the same statement tells the sizes of all.
    const found = await this.log.fetchSmall(keys, PAGE_BYTES / keys.length);
    if (found.kind === 'small') return { page, entries: recent(found.entries, page) };
    const part = cutPage(page, found.sizes, PAGE_BYTES);
    return { page: part, entries: recent(await this.log.fetch(this.keysOf(part)), part) };
  }
}

function recent(entries: ReadonlyMap<string, Entry>, { to }: Page): ReadonlyMap<string, Entry> {
  for (const { asOf } of entries.values()) {
    if (asOf < to.version) throw laggingReplica(to.version, asOf);
  }
  return entries;
}

export function laggingReplica(expected: number, got: number): UnavailableError {
  return new UnavailableError(
    `Expected MySQL-B at version ${expected} or later, got ${got}: another replica, which lags. ` +
      'The next poll tries again.',
  );
}
