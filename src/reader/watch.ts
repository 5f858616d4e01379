/**
 * Watches: the changes of keys with a prefix, one by one in the order of the log.
 *
 * Invariant: between two resets a watch hands out each change after its position once and in order,
 * and a read that follows a change sees that change or a later one. So it hands out only what its
 * reader has applied. What it cannot continue (the log was pruned, history was rewritten, its
 * consumer is too slow) it says by a `reset`: read again what you need; changes go on from there.
 *
 * A watch with a position to resume from reads the log on MySQL-B, a page at a time and only when
 * its consumer asks for more, until it stands where its reader stands; from then on the pages of the
 * reconciler are handed to it. An event holds no value: the log says that a key changed, not to what.
 */
import { bulkhead } from 'cockatiel';
import {
  decide,
  type LogRow,
  type LogSnapshot,
  type Page,
  type Position,
  positionOf,
  REBASE_REASONS,
  type RebaseReason,
} from '../core/position.js';
import { InvalidPositionError, UnavailableError } from '../errors.js';

export interface WatchChange {
  readonly kind: 'change';
  /** The place of the change in the log. */
  readonly version: number;
  readonly key: string;
  /** What `after` of another watch takes, to go on from here. */
  readonly id: string;
}

/** Any key may have changed: read again what you need. Changes after `version` follow. */
export interface WatchReset {
  readonly kind: 'reset';
  readonly version: number;
  readonly id: string;
  /** `ahead`: the position to resume from is beyond all that the reader has. `slow`: too many
   * changes waited for the consumer. The others are of the log. */
  readonly reason: Exclude<RebaseReason, 'start'> | 'ahead' | 'slow';
}

export const RESET_REASONS: readonly WatchReset['reason'][] = [
  ...REBASE_REASONS.filter((reason) => reason !== 'start'),
  'ahead',
  'slow',
];

export type WatchEvent = WatchChange | WatchReset;

export interface WatchOptions {
  /** Where to go on: an event's `id`, or a version; left out, at the reader's position, now. */
  readonly after?: string | number | undefined;
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
}

export interface WatchesOptions {
  /** The tracked table's name, as the log's rows carry it. */
  readonly table: string;
  readonly applied: () => Position;
  /** The log from `version` on, as recent as the reader, at most `limit` rows. */
  readonly poll: (version: number, limit: number) => Promise<LogSnapshot>;
  /** True as soon as the reader is at `version`, false when that takes too long. */
  readonly reach: (version: number) => Promise<boolean>;
  readonly maxWatchers: number;
  /** The most changes that may wait for a consumer when more come. */
  readonly maxQueued?: number;
  /** Rows of the log read at once. */
  readonly pageSize?: number;
  readonly onReset?: (reason: WatchReset['reason']) => void;
}

const MAX_QUEUED = 1_000;
const PAGE_SIZE = 500;
/** Pages of the log that all watches together read at a time: reads come first. */
const PAGES_AT_ONCE = 2;

/** `<version>.<fingerprint>`, or the version alone where the log has no such row. */
export function watchIdOf({ version, fingerprint }: Position): string {
  return fingerprint === '' ? String(version) : `${version}.${fingerprint}`;
}

/** @throws InvalidPositionError */
export function parseWatchId(id: string | number): Position {
  const [, digits, fingerprint = ''] = /^(\d{1,16})(?:\.([\w-]{12}))?$/.exec(String(id)) ?? [];
  const version = Number(digits);
  if (Number.isSafeInteger(version)) return { version, fingerprint };
  throw new InvalidPositionError(
    'Expected the id of an event of a watch, or a version, to go on from; got another text.',
  );
}

export class Watches {
  readonly #options: WatchesOptions;
  readonly #watches = new Set<Watch>();
  readonly #pages = bulkhead(PAGES_AT_ONCE, Number.POSITIVE_INFINITY);
  /** Those who come back after an interruption come back to the same place, at the same time. */
  readonly #reading = new Map<number, Promise<LogSnapshot>>();

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#watches.size;
  }

  /** A watch that begins now, whenever its first event is asked for.
   * @throws InvalidPositionError, UnavailableError when there are too many */
  open(prefix: string, { after, signal }: WatchOptions = {}): Watch {
    const from = after === undefined ? undefined : parseWatchId(after);
    const { maxWatchers, maxQueued = MAX_QUEUED, applied, reach, onReset } = this.#options;
    if (this.#watches.size >= maxWatchers) {
      throw new UnavailableError(
        `Expected at most ${maxWatchers} watches at once, got one more. Try again later.`,
      );
    }
    const watch = new Watch({
      prefix,
      from,
      maxQueued,
      applied,
      reach,
      changesIn: (rows) => this.#changesIn(rows),
      read: (version) => this.#read(version),
      onReset: (reason) => onReset?.(reason),
      onEnd: () => {
        this.#watches.delete(watch);
        signal?.removeEventListener('abort', end);
      },
    });
    const end = () => watch.end();
    this.#watches.add(watch);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
    return watch;
  }

  /** The reader has applied a page. */
  page(page: Page): void {
    if (this.#watches.size === 0) return;
    const changes = this.#changesIn(page.rows);
    const byPrefix = new Map<string, readonly WatchChange[]>();
    for (const watch of this.#watches) {
      const matching = byPrefix.get(watch.prefix) ?? matches(changes, watch.prefix);
      byPrefix.set(watch.prefix, matching);
      if (watch.live) watch.push(matching);
    }
  }

  /** The reader started again from the head. */
  rebase(reason: RebaseReason): void {
    for (const watch of this.#watches) watch.reset(reason === 'start' ? 'gap' : reason);
  }

  /** Ends all of them. */
  close(): void {
    for (const watch of this.#watches) watch.end();
  }

  #changesIn(rows: readonly LogRow[]): WatchChange[] {
    return rows.filter((row) => row.table === this.#options.table).map(changeOf);
  }

  #read(version: number): Promise<LogSnapshot> {
    const { poll, pageSize = PAGE_SIZE } = this.#options;
    const running = this.#reading.get(version);
    if (running !== undefined) return running;
    const reading = this.#pages
      .execute(() => poll(version, pageSize + 1))
      .finally(() => this.#reading.delete(version));
    this.#reading.set(version, reading);
    return reading;
  }
}

interface WatchParts {
  readonly prefix: string;
  readonly from: Position | undefined;
  readonly maxQueued: number;
  readonly applied: () => Position;
  readonly reach: (version: number) => Promise<boolean>;
  readonly read: (version: number) => Promise<LogSnapshot>;
  readonly changesIn: (rows: readonly LogRow[]) => readonly WatchChange[];
  readonly onReset: (reason: WatchReset['reason']) => void;
  readonly onEnd: () => void;
}

/** Ends by `signal`, by leaving the `for await` loop, or when its reader stops. */
export class Watch implements AsyncIterableIterator<WatchEvent> {
  readonly prefix: string;
  readonly #parts: WatchParts;
  /** What waits for the consumer, in order; `#next` is the first that was not handed out. */
  #queue: WatchEvent[] = [];
  #next = 0;
  /** Up to where it was read from the log; undefined while the reader's pages continue it. */
  #at: Position | undefined;
  #lastId: string;
  #resets = 0;
  #isReading = false;
  #ended = false;
  #failure: unknown;
  #wakers: (() => void)[] = [];

  constructor(parts: WatchParts) {
    this.prefix = parts.prefix;
    this.#parts = parts;
    this.#at = parts.from;
    this.#lastId = watchIdOf(parts.from ?? parts.applied());
  }

  /** Whether it stands where its reader stands. */
  get live(): boolean {
    return this.#at === undefined;
  }

  /** Up to where all changes have been handed out: `after` of a watch that goes on from here. */
  get id(): string {
    const isEven = this.live && this.#next >= this.#queue.length && !this.#ended;
    return isEven ? watchIdOf(this.#parts.applied()) : this.#lastId;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @throws UnavailableError when the log on MySQL-B could not be read; the watch has ended then */
  async next(): Promise<IteratorResult<WatchEvent, undefined>> {
    for (;;) {
      const event = this.#queue[this.#next];
      if (event !== undefined) {
        this.#next += 1;
        this.#lastId = event.id;
        return { value: event, done: false };
      }
      if (this.#ended) return this.#end();
      this.#queue = [];
      this.#next = 0;
      if (!this.live && !this.#isReading) this.#readOn();
      await new Promise<void>((resolve) => this.#wakers.push(resolve));
    }
  }

  async return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.end();
    return { value: undefined, done: true };
  }

  end(): void {
    if (this.#ended) return;
    this.#lastId = this.id;
    this.#ended = true;
    this.#queue = [];
    this.#next = 0;
    this.#parts.onEnd();
    this.#wake();
  }

  push(changes: readonly WatchChange[]): void {
    if (changes.length === 0) return;
    if (this.#queue.length - this.#next > this.#parts.maxQueued) {
      this.reset('slow');
      return;
    }
    if (this.#next > this.#parts.maxQueued) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    for (const change of changes) this.#queue.push(change);
    this.#wake();
  }

  /** Forgets what waits: the consumer has to read again in any case. */
  reset(reason: WatchReset['reason']): void {
    const applied = this.#parts.applied();
    const { version } = applied;
    this.#resets += 1;
    this.#at = undefined;
    this.#queue = [{ kind: 'reset', version, id: watchIdOf(applied), reason }];
    this.#next = 0;
    this.#parts.onReset(reason);
    this.#wake();
  }

  #end(): IteratorResult<WatchEvent, undefined> {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    return { value: undefined, done: true };
  }

  #readOn(): void {
    this.#isReading = true;
    this.#catchUp()
      .catch((error: unknown) => {
        if (this.#ended) return;
        this.#failure = error;
        this.end();
      })
      .finally(() => {
        this.#isReading = false;
        this.#wake();
      });
  }

  /** One page of the log, or the step from the log to the reader's own pages. That step is one with
   * the look at the reader's position, so that no page comes between. */
  async #catchUp(): Promise<void> {
    const at = this.#at;
    const resets = this.#resets;
    const { applied, reach, read, changesIn } = this.#parts;
    const isOver = () => this.#ended || this.#resets !== resets;
    if (at === undefined) return;
    if (at.version > applied().version) {
      const isReached = await reach(at.version);
      if (isOver()) return;
      if (!isReached) return this.reset('ahead');
    }
    const here = applied();
    if (at.version === here.version) {
      const isSame = at.fingerprint === '' || at.fingerprint === here.fingerprint;
      if (!isSame) return this.reset('diverged');
      this.#at = undefined;
      return;
    }
    const snapshot = await read(at.version);
    if (isOver()) return;
    const rows = continued(at, snapshot);
    if (typeof rows === 'string') return this.reset(rows);
    const known = rows.filter((row) => row.version <= applied().version);
    const last = known.at(-1);
    if (last === undefined) throw new UnavailableError('Expected the log on MySQL-B to go on.');
    this.#at = positionOf(last);
    for (const change of matches(changesIn(known), this.prefix)) this.#queue.push(change);
    if (this.#queue.length === 0) this.#lastId = watchIdOf(this.#at);
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake();
  }
}

/** The rows after `at`, or why the log does not continue it. A position that came as a bare version
 * is taken for the row that has it. */
function continued(
  at: Position,
  snapshot: LogSnapshot,
): readonly LogRow[] | 'pruned' | 'gap' | 'diverged' {
  const own = snapshot.rows.find((row) => row.version === at.version);
  const from = at.fingerprint === '' && own !== undefined ? positionOf(own) : at;
  const verdict = decide(from, snapshot);
  if (verdict.kind === 'page') return verdict.page.rows;
  if (verdict.kind !== 'rebase') return [];
  return own === undefined && snapshot.rows.length > 0 ? 'pruned' : verdict.reason;
}

function matches(changes: readonly WatchChange[], prefix: string): readonly WatchChange[] {
  return prefix === '' ? changes : changes.filter(({ key }) => key.startsWith(prefix));
}

function changeOf(row: LogRow): WatchChange {
  const { version, key } = row;
  return Object.freeze({ kind: 'change', version, key, id: watchIdOf(positionOf(row)) });
}
