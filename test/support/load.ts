/** A steady load: one writer in data center A, readers in B, and a checker that judges each read. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Connection,
  createConnection,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2/promise';
import { seeded } from '../simulation/scheduler.js';
import { Checker, type Readable } from './checker.js';
import { until } from './until.js';

export interface LoadOptions {
  /** Data center A, where the writes go. */
  readonly a: string;
  readonly readables: readonly Readable[];
  /** Added to each value. */
  readonly padBytes?: number;
}

const KEYS = Array.from({ length: 40 }, (_, index) => `key/${index}`);
/** So that the servers have some of the two processor cores, too. */
const BREATH_MS = 1;
const LANES = 3;

export class Load {
  readonly checker = new Checker();
  readonly keys: readonly string[] = KEYS;
  readonly #options: LoadOptions;
  readonly #random = seeded(1);
  #running: Promise<unknown> | undefined;
  #stopping = false;
  #writes = 0;
  #values = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** Starts writing and reading; resolves when both are under way. */
  async start(): Promise<void> {
    const connection = await createConnection(this.#options.a);
    await this.write(connection, this.keys);
    const [key = ''] = this.keys;
    const first = this.checker.truth(this.keys.at(-1) ?? '').version;
    for (const each of this.#options.readables) {
      // What the keys were before, the checker does not know. A reader can answer one key from
      // MySQL-B ahead of its position, and another from a Redis that is not there yet: so this
      // waits for the position.
      const options = { minVersion: first, timeoutMs: 1_000 };
      await until('the first write in B', async () => Boolean(await each.get(key, options)));
    }
    this.#stopping = false;
    const lanes = this.#options.readables.flatMap((each) =>
      Array.from({ length: LANES }, () => this.#readOn(each)),
    );
    this.#running = Promise.all([this.#writeOn(connection), ...lanes]);
    this.#running.catch(() => undefined); // `stop` tells
    await this.goesOn(10);
  }

  /** Resolves when so many more transactions were committed, and as many reads answered. */
  async goesOn(count: number): Promise<void> {
    const [writes, reads] = [this.#writes + count, this.checker.reads + count];
    await until('the load to go on', () => this.#writes >= writes && this.checker.reads >= reads);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    this.#running = undefined;
  }

  /** One transaction in A, with a heartbeat; a key in `gone` is deleted, the others are written. */
  async write(connection: Connection, keys: readonly string[], gone = new Set<string>()) {
    await connection.query('BEGIN');
    await connection.query('UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
    for (const key of keys) {
      const value = gone.has(key) ? undefined : this.#newValue(key);
      if (!(await this.#change(connection, key, value))) continue;
      const [rows] = await connection.query<RowDataPacket[]>('SELECT head FROM config_stream');
      this.checker.record(key, Number(rows[0]?.head), value);
    }
    await connection.query('COMMIT');
    this.#writes += 1;
  }

  /** False when that changed nothing. */
  async #change(connection: Connection, key: string, value: string | undefined): Promise<boolean> {
    const [done] =
      value === undefined
        ? await connection.query<ResultSetHeader>('DELETE FROM configs WHERE config_key = ?', [key])
        : await connection.query<ResultSetHeader>(
            `INSERT INTO configs (config_key, config_value) VALUES (?, ?)
             ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)`,
            [key, value],
          );
    return done.affectedRows > 0;
  }

  /** No two are the same. */
  #newValue(key: string): string {
    this.#values += 1;
    return `"${key} ${this.#values}${'.'.repeat(this.#options.padBytes ?? 0)}"`;
  }

  async #writeOn(connection: Connection): Promise<void> {
    try {
      while (!this.#stopping) {
        const keys = [this.#anyKey(), this.#anyKey(), this.#anyKey()];
        const gone = new Set(this.#random() < 0.3 ? keys.slice(0, 1) : []);
        await this.write(connection, [...new Set(keys)].slice(this.#pick(3)), gone);
        await delay(BREATH_MS);
      }
    } finally {
      await connection.end();
    }
  }

  async #readOn(from: Readable): Promise<void> {
    while (!this.#stopping) {
      await this.checker.read(from, this.#anyKey());
      await delay(BREATH_MS);
    }
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #anyKey(): string {
    return this.keys[this.#pick(this.keys.length)] ?? '';
  }
}
