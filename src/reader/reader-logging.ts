/**
 * What a reader tells its logger: one line per page of changes at info, one per key that was
 * brought from a tier at debug, and of a fault that goes on no more than now and then. All of it is
 * counted as well, by ReaderMetrics.
 */
import type { EventEmitter } from 'node:events';
import type { Entry } from '../core/entry.js';
import type { Page, RebaseReason } from '../core/position.js';
import type { Tier } from '../core/reading.js';
import type { Logger } from '../logger.js';
import { Repeats } from '../repeats.js';
import type { ReconcilerEvents } from './reconciler.js';

export interface LoggedParts {
  readonly logger: Logger;
  readonly table: string;
  readonly reconciler: EventEmitter<ReconcilerEvents>;
  readonly monotonicMs: () => number;
}

const QUIET_MS = 10_000;

export class ReaderLogging {
  readonly #logger: Logger;
  readonly #table: string;
  readonly #repeats: Repeats;

  constructor({ logger, table, reconciler, monotonicMs }: LoggedParts) {
    this.#logger = logger;
    this.#table = table;
    this.#repeats = new Repeats(QUIET_MS, monotonicMs);
    reconciler.on('page', (page, keys) => this.#page(page, keys));
    reconciler.on('refresh', (key, entry) => this.refreshed(key, entry, 'mysql'));
    reconciler.on('generation', (bucket, reason) =>
      logger.info({ table, bucket, reason }, 'started a new generation in Redis'),
    );
  }

  #page({ from, to }: Page, keys: readonly string[]): void {
    const { version: last } = to;
    const fields = { table: this.#table, from: from.version, to: last, keys: keys.length };
    if (keys.length > 0) this.#logger.info(fields, 'applied a page of changes');
    else this.#logger.debug(fields, 'passed a page of changes of other tables');
  }

  /** A key was brought from a tier. */
  refreshed(key: string, { version, asOf }: Entry, tier: Tier): void {
    this.#logger.debug({ table: this.#table, key, tier, version, asOf }, 'refreshed a key');
  }

  rebased(reason: RebaseReason, version: number): void {
    this.#logger.info({ table: this.#table, reason, version }, 'took the head as position');
  }

  /** @param failures in a row */
  pollFailed(error: unknown, failures: number): void {
    // The 1st, 2nd, 4th, 8th ... in a row: an outage is told, not repeated four times a second.
    if (!Number.isInteger(Math.log2(failures))) return;
    this.#logger.warn({ failures, reason: messageOf(error) }, 'a poll of MySQL-B failed');
  }

  /** @param faults since the start */
  redisFault(error: unknown, faults: number): void {
    if (this.#repeats.next('redis') === undefined) return;
    const fields = { reason: messageOf(error), faults };
    this.#logger.warn(fields, 'Redis took no part; MySQL-B answers instead');
  }

  listenerThrew(event: string, error: unknown): void {
    const told = this.#repeats.next(event);
    if (told === undefined) return;
    this.#logger.error({ err: error, event, ...told }, 'a listener of the reader threw');
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
