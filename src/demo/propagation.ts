/**
 * Writes a configuration in A every second, and measures how long each reader in B goes on without
 * it: from the answer of the write app (the commit is acknowledged) to the first answer of that
 * reader with the new version. Before the write each reader holds the old value in its own memory,
 * as in service; then it is asked again and again by ordinary GETs, one of which is in each figure.
 *
 * Changes that others make are noticed in A's log within a tick, and followed from there; they are
 * shown, but not counted in the percentiles, because when they were committed is not known.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { openPool } from '../mysql/pool.js';
import type { AppProcess } from './app-process.js';
import { Latencies } from './latencies.js';
import { type Random, type SampleConfig, sampleChange } from './sample-configs.js';
import type { Stage } from './stage.js';

/** How one reader does with one change: after so many ms, not yet, not in time, or it is gone. */
export type Served = number | 'waiting' | 'late' | 'gone';

export interface ObservedChange {
  readonly version: number;
  readonly key: string;
  readonly by: 'demo' | 'you';
  /** By reader. */
  readonly served: readonly Served[];
}

export interface ReaderState {
  readonly url: string;
  readonly running: boolean;
  /** Undefined until it said so. */
  readonly applied: number | undefined;
  readonly latencies: Latencies;
}

const WRITE_INTERVAL_MS = 1_000;
const TICK_MS = 20;
const STATUS_INTERVAL_MS = 500;
const ASK_AGAIN_MS = 1;
const GIVE_UP_MS = 10_000;
const REQUEST_TIMEOUT_MS = 3_000;
const MOST_CHANGES = 100;
/** Of a large transaction of someone else, only so many changes are followed. */
const MOST_FOLLOWED = 3;

export interface PropagationOptions {
  readonly stage: Stage;
  readonly random: Random;
  /** Called when all readers have served a change, or were given up. */
  readonly onSettled?: (change: ObservedChange) => void;
}

export class Propagation {
  readonly all = new Latencies();
  /** The newest first. */
  readonly changes: ObservedChange[] = [];
  /** What went wrong last; undefined when all is well again. */
  problem: string | undefined;
  head = 0;
  readonly #options: PropagationOptions;
  readonly #readers: { app: AppProcess; applied: number | undefined; latencies: Latencies }[];
  #nextWriteAtMs = 0;
  #following: Promise<void> | undefined;

  constructor(options: PropagationOptions) {
    this.#options = options;
    this.#readers = options.stage.readApps.map((app) => ({
      app,
      applied: undefined,
      latencies: new Latencies(),
    }));
  }

  get readers(): ReaderState[] {
    return this.#readers.map(({ app, applied, latencies }) => {
      return { url: app.url, running: app.running, applied, latencies };
    });
  }

  /** Writes and measures until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const pool = openPool(this.#options.stage.centers.a.url(), { connectionLimit: 1 });
    const select = async (sql: string, version: number) =>
      (await pool.query<RowDataPacket[]>(sql, [version]))[0];
    const asking = setInterval(() => this.#askStatus(signal), STATUS_INTERVAL_MS);
    try {
      const [first] = await select('SELECT head FROM config_stream WHERE id = ?', 1);
      this.head = Number(first?.head);
      while (!signal.aborted) {
        await this.#tick(select, signal);
        await delay(TICK_MS, undefined, { signal }).catch(() => {}); // the loop's own condition
      }
    } finally {
      clearInterval(asking);
      await this.#following;
      await pool.end();
    }
  }

  /** One own write when it is time, then a look at what others have changed. They take turns, so
   * an own change is never mistaken for another's. */
  async #tick(select: Select, signal: AbortSignal): Promise<void> {
    try {
      const nowMs = performance.now();
      if (this.#following === undefined && nowMs >= this.#nextWriteAtMs) {
        // Not in step with the readers' polls, or the same part of an interval is measured always.
        this.#nextWriteAtMs = nowMs + WRITE_INTERVAL_MS * (0.75 + 0.5 * Math.random());
        await this.#write(signal);
      }
      const rows = await select(LATER_CHANGES, this.head);
      this.problem = undefined;
      for (const { version, row_key } of rows.toReversed()) {
        this.head = Math.max(this.head, Number(version));
        void this.#follow({ version, key: row_key, by: 'you', served: [] }, signal);
      }
    } catch (error) {
      if (!signal.aborted) this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { stage, random } = this.#options;
    const change = sampleChange(random);
    // A reader that does not hold the key would ask MySQL-B for it, and learn nothing too late.
    await Promise.all(this.#readers.map(({ app }) => warm(app, change.key)));
    const version = await put(stage, change, signal);
    this.head = version;
    const observed: ObservedChange = { version, key: change.key, by: 'demo', served: [] };
    this.#following = this.#follow(observed, signal).finally(() => {
      this.#following = undefined;
    });
  }

  /** Asks all readers for the change until they have it. */
  async #follow(change: ObservedChange, signal: AbortSignal): Promise<void> {
    const sinceMs = performance.now();
    const served: Served[] = this.#readers.map(() => 'waiting');
    const observed = { ...change, served };
    this.changes.unshift(observed);
    this.changes.splice(MOST_CHANGES);
    await Promise.all(
      this.#readers.map(async ({ app, latencies }, index) => {
        const isServed = await this.#untilServed(app, observed, signal);
        const afterMs = performance.now() - sinceMs;
        if (!isServed) served[index] = app.running ? 'late' : 'gone';
        else served[index] = afterMs;
        if (!isServed || change.by !== 'demo') return;
        latencies.add(afterMs);
        this.all.add(afterMs);
      }),
    );
    if (!signal.aborted) this.#options.onSettled?.(observed);
  }

  async #untilServed(app: AppProcess, change: ObservedChange, signal: AbortSignal) {
    const endMs = performance.now() + GIVE_UP_MS;
    while (!signal.aborted && app.running && performance.now() < endMs) {
      if (await serves(app.url, change)) return true;
      await delay(ASK_AGAIN_MS);
    }
    return false;
  }

  #askStatus(signal: AbortSignal): void {
    for (const reader of this.#readers) {
      if (!reader.app.running) continue;
      appliedBy(reader.app.url, signal).then(
        (applied) => {
          reader.applied = applied;
        },
        () => {}, // the next one may answer; a reader that is gone is shown as such
      );
    }
  }
}

type Select = (sql: string, version: number) => Promise<RowDataPacket[]>;

const LATER_CHANGES = `SELECT version, row_key FROM config_changes
  WHERE version > ? AND table_name = 'configs' ORDER BY version DESC LIMIT ${MOST_FOLLOWED}`;

/** Writes through the write app.
 * @returns the version */
async function put(stage: Stage, { key, value }: SampleConfig, signal: AbortSignal) {
  const { url, token } = stage.description.write;
  const response = await fetch(`${url}/v1/configs/${key}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: value,
    signal: withinTime(signal),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`Expected the write app to write, got ${answer}`);
  return Number(response.headers.get('tidemark-version'));
}

/** Lets a reader take the key into its local tier. */
async function warm(app: AppProcess, key: string): Promise<void> {
  if (app.running) await serves(app.url, { key, by: 'demo', version: 0, served: [] });
}

/** Whether a reader's answer is that of the change or a later one. The demo knows the row it wrote
 * by its version; of a change by someone else (perhaps a delete) only the position is known. */
async function serves(url: string, { key, by, version }: ObservedChange): Promise<boolean> {
  const header = by === 'demo' ? 'tidemark-version' : 'tidemark-as-of';
  const where = by === 'demo' ? `/${key}` : `?keys=${encodeURIComponent(key)}`;
  try {
    const response = await fetch(`${url}/v1/configs${where}`, { signal: withinTime() });
    await response.arrayBuffer();
    return response.ok && Number(response.headers.get(header)) >= version;
  } catch {
    return false; // it is busy or gone: whoever asks goes on until it is given up
  }
}

async function appliedBy(url: string, signal: AbortSignal): Promise<number> {
  const response = await fetch(`${url}/v1/status`, { signal: withinTime(signal) });
  const status = (await response.json()) as { applied: number }; // as ReaderStatus says
  return status.applied;
}

function withinTime(signal?: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}
