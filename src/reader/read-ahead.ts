/**
 * Reads the next page from MySQL-B while the one before it is on its way into Redis, and the log of the
 * page after that while values are loaded, so that a reader that is far behind keeps both busy. What
 * the glance of an early wake has shown was read ahead, too.
 *
 * Invariant: what was read ahead is what the next turn would have read, a little earlier: it is used
 * by that turn only, and only if it begins at the very position from which it was read.
 */
import { decide, type LogSnapshot, type Page, type Position } from '../core/position.js';
import type { Glance } from '../mysql/glance.js';
import type { ChangeLog } from '../mysql/log.js';
import type { LoadedPage, PageLoader } from './page-loader.js';

/** What MySQL-B showed, and when it was asked, by the monotonic clock. */
export interface Polled {
  readonly snapshot: LogSnapshot;
  readonly askedAtMs: number;
}

interface Ahead {
  readonly from: Position;
  readonly polled: Promise<Polled>;
  /** Undefined when the snapshot has no page to load. */
  readonly loaded: Promise<LoadedPage | undefined>;
}

export class ReadAhead {
  /** For the next turn, and of the turn that is under way. */
  #next: Ahead | undefined;
  #now: Ahead | undefined;
  /** The log from the end of the page that is being loaded. */
  #further: Pick<Ahead, 'from' | 'polled'> | undefined;

  constructor(
    private readonly log: ChangeLog,
    private readonly pages: PageLoader,
    private readonly limit: number,
    private readonly monotonicMs: () => number,
    /** MySQL-B has answered a poll, after so long. */
    private readonly onPoll: (ms: number) => void,
  ) {}

  /** A turn begins: the snapshot that was read ahead from there, or one of now. */
  poll(from: Position, glance?: Glance): Promise<Polled> {
    this.#now = this.#next?.from === from ? this.#next : this.#glanced(from, glance);
    this.#next = undefined;
    return this.#now?.polled ?? this.#poll(from);
  }

  /** What a glance has shown, if it goes on from there. Whatever else it may say, a poll is to tell. */
  #glanced(from: Position, glance: Glance | undefined): Ahead | undefined {
    if (glance === undefined) return undefined;
    const verdict = decide(from, glance.snapshot);
    if (verdict.kind !== 'page' && verdict.kind !== 'idle') return undefined;
    const loaded = verdict.kind === 'page' ? this.pages.glanced(verdict.page, glance) : undefined;
    return { from, polled: Promise.resolve(glance), loaded: Promise.resolve(loaded) };
  }

  /** The values of a page of that snapshot. */
  async load(page: Page): Promise<LoadedPage> {
    const loaded = await this.#now?.loaded;
    this.#now = undefined;
    return loaded ?? this.pages.load(page);
  }

  /** Reads what a turn from there will want. A fault is told to that turn. */
  go(from: Position): void {
    const polled = this.#further?.from === from ? this.#further.polled : this.#poll(from);
    this.#further = undefined;
    const loaded = polled.then(({ snapshot }) => {
      const verdict = decide(from, snapshot);
      if (verdict.kind !== 'page') return undefined;
      const loading = this.pages.load(verdict.page);
      if (verdict.page.to.version < snapshot.head) this.#goFurther(verdict.page.to);
      return loading;
    });
    loaded.catch(() => undefined); // told to the turn that wants it, if one does
    this.#next = { from, polled, loaded };
  }

  #goFurther(from: Position): void {
    const polled = this.#poll(from);
    polled.catch(() => undefined); // as above
    this.#further = { from, polled };
  }

  async #poll(from: Position): Promise<Polled> {
    const askedAtMs = this.monotonicMs();
    const snapshot = await this.log.poll(from.version, this.limit);
    this.onPoll(this.monotonicMs() - askedAtMs);
    return { snapshot, askedAtMs };
  }

  forget(): void {
    this.#further = undefined;
    this.#next = undefined;
    this.#now = undefined;
  }
}
