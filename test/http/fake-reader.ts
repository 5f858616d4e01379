/** A reader over a plain map, that remembers what it was asked. */
import { EventEmitter } from 'node:events';
import { Registry } from 'prom-client';
import type { Announcement } from '../../src/core/announcement.js';
import { Entry } from '../../src/core/entry.js';
import { assertKey } from '../../src/core/key.js';
import { type LogRow, type Position, positionOf } from '../../src/core/position.js';
import { Reading, type ReadOptions, type Tier } from '../../src/core/reading.js';
import type { Readings } from '../../src/http/readings.js';
import { type ChangedOptions, KeyChanges } from '../../src/reader/key-changes.js';
import type { ReaderEvents } from '../../src/reader/reader.js';
import type { ReaderStatus } from '../../src/reader/status.js';
import { type Watch, Watches, type WatchOptions } from '../../src/reader/watch.js';

export const HEAD = 42;
const AT = { version: HEAD - 2, fingerprint: 'f' };

export const ANNOUNCEMENT: Announcement = {
  id: 'web-1:7:0a1b2c3d',
  host: 'web-1',
  pid: 7,
  software: '0.1.0',
  url: 'http://web-1:8081',
  startedAt: '2026-11-26T10:00:00.000Z',
  seenAt: '2026-11-26T10:01:00.000Z',
  table: 'configs',
  applied: HEAD,
  head: HEAD,
  stalenessMs: 40,
  mark: HEAD,
  generation: 'g',
  asked: 0,
  reads: { local: 90, redis: 9, mysql: 1 },
  ready: true,
  stale: false,
};

export class FakeReader extends EventEmitter<ReaderEvents> implements Readings {
  readonly rows = new Map<string, { version: number; value: Buffer }>();
  readonly metrics = new Registry();
  readonly asked: ReadOptions[] = [];
  /** The keys that were asked for. */
  readonly keys: string[] = [];
  ready = true;
  stale = false;
  /** Of its status, what is not as usual. */
  state: Partial<ReaderStatus> = {};
  failure: Error | undefined;
  readonly hints: number[] = [];
  readonly resets: string[] = [];
  /** The log that watches follow, from HEAD on. */
  readonly log: LogRow[] = [];
  applied: Position = { version: HEAD, fingerprint: '' };
  readonly changes = new KeyChanges(3);
  readonly watches = new Watches({
    table: 'configs',
    maxWatchers: 3,
    maxQueued: 100,
    applied: () => this.applied,
    poll: async (version, limit) => {
      const rows = this.log.filter((row) => row.version >= version).slice(0, limit);
      return { head: this.applied.version, beatAtMs: 0, clockMs: 0, rows };
    },
    reach: async () => false,
    onReset: (reason) => this.resets.push(reason),
  });

  put(key: string, value: string | Buffer, version = 7): void {
    this.rows.set(key, { version, value: Buffer.from(value) });
  }

  /** Whether all is held in memory. */
  holds = false;

  peek(key: string): Reading | undefined {
    return this.holds && this.failure === undefined ? this.#reading(key, 'local') : undefined;
  }

  /** In the log, as MySQL-B prints it. */
  changedAt = '12:00';

  /** One page of changes of `keys`. */
  change(...keys: string[]): void {
    const { changedAt } = this;
    const from = this.applied;
    const rows = keys.map((key, index) => {
      return { version: from.version + 1 + index, table: 'configs', key, changedAt };
    });
    this.log.push(...rows);
    const last = rows.at(-1);
    if (last !== undefined) this.applied = positionOf(last);
    this.watches.page({ from, to: this.applied, rows });
    this.changes.page(keys);
    this.emit('change', { keys, from: from.version, to: this.applied.version, rows });
  }

  watch(prefix: string, options?: WatchOptions): Watch {
    if (this.failure !== undefined) throw this.failure;
    return this.watches.open(prefix, options);
  }

  changed(key: string, options: ChangedOptions): Promise<boolean> {
    return this.changes.next(key, options);
  }

  hint(version: number): 'known' | 'followed' {
    this.hints.push(version);
    return version <= HEAD ? 'known' : 'followed';
  }

  async get(key: string, options: ReadOptions = {}): Promise<Reading> {
    this.asked.push(options);
    this.keys.push(key);
    assertKey(key);
    if (this.failure !== undefined) throw this.failure;
    return this.#reading(key, 'redis');
  }

  #reading(key: string, tier: Tier): Reading {
    const row = this.rows.get(key);
    const entry = new Entry(AT, row?.version ?? 0, row?.value ?? null);
    const staleAtMs = this.stale ? -1 : 1;
    const standing = { applied: AT, rewrites: 0, staleAtMs, monotonicMs: () => 0 };
    return new Reading(key, entry, tier, HEAD, standing);
  }

  async getMany(keys: readonly string[], options: ReadOptions = {}): Promise<Map<string, Reading>> {
    const readings = new Map<string, Reading>();
    for (const key of keys) readings.set(key, await this.get(key, options));
    return readings;
  }

  async list(
    { prefix, limit, after = '' }: { prefix: string; limit: number; after?: string | undefined },
    options: ReadOptions = {},
  ): Promise<{ asOf: number; readings: Reading[]; next: string | undefined }> {
    const keys = [...this.rows.keys()]
      .sort()
      .filter((key) => key.startsWith(prefix) && key > after);
    const page = keys.slice(0, limit);
    const readings = [...(await this.getMany(page, options)).values()];
    return { asOf: HEAD, readings, next: keys.length > limit ? page.at(-1) : undefined };
  }

  announced: Awaited<ReturnType<Readings['readers']>> = [ANNOUNCEMENT];

  async readers(): ReturnType<Readings['readers']> {
    if (this.failure !== undefined) throw this.failure;
    return this.announced;
  }

  status(): ReturnType<Readings['status']> {
    return {
      ready: this.ready,
      stale: this.stale,
      applied: HEAD,
      head: this.ready ? HEAD : 0,
      ageMs: 5,
      lagMs: 2,
      pollFailures: 3,
      reads: { local: 0, redis: 0, mysql: 0 },
      local: { entries: 0, absences: 0, bytes: 0, fillsInFlight: 0 },
      redis: { breaker: 'closed', asked: 0, marks: [] },
      audit: {
        sampled: 0,
        checked: 0,
        mismatches: 0,
        repaired: 0,
        completed: 0,
        skipped: 0,
        lastAt: null,
      },
      ...this.state,
    };
  }
}
