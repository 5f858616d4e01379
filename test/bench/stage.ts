/**
 * What the figures stand on: one flavor's two data centers with the migrations applied, a readers'
 * account of SELECT only, and everything that a figure opens closed after it.
 */
import { createConnection } from 'mysql2/promise';
import { type DataCenters, type Flavor, startDataCenters } from '../../src/demo/data-centers.js';
import { migrateAndGrant } from '../../src/demo/prepare.js';
import {
  type CreateReaderOptions,
  createReader,
  type Reader,
  Writer,
  type WriterOptions,
} from '../../src/index.js';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const BATCH = 500;
const STARTED_AT_ONCE = 5;

export class Stage {
  readonly #closing: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly centers: DataCenters,
    /** By which readers reach B. */
    readonly b: string,
  ) {}

  static async open(flavor: Flavor): Promise<Stage> {
    const centers = await startDataCenters({ flavor });
    return new Stage(centers, await migrateAndGrant(centers));
  }

  get flavor(): Flavor {
    return this.centers.flavor;
  }

  get a(): string {
    return this.centers.a.url();
  }

  get redis(): string {
    return this.centers.redis.url();
  }

  /** A reader that has caught up; stopped after the figure. */
  async reader(options: Partial<CreateReaderOptions> = {}): Promise<Reader> {
    await this.centers.caughtUp();
    return await this.#start(await this.head(), options);
  }

  /** So many of them, a few at a time. */
  async readers(count: number, options: Partial<CreateReaderOptions> = {}): Promise<Reader[]> {
    await this.centers.caughtUp();
    const head = await this.head();
    const readers: Reader[] = [];
    while (readers.length < count) {
      const more = Math.min(STARTED_AT_ONCE, count - readers.length);
      const starting = Array.from({ length: more }, () => this.#start(head, options));
      readers.push(...(await Promise.all(starting)));
    }
    return readers;
  }

  async #start(head: number, options: Partial<CreateReaderOptions>): Promise<Reader> {
    const reader = createReader({ mysql: this.b, redis: this.redis, logger: SILENT, ...options });
    this.#closing.push(() => reader.stop());
    await reader.start();
    await reader.get('(nobody)', { minVersion: head, timeoutMs: 60_000 });
    return reader;
  }

  writer(options: Partial<WriterOptions> = {}): Writer {
    const writer = new Writer({ mysql: this.a, ...options });
    this.#closing.push(() => writer.close());
    return writer;
  }

  /** Writes all of them to A. */
  async fill(values: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const writer = new Writer({ mysql: this.a, connectionLimit: 1, timeoutMs: 60_000 });
    const all = [...values];
    for (let start = 0; start < all.length; start += BATCH) {
      await writer.batch({ put: new Map(all.slice(start, start + BATCH)) });
    }
    await writer.close();
  }

  async head(): Promise<number> {
    const connection = await createConnection(this.a);
    const [rows] = await connection.query('SELECT head FROM config_stream');
    await connection.end();
    return Number((rows as { head: number }[])[0]?.head); // the statement selects it
  }

  /** Has `close` called after the figure that is being measured. */
  after(close: () => Promise<unknown>): void {
    this.#closing.push(close);
  }

  /** Closes what was opened last, in the middle of a figure. */
  async clearLast(): Promise<void> {
    await this.#closing.pop()?.();
  }

  /** Closes what the last figure opened. */
  async clear(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async stop(): Promise<void> {
    await this.clear();
    await this.centers.stop();
  }
}
