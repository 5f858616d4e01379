/**
 * What the page shows of the past: the latest changes, and how long changes took from data center A
 * to here, over the last ten minutes.
 *
 * Its size does not depend on how much changes. Latencies are by the clocks of both data centers:
 * from `changed_at` in the log to the moment in which the reader has let the old value go.
 */
import type { LogRow } from '../../core/position.js';
import { Spread } from '../../core/spread.js';

export interface RecentChange {
  readonly version: number;
  readonly table: string;
  readonly key: string;
  /** By the clock of A, ms since the epoch. */
  readonly changedAtMs: number;
  readonly latencyMs: number;
}

/** One stretch of time, from `startMs` on. */
export interface Slot {
  readonly startMs: number;
  readonly spread: Spread;
}

export const SLOT_MS = 5_000;
export const MOST_SLOTS = 120;
export const MOST_CHANGES = 50;

export class Recent {
  readonly #nowMs: () => number;
  readonly #changes: RecentChange[] = [];
  #slots: Slot[] = [];

  /** @param nowMs since the epoch */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Changes that the reader has just taken in, in the order of the log. */
  take(rows: readonly LogRow[]): void {
    const nowMs = this.#nowMs();
    const { spread } = this.#slotOf(nowMs);
    const fromLatest = rows.length - MOST_CHANGES;
    for (const [index, { version, table, key, changedAt }] of rows.entries()) {
      const changedAtMs = Date.parse(`${changedAt.replace(' ', 'T')}Z`);
      if (Number.isNaN(changedAtMs)) continue;
      const latencyMs = Math.max(0, nowMs - changedAtMs);
      spread.add(latencyMs);
      if (index >= fromLatest) {
        this.#changes.unshift({ version, table, key, changedAtMs, latencyMs });
      }
    }
    this.#changes.splice(MOST_CHANGES);
  }

  /** The newest first. */
  get changes(): readonly RecentChange[] {
    return this.#changes;
  }

  /** In order of time; those in which nothing changed are left out. */
  get slots(): readonly Slot[] {
    const sinceMs = this.#nowMs() - SLOT_MS * MOST_SLOTS;
    this.#slots = this.#slots.filter(({ startMs }) => startMs > sinceMs);
    return this.#slots;
  }

  #slotOf(nowMs: number): Slot {
    const startMs = Math.floor(nowMs / SLOT_MS) * SLOT_MS;
    const last = this.#slots.at(-1);
    if (last !== undefined && last.startMs >= startMs) return last; // the clock may step back
    const slot = { startMs, spread: new Spread() };
    this.#slots.push(slot);
    this.#slots.splice(0, this.#slots.length - MOST_SLOTS);
    return slot;
  }
}
