/**
 * The Redis tier: entries shared by all readers of a data center, and the marks that vouch for them.
 *
 * Keys of a tracked table live in buckets, one hash tag each, so that every command touches one
 * Redis Cluster slot: `<prefix>:{<table>:<bucket>}:mark` and `...:<generation>:<key>`.
 * Invariant: entries and mark of a bucket change together, in one script; reads trust only the
 * generation that the reconciler has checked against the log and adopted.
 * A call waits for one short timeout at most. After a few failures in a row the breaker opens, and
 * calls fail at once until a trial succeeds; a caller treats any failure as a miss.
 */
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import type { Cluster, Redis } from 'ioredis';
import { isTruthAt, knownSpan } from '../core/coherence.js';
import { decodeEntry, type Entry, encodeEntry } from '../core/entry.js';
import { bucketOf } from '../core/key.js';
import { decodeMark, encodeMark, type Mark } from '../core/mark.js';
import type { Position } from '../core/position.js';
import { UnavailableError } from '../errors.js';
import { within } from '../within.js';
import { packEntries } from './pack.js';
import { scriptText } from './script.js';

export type RedisClient = Redis | Cluster;

export interface RedisTierOptions {
  readonly client: RedisClient;
  readonly table: string;
  readonly prefix: string;
  readonly buckets: number;
  readonly timeoutMs: number;
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  /** In [0, 1); spreads the ends of the times to live. */
  readonly random: () => number;
}

/** A bucket's mark as Redis holds it: `raw` is what a compare-and-set compares. */
export interface StoredMark {
  readonly bucket: number;
  readonly raw: string;
  /** Undefined when there is none, or what is there is not one. */
  readonly mark: Mark | undefined;
}

export type FillReply = 'stored' | 'replaced' | 'refused' | 'generation';

type Script<Reply> = (...args: (string | number | Buffer)[]) => Promise<Reply>;
type Scripts = Record<'tidemarkApply' | 'tidemarkFill' | 'tidemarkBegin', Script<string>> &
  Record<'tidemarkScan', Script<string[]>>;

const BREAK_AFTER_FAILURES = 3;
const TRY_AGAIN_AFTER_MS = 1000;
/** Names that one slice of a scan looks at. */
const SLICE_NAMES = 1_000;
/** A page may carry megabytes, and no read waits for it. */
const APPLY_TIMEOUTS = 20;

export class RedisTier {
  readonly #options: RedisTierOptions;
  readonly #client: RedisClient & Scripts;
  readonly #adopted: (string | undefined)[];
  /** Only a Redis that does not answer opens the breaker; one that answers an error is quick. */
  readonly #breaker = circuitBreaker(
    handleWhen((error) => error.name !== 'ReplyError'),
    { halfOpenAfter: TRY_AGAIN_AFTER_MS, breaker: new ConsecutiveBreaker(BREAK_AFTER_FAILURES) },
  );
  /** Entries that did not decode or were of another type, since the start. */
  corruptEntries = 0;

  constructor(options: RedisTierOptions) {
    this.#options = options;
    this.#adopted = new Array(options.buckets).fill(undefined);
    options.client.defineCommand('tidemarkApply', { lua: scriptText('apply') });
    options.client.defineCommand('tidemarkFill', { numberOfKeys: 2, lua: scriptText('fill') });
    options.client.defineCommand('tidemarkBegin', { numberOfKeys: 1, lua: scriptText('begin') });
    options.client.defineCommand('tidemarkScan', { numberOfKeys: 1, lua: scriptText('scan') });
    this.#client = options.client as RedisClient & Scripts; // defineCommand adds them, untyped
  }

  get buckets(): number {
    return this.#options.buckets;
  }

  get breakerState(): 'closed' | 'open' | 'half-open' {
    if (this.#breaker.state === CircuitState.Closed) return 'closed';
    return this.#breaker.state === CircuitState.HalfOpen ? 'half-open' : 'open';
  }

  bucketOf(key: string): number {
    return bucketOf(key, this.#options.buckets);
  }

  /** The generation that reads of `key` trust; undefined before the reconciler adopted one. */
  generationFor(key: string): string | undefined {
    return this.#adopted[this.bucketOf(key)];
  }

  adopted(bucket: number): string | undefined {
    return this.#adopted[bucket];
  }

  /** Says that `generation` (undefined: none) was checked against the log and may be read. */
  adopt(bucket: number, generation: string | undefined): void {
    this.#adopted[bucket] = generation;
  }

  /** The marks of all buckets. */
  async marks(): Promise<StoredMark[]> {
    const buckets = this.#adopted.map((_, bucket) => bucket);
    return this.#call(() =>
      Promise.all(
        buckets.map(async (bucket) => {
          const [raw] = await this.#client.mget(this.#markKey(bucket));
          return { bucket, raw: raw ?? '', mark: decodeMark(raw ?? '') };
        }),
      ),
    );
  }

  /** Starts a new generation in a bucket, unless its mark is no longer `stored`, nor one of the
   * generation that is given up. */
  async begin(
    stored: StoredMark,
    generation: string,
    position: Position,
    givenUp = '',
  ): Promise<boolean> {
    const mark = encodeMark({ generation, position });
    const args = [this.#markKey(stored.bucket), stored.raw, mark, givenUp];
    return (await this.#call(() => this.#client.tidemarkBegin(...args))) === 'begun';
  }

  /** Writes the entries that fall into the bucket of `stored` and moves its mark on to `to`, unless
   * the mark is no longer `stored`, or already there. `entries` holds every key that changed from the mark's position
   * to `to`, read at `to` or later. */
  async apply(
    { bucket, raw, mark }: StoredMark,
    to: Position,
    entries: ReadonlyMap<string, Entry>,
  ): Promise<boolean> {
    if (mark === undefined || mark.position.version >= to.version) return false;
    const { generation } = mark;
    const prefix = this.#entryPrefix(bucket, generation);
    const keys = [this.#markKey(bucket)];
    const mine: (Entry | undefined)[] = [];
    for (const [key, entry] of entries) {
      if (bucketOf(key, this.#options.buckets) !== bucket) continue;
      keys.push(prefix + key);
      // One that may be newer than the page's end is removed: a later page brings it.
      mine.push(isTruthAt(entry, to.version) ? entry : undefined);
    }
    const args = [raw, encodeMark({ generation, position: to }), ...this.#ttlsMs()];
    const packed = packEntries(mine);
    const reply = await this.#call(
      () => this.#client.tidemarkApply(keys.length, ...keys, ...args, packed),
      this.#options.timeoutMs * APPLY_TIMEOUTS,
    );
    return reply === 'applied';
  }

  /** For each of `keys`, all of one bucket, the entry of the adopted generation that is there, as of
   * the bucket's mark. Whether that is recent enough is for the caller to judge (R2). */
  async read(bucket: number, keys: readonly string[]): Promise<readonly (Entry | undefined)[]> {
    const generation = this.#adopted[bucket];
    if (generation === undefined) return [];
    const prefix = this.#entryPrefix(bucket, generation);
    const names = keys.map((key) => prefix + key);
    names.unshift(this.#markKey(bucket));
    const [rawMark, ...values] = await this.#call(() => this.#client.mgetBuffer(names));
    const mark = decodeMark(rawMark?.toString() ?? '');
    if (mark === undefined || mark.generation !== generation) return [];
    return values.map((bytes, index) => {
      const entry = bytes === null ? undefined : decodeEntry(bytes, mark.position);
      if (bytes !== null && entry === undefined) this.#removeCorrupt(names[index + 1] ?? '');
      return entry;
    });
  }

  /** Removing is always safe, and makes room for the fill that follows. A failure changes nothing:
   * the next read finds the entry corrupt again. */
  #removeCorrupt(name: string): void {
    this.corruptEntries += 1;
    this.#client.del(name).catch(() => undefined);
  }

  /** A slice of the keys that have an entry in the adopted generation of a bucket; a key may come
   * twice. The cursor is '0' to begin, and '0' after the last slice. */
  async scan(bucket: number, cursor: string): Promise<{ cursor: string; keys: string[] }> {
    const generation = this.#adopted[bucket];
    if (generation === undefined) return { cursor: '0', keys: [] };
    const args = [this.#markKey(bucket), generation, cursor, SLICE_NAMES];
    const [next = '0', ...keys] = await this.#call(() => this.#client.tidemarkScan(...args));
    return { cursor: next, keys };
  }

  /** Stores what was loaded from MySQL; `generation` as it was before the load began. */
  async fill(key: string, entry: Entry, generation: string): Promise<FillReply> {
    const bucket = bucketOf(key, this.#options.buckets);
    const keys = [this.#markKey(bucket), this.#entryKey(key, generation)];
    const [valueTtlMs, absenceTtlMs] = this.#ttlsMs();
    const ttlMs = entry.value === null ? absenceTtlMs : valueTtlMs;
    const args = [generation, ...knownSpan(entry), ttlMs, encodeEntry(entry)];
    const reply = await this.#call(() => this.#client.tidemarkFill(...keys, ...args));
    if (reply === 'replaced') this.corruptEntries += 1; // reads see another type as a plain miss
    return reply as FillReply; // the replies of fill.lua
  }

  /** Removes the entry of `key`, which is always safe. */
  async remove(key: string): Promise<void> {
    const generation = this.generationFor(key);
    if (generation === undefined) return;
    await this.#call(() => this.#client.del(this.#entryKey(key, generation)));
  }

  /** A pattern (of SCAN) that the names of all entries match, of all generations. */
  get entryPattern(): string {
    const { prefix, table } = this.#options;
    return `${`${prefix}:{${table}`.replaceAll(/[\\*?[\]]/g, '\\$&')}:*`;
  }

  /** The key whose entry has this name, in a generation that was adopted; undefined for other names. */
  keyOf(name: string): string | undefined {
    const { prefix, table } = this.#options;
    const start = `${prefix}:{${table}:`;
    const bucket = Number.parseInt(name.slice(start.length), 10);
    const generation = name.startsWith(start) ? this.#adopted[bucket] : undefined;
    if (generation === undefined) return undefined;
    const entries = this.#entryPrefix(bucket, generation);
    return name.startsWith(entries) ? name.slice(entries.length) : undefined;
  }

  #call<T>(task: () => Promise<T>, timeoutMs = this.#options.timeoutMs): Promise<T> {
    const late = () => new UnavailableError(`Expected Redis to answer within ${timeoutMs} ms.`);
    return this.#breaker.execute(() => within(task(), timeoutMs, late));
  }

  /** Of values and of absences that are written together. */
  #ttlsMs(): [values: number, absences: number] {
    const { ttlMs, negativeTtlMs, random } = this.#options;
    const part = 0.9 + 0.1 * random();
    const partOf = (fullMs: number) => Math.max(1, Math.round(fullMs * part));
    return [partOf(ttlMs), partOf(Math.min(ttlMs, negativeTtlMs))];
  }

  #markKey(bucket: number): string {
    return `${this.#tag(bucket)}:mark`;
  }

  #entryKey(key: string, generation: string): string {
    return this.#entryPrefix(this.bucketOf(key), generation) + key;
  }

  #entryPrefix(bucket: number, generation: string): string {
    return `${this.#tag(bucket)}:${generation}:`;
  }

  /** A division into another number of buckets shares nothing with this one: its marks would vouch
   * for entries that it does not write. */
  #tag(bucket: number): string {
    const { prefix, table, buckets } = this.#options;
    return `${prefix}:{${table}:${bucket}${buckets === 1 ? '' : `/${buckets}`}}`;
  }
}
