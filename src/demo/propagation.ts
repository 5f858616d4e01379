/**
 * Writes a configuration in A every second, and measures how long each reader in B goes on without
 * it: from the answer of the write app (the commit is acknowledged) to the first answer of that
 * reader with the new version. Before the write each reader holds the old value in its own memory,
 * as in service; then it is asked again and again by ordinary GETs, one of which is in each figure.
 *
 * Values that someone types into the demo's page are written and measured in the same way. Changes
 * that others make are noticed in A's log within a tick, and followed from there; they are shown, but
 * not counted in the percentiles, because when they were committed is not known.
 */
import { EventEmitter } from 'node:events';
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
  readonly by: 'demo' | 'page' | 'you';
  /** By reader. */
  readonly served: readonly Served[];
  /** By reader, how its answer with the new value begins, of a change by the page. */
  readonly answers: readonly (string | undefined)[];
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
/** Writes of the page that wait for the next tick. */
const MOST_REQUESTED = 20;
const MOST_ANSWER_CHARACTERS = 200;

export interface PropagationOptions {
  readonly stage: Stage;
  readonly random: Random;
  /** Whether it writes by itself, too. */
  readonly writes: boolean;
}

interface RequestedWrite {
  readonly config: SampleConfig;
  readonly done: (version: number) => void;
  readonly failed: (error: unknown) => void;
}

export interface PropagationEvents {
  /** A change is followed, or a reader has served one. */
  progress: [];
  /** All readers have served a change, or were given up. */
  settled: [change: ObservedChange];
}

export class Propagation extends EventEmitter<PropagationEvents> {
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
  readonly #requested: RequestedWrite[] = [];

  constructor(options: PropagationOptions) {
    super();
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

  /** Writes a value in A in the next tick of `run`, and measures it. Resolves to its version.
   * @throws Error with what the write app answered, by the promise */
  write(config: SampleConfig): Promise<number> {
    return new Promise((done, failed) => {
      if (this.#requested.length < MOST_REQUESTED) this.#requested.push({ config, done, failed });
      else failed(new Error('Expected fewer writes at once, got one more. Try again.'));
    });
  }

  /** What each reader answers for `key` now; undefined where it does not. */
  async values(key: string): Promise<(string | undefined)[]> {
    const question = { key, by: 'page', version: 0, served: [], answers: [] } as const;
    return await Promise.all(this.#readers.map(({ app }) => answerOf(app.url, question)));
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
      for (const { failed } of this.#requested.splice(0)) failed(new Error('The demo ends.'));
      await this.#following;
      await pool.end();
    }
  }

  /** One own write when it is time, then a look at what others have changed. They take turns, so
   * an own change is never mistaken for another's. */
  async #tick(select: Select, signal: AbortSignal): Promise<void> {
    try {
      for (const one of this.#requested.splice(0)) await this.#writeRequested(one, signal);
      const nowMs = performance.now();
      if (!this.#options.writes) this.#nextWriteAtMs = Number.POSITIVE_INFINITY;
      if (this.#following === undefined && nowMs >= this.#nextWriteAtMs) {
        // Not in step with the readers' polls, or the same part of an interval is measured always.
        this.#nextWriteAtMs = nowMs + WRITE_INTERVAL_MS * (0.75 + 0.5 * Math.random());
        const following = await this.#write(sampleChange(this.#options.random), 'demo', signal);
        this.#following = following.served.finally(() => {
          this.#following = undefined;
        });
      }
      const rows = await select(LATER_CHANGES, this.head);
      this.problem = undefined;
      for (const { version, row_key } of rows.toReversed()) {
        this.head = Math.max(this.head, Number(version));
        void this.#follow({ version, key: row_key, by: 'you' }, signal);
      }
    } catch (error) {
      if (!signal.aborted) this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  async #writeRequested(
    { config, done, failed }: RequestedWrite,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      done((await this.#write(config, 'page', signal)).version);
    } catch (error) {
      failed(error);
    }
  }

  async #write(config: SampleConfig, by: 'demo' | 'page', signal: AbortSignal) {
    // A reader that does not hold the key would ask MySQL-B for it, and learn nothing too late.
    await this.values(config.key);
    const version = await put(this.#options.stage, config, signal);
    this.head = version;
    return { version, served: this.#follow({ version, key: config.key, by }, signal) };
  }

  /** Asks all readers for the change until they have it. */
  async #follow(
    change: Pick<ObservedChange, 'version' | 'key' | 'by'>,
    signal: AbortSignal,
  ): Promise<void> {
    const sinceMs = performance.now();
    const served: Served[] = this.#readers.map(() => 'waiting');
    const answers: (string | undefined)[] = this.#readers.map(() => undefined);
    const observed = { ...change, served, answers };
    this.changes.unshift(observed);
    this.changes.splice(MOST_CHANGES);
    this.emit('progress');
    await Promise.all(
      this.#readers.map(async ({ app, latencies }, index) => {
        const answer = await this.#untilServed(app, observed, signal);
        const afterMs = performance.now() - sinceMs;
        if (answer === undefined) served[index] = app.running ? 'late' : 'gone';
        else served[index] = afterMs;
        if (change.by === 'page') answers[index] = answer?.slice(0, MOST_ANSWER_CHARACTERS);
        this.emit('progress');
        if (answer === undefined || change.by === 'you') return;
        latencies.add(afterMs);
        this.all.add(afterMs);
      }),
    );
    if (!signal.aborted) this.emit('settled', observed);
  }

  async #untilServed(app: AppProcess, change: ObservedChange, signal: AbortSignal) {
    const endMs = performance.now() + GIVE_UP_MS;
    while (!signal.aborted && app.running && performance.now() < endMs) {
      const answer = await answerOf(app.url, change);
      if (answer !== undefined) return answer;
      await delay(ASK_AGAIN_MS);
    }
    return undefined;
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
  const response = await fetch(`${url}/v1/configs/${encodeURIComponent(key)}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: value,
    signal: withinTime(signal),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`Expected the write app to write, got ${answer}`);
  return Number(response.headers.get('tidemark-version'));
}

/** A reader's answer, if it is that of the change or a later one. The demo knows the row it wrote
 * by its version; of a change by someone else (perhaps a delete) only the position is known. */
async function answerOf(
  url: string,
  { key, by, version }: ObservedChange,
): Promise<string | undefined> {
  const header = by === 'you' ? 'tidemark-as-of' : 'tidemark-version';
  const encoded = encodeURIComponent(key);
  const where = by === 'you' ? `?keys=${encoded}` : `/${encoded}`;
  try {
    const response = await fetch(`${url}/v1/configs${where}`, { signal: withinTime() });
    const answer = await response.text();
    const isThere = response.ok && Number(response.headers.get(header)) >= version;
    return isThere ? answer : undefined;
  } catch {
    return undefined; // it is busy or gone: whoever asks goes on until it is given up
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
