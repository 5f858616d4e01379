/**
 * What clients do in data center A during a run: writes through both write apps, and plain SQL
 * beside them. Each write is told as its client saw it.
 *
 * Invariants: no two writes have the same value; a lane has one write under way at a time; `pause`
 * resolves when none is. A client that gave up says `unknown`: its write may still happen.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../src/demo/database-server.js';
import type { WriteRecord } from './history.js';
import { HttpWrites } from './http-writes.js';
import type { Random } from './random.js';
import { SqlWrites } from './sql-writes.js';

export interface WorkloadOptions {
  readonly a: Database;
  /** The URL of a write app; undefined while it is not there. */
  readonly writeUrls: readonly (() => string | undefined)[];
  readonly token: string;
  readonly random: Random;
  readonly tell: (record: WriteRecord) => void;
}

/** A key and the value that it gets; null deletes it. */
export interface Change {
  readonly key: string;
  readonly value: string | null;
}

const KEYS = 1_500;
/** Of the fault that makes a hole in the log. */
export const HOLE_KEYS = ['hole/hidden', 'hole/after'] as const;
export const BULK_KEYS = 10_000;
const HTTP_LANES_PER_APP = 4;
const SQL_LANES = 2;
const BIG_BYTES = 1_000_000;
const HTTP_PACE_MS = 70;
const SQL_PACE_MS = 100;
const AFTER_FAILURE_MS = 100;

export class Workload {
  /** Over all lanes: how many writes were told. */
  writes = 0;
  /** The key that most writes go to while a fault heats it. */
  hotKey: string | undefined;
  /** While a fault makes them: many values of 1 MB. */
  bigValues = false;
  readonly http: HttpWrites;
  readonly sql: SqlWrites;
  #holders = 0;
  #stopping = false;
  #busy = 0;
  #lanes: Promise<void>[] = [];
  #marks = 0;

  constructor(private readonly options: WorkloadOptions) {
    const tell = (record: WriteRecord) => {
      this.writes += 1;
      options.tell(record);
    };
    this.http = new HttpWrites(options.token, tell, this);
    this.sql = new SqlWrites(options.a, tell, this);
  }

  start(): void {
    for (const url of this.options.writeUrls) {
      for (let lane = 0; lane < HTTP_LANES_PER_APP; lane++) {
        const random = this.options.random.fork();
        this.#lanes.push(this.#lane(random, HTTP_PACE_MS, () => this.http.write(url(), random)));
      }
    }
    for (let lane = 0; lane < SQL_LANES; lane++) {
      const random = this.options.random.fork();
      const client = this.sql.client();
      const running = this.#lane(random, SQL_PACE_MS, () => client.write(random));
      this.#lanes.push(running.finally(() => client.close()));
    }
  }

  /** Resolves when no write is under way; none begins until as many `resume`s came. */
  async pause(): Promise<void> {
    this.#holders += 1;
    while (this.#busy > 0) await delay(5);
  }

  resume(): void {
    this.#holders -= 1;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#lanes);
    await this.http.close();
  }

  /** A few keys take most of the writes. */
  key(random: Random): string {
    if (this.hotKey !== undefined && random.chance(0.7)) return this.hotKey;
    return keyName(Math.floor(random.next() ** 3 * KEYS));
  }

  keys(random: Random, count: number): string[] {
    return [...new Set(Array.from({ length: count }, () => this.key(random)))];
  }

  mark(): string {
    this.#marks += 1;
    return `m${this.#marks}`;
  }

  /** A text of a few hundred bytes, rarely of a million. */
  text(mark: string, random: Random): string {
    const isBig = random.chance(this.bigValues ? 0.1 : 0.001);
    return textOf(mark, isBig ? BIG_BYTES : Math.floor(random.between(60, 460)));
  }

  async #lane(random: Random, paceMs: number, write: () => Promise<boolean>): Promise<void> {
    while (!this.#stopping) {
      await delay(paceMs * (0.5 + random.next()));
      if (this.#holders > 0 || this.#stopping) continue;
      this.#busy += 1;
      let fine = false;
      try {
        fine = await write();
      } finally {
        this.#busy -= 1;
      }
      if (!fine) await delay(AFTER_FAILURE_MS);
    }
  }
}

/** Names as people have them: areas, a space, letters beyond ASCII. */
export function keyName(index: number): string {
  if (index % 50 === 7) return `größe/${index} é`;
  return `area-${index % 7}/config-${index}`;
}

export function bulkKey(index: number): string {
  return `bulk/${index}`;
}

/** The keys that the run may write. */
export function allKeys(): string[] {
  return Array.from({ length: KEYS }, (_, index) => keyName(index));
}

/** The text stored for a mark: valid JSON, the mark first. */
export function textOf(mark: string, bytes: number): string {
  return JSON.stringify({ mark, pad: 'x'.repeat(bytes) });
}
