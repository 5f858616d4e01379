/**
 * The part of a reader that follows the log for its callers: watches, waits for a key to change, hints
 * that the log has grown, and who else follows it. It takes what the reconciler tells, and changes
 * nothing of it.
 */
import { EventEmitter } from 'node:events';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Announcement } from '../core/announcement.js';
import { assertKey } from '../core/key.js';
import { InvalidPositionError, NotRunningError, UnavailableError } from '../errors.js';
import type { LocalTier } from '../local/tier.js';
import type { ChangeLog } from '../mysql/log.js';
import type { RedisHints } from '../redis/hints.js';
import type { Roster } from '../redis/roster.js';
import { Announcer } from './announcer.js';
import { HINT_OUTCOMES, type HintOutcome, Hints } from './hints.js';
import { type ChangedOptions, KeyChanges } from './key-changes.js';
import type { Loader } from './loader.js';
import type { PollLoop } from './poll-loop.js';
import type { Reconciler } from './reconciler.js';
import type { ReaderStatus } from './status.js';
import { RESET_REASONS, type Watch, Watches, type WatchOptions } from './watch.js';

export interface LiveParts {
  readonly log: ChangeLog;
  readonly local: LocalTier<unknown>;
  readonly reconciler: Reconciler;
  readonly table: string;
  readonly readTimeoutMs: number;
  /** The most watches, and the most waits for changes of keys, at once. */
  readonly maxWatchers?: number;
  /** Shares hints with the other readers of the data center. */
  readonly redisHints?: RedisHints;
  /** Where this reader announces itself, and finds the others. */
  readonly roster?: Roster;
  readonly advertiseUrl?: string | undefined;
}

/** What the reader has made of its parts. */
interface Made {
  readonly loop: PollLoop;
  readonly loader: Loader;
  readonly registry: Registry;
  readonly status: () => ReaderStatus;
  readonly reads: Announcement['reads'];
}

export const DEFAULT_MAX_WATCHERS = 5_000;

export class LiveReader<
  Events extends Record<keyof Events, unknown[]>,
> extends EventEmitter<Events> {
  #live: Live | undefined;

  /** Changes of keys that begin with `prefix` ('' for all), in the order of the log, from this call
   * on, or after `after`. A read that follows a change sees it; see `WatchReset` for what else may
   * come. To start with a list: watch first, then list, then take the changes.
   * @throws InvalidPositionError, UnavailableError (too many watches), NotRunningError */
  watch(prefix: string, options: WatchOptions = {}): Watch {
    return this.#running().watches.open(prefix, options);
  }

  /** Waits for a change of `key`: true when it may have changed since the call, false when the wait
   * ended without one. Call it before the read that it is to follow.
   * @throws InvalidKeyError, UnavailableError (too many wait), NotRunningError */
  changed(key: string, options: ChangedOptions): Promise<boolean> {
    assertKey(key);
    return this.#running().changes.next(key, options);
  }

  /** Says that the log has reached `version` (what a write returned): unless that is here already,
   * MySQL-B is polled at once, and then quickly for a while. Other readers are told, too, if
   * `redisHints` is on. A wrong hint does no harm.
   * @throws InvalidPositionError when that is no version, NotRunningError */
  hint(version: number): HintOutcome {
    if (!Number.isSafeInteger(version) || version < 1) {
      throw new InvalidPositionError(`Expected a version from 1 to 2^53 - 1, got another value.`);
    }
    return this.#running().hint(version, 'caller');
  }

  /** All readers of this table in this data center that run, as they told Redis within the last
   * 15 s; this one, too.
   * @throws UnavailableError when Redis does not answer, NotRunningError */
  async readers(): Promise<Announcement[]> {
    return (await this.#running().announcer?.readers()) ?? [];
  }

  /** Begins to listen to the reconciler, before anyone whom the reader tells. */
  protected follow(parts: LiveParts, made: Made): void {
    this.#live = new Live(parts, made);
  }

  /** Ends all watches and waits at once. Resolves when the others may know. */
  protected async unfollow(): Promise<void> {
    await this.#live?.close();
  }

  #running(): Live {
    if (this.#live?.running) return this.#live;
    throw new NotRunningError('Expected a reader that runs: call `await reader.start()` first.');
  }
}

class Live {
  readonly watches: Watches;
  readonly changes: KeyChanges;
  readonly announcer: Announcer | undefined;
  readonly #hints: Hints;
  readonly #parts: LiveParts;
  readonly #hinted: Counter<'outcome'>;
  #closed = false;

  constructor(parts: LiveParts, made: Made) {
    const { loop, loader, registry } = made;
    const { local, reconciler, log, readTimeoutMs, maxWatchers = DEFAULT_MAX_WATCHERS } = parts;
    const registers = [registry];
    const resets = new Counter({
      name: 'tidemark_watch_resets_total',
      help: 'Resets of watches, by reason.',
      labelNames: ['reason'],
      registers,
    });
    for (const reason of RESET_REASONS) resets.inc({ reason }, 0);
    this.#parts = parts;
    const { roster } = parts;
    this.announcer = roster && new Announcer({ ...parts, ...made, roster });
    this.changes = new KeyChanges(maxWatchers);
    this.watches = new Watches({
      table: parts.table,
      maxWatchers,
      applied: () => local.applied,
      poll: (version, limit) =>
        loader.recent(
          () => log.poll(version, limit),
          (snapshot) => snapshot.head,
        ),
      reach: (version) => loop.until(() => local.applied.version >= version, readTimeoutMs),
      onReset: (reason) => resets.inc({ reason }),
    });
    this.#hints = new Hints({
      applied: () => local.applied.version,
      head: () => reconciler.head,
      hurry: (version, patienceMs) => {
        const holds = () => local.applied.version >= version;
        // Too many wait: they hurry the polls themselves.
        void Promise.resolve()
          .then(() => loop.until(holds, patienceMs, true))
          .catch(ignoreRefusal);
      },
      tell: (version) => parts.redisHints?.publish(version),
    });
    this.#hinted = new Counter({
      name: 'tidemark_hints_total',
      help: 'Hints of new versions, by what became of them.',
      labelNames: ['outcome'],
      registers,
    });
    for (const outcome of HINT_OUTCOMES) this.#hinted.inc({ outcome }, 0);
    this.#gauge(registry, 'tidemark_watchers', 'Watches that are open.', () => this.watches.size);
    this.#gauge(
      registry,
      'tidemark_waiters',
      'Long polls that wait for a key to change.',
      () => this.changes.size,
    );
    reconciler.on('page', (page, keys) => {
      this.watches.page(page);
      this.changes.page(keys);
    });
    reconciler.on('rebase', (reason) => {
      this.watches.rebase(reason);
      this.changes.rebase();
      if (reason === 'start') parts.redisHints?.listen((version) => this.hint(version, 'peer'));
      this.announcer?.start();
    });
  }

  get running(): boolean {
    return this.#parts.reconciler.started && !this.#closed;
  }

  hint(version: number, from: 'caller' | 'peer'): HintOutcome {
    const outcome = this.#closed ? 'known' : this.#hints.take(version, from);
    this.#hinted.inc({ outcome });
    return outcome;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#hints.close();
    this.#parts.redisHints?.close();
    this.watches.close();
    this.changes.close();
    await this.announcer?.stop();
  }

  #gauge(registry: Registry, name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  }
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof UnavailableError)) throw error;
}
