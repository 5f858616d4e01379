/**
 * The readers of several collections, over one log: they start and stop together, take their turns
 * together, and share their connections.
 */
import { InvalidOptionsError } from '../errors.js';
import { type MetricsText, mergedMetrics } from '../merged-metrics.js';
import type { Reader } from './reader.js';
import type { ReaderStatus } from './status.js';

export class Readers implements Iterable<[name: string, reader: Reader]> {
  readonly #readers: ReadonlyMap<string, Reader>;
  readonly #close: () => Promise<void>;
  #stopped: Promise<void> | undefined;

  /** @param close what they share, when all have stopped */
  constructor(readers: ReadonlyMap<string, Reader>, close: () => Promise<void>) {
    this.#readers = readers;
    this.#close = close;
  }

  get names(): string[] {
    return [...this.#readers.keys()];
  }

  [Symbol.iterator](): IterableIterator<[name: string, reader: Reader]> {
    return this.#readers.entries();
  }

  /** The reader of a collection.
   * @throws InvalidOptionsError when there is no such collection */
  of(name: string): Reader {
    const reader = this.#readers.get(name);
    if (reader !== undefined) return reader;
    throw new InvalidOptionsError([
      `Expected one of the collections ${this.names.join(', ')}, got ${JSON.stringify(name)}`,
    ]);
  }

  /** Resolves when MySQL-B has answered each of them for the first time.
   * @throws what `reader.start` throws; all of them are stopped then */
  async start(): Promise<void> {
    try {
      await Promise.all([...this.#readers.values()].map((reader) => reader.start()));
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops all, and closes what was opened for them. For good. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#readers.values()].map((reader) => reader.stop()));
    await this.#close();
  }

  get ready(): boolean {
    return [...this.#readers.values()].every((reader) => reader.ready);
  }

  /** By the collection's name. */
  status(): Record<string, ReaderStatus> {
    return Object.fromEntries([...this].map(([name, reader]) => [name, reader.status()]));
  }

  /** Of all of them, each with the label `collection`. */
  get metrics(): MetricsText {
    return mergedMetrics([...this.#readers.values()].map((reader) => reader.metrics));
  }
}
