/**
 * `tidemark verify`: holds Redis and each reader against MySQL-B, key by key.
 *
 * All rows of the table are compared, and of keys that do not exist those that the log names and
 * those that Redis holds entries of; other absences cannot be known of. It reads a page at a time and
 * keeps only counts and the first mismatches, so that its memory does not grow with the table.
 */
import type { Announcement } from '../core/announcement.js';
import type { Collection } from '../core/collection.js';
import type { Entry } from '../core/entry.js';
import type { MysqlLog } from '../mysql/log.js';
import type { RedisClient } from '../redis/tier.js';
import { NotAskedError, ReaderSide } from './reader-side.js';
import { RedisSide } from './redis-side.js';
import { judge, type Side } from './side.js';
import { Truth, type TruthPage } from './truth.js';

export interface VerifyOptions {
  readonly log: MysqlLog;
  readonly client: RedisClient;
  readonly collection: Collection;
  readonly keyPrefix: string;
  readonly redisBuckets: number;
  /** Those to ask. */
  readonly readers: readonly Announcement[];
  readonly token: string | undefined;
  /** Takes how much of the work was just done, in keys and rows of the log. */
  readonly onProgress?: (steps: number) => void;
}

export interface Mismatch {
  /** `redis`, or a reader's id. */
  readonly where: string;
  readonly key: string;
  /** The version of the row in MySQL-B; null when there is none. */
  readonly expected: number | null;
  /** The same with another value is told by equal versions. */
  readonly got: number | null;
}

export interface Verified {
  readonly collection: string;
  readonly sound: boolean;
  /** All that was committed up to here is covered. */
  readonly asOf: number;
  readonly keys: number;
  /** Keys in MySQL-B that no reader can be asked for. */
  readonly unreadable: number;
  readonly redis: {
    /** Entries that were compared, and keys without one. */
    readonly checked: number;
    readonly missing: number;
    readonly mismatches: number;
    readonly unsettled: number;
  };
  readonly readers: readonly {
    readonly id: string;
    readonly url: string | null;
    readonly checked: number;
    readonly mismatches: number;
    readonly unsettled: number;
    /** Why it could not be asked, or not to the end. */
    readonly failure: string | null;
  }[];
  /** Keys that do not exist and were compared all the same, by where they are known from. */
  readonly absences: { readonly log: number; readonly redis: number | null };
  /** The first of them. */
  readonly mismatches: readonly Mismatch[];
}

const MOST_SHOWN = 20;
const MOST_KNOWN = 10_000;
const SILENT = 'it does not say where it can be asked (ADVERTISE_URL)';

/** A side with what was found of it. */
interface Party {
  readonly name: string;
  readonly side: Side;
  mismatches: number;
  unsettled: number;
  failure: string | null;
}

function party(name: string, side: Side): Party {
  return { name, side, mismatches: 0, unsettled: 0, failure: null };
}

/** @throws TidemarkError when MySQL-B or Redis does not answer */
export async function verify(options: VerifyOptions): Promise<Verified> {
  return await new Verification(options).run();
}

class Verification {
  readonly #options: VerifyOptions;
  readonly #truth: Truth;
  readonly #redisSide: RedisSide;
  readonly #redis: Party;
  readonly #readers: readonly (Party & { readonly side: ReaderSide })[];
  readonly #shown: Mismatch[] = [];
  readonly #known = new Set<string>();

  constructor(options: VerifyOptions) {
    const { log, client, collection, keyPrefix: prefix, redisBuckets: buckets, token } = options;
    const { name, table } = collection;
    this.#options = options;
    this.#truth = new Truth(log, table);
    this.#redisSide = new RedisSide({ client, prefix, table, buckets });
    this.#redis = party('redis', this.#redisSide);
    this.#readers = options.readers.map(({ id, url }) => {
      const side = new ReaderSide({ url: url ?? '', collection: name, token });
      return { ...party(id, side), side, failure: url === undefined ? SILENT : null };
    });
  }

  async run(): Promise<Verified> {
    const { log, onProgress = () => {} } = this.#options;
    const { head: asOf } = await log.tip();
    let keys = 0;
    for await (const page of this.#truth.rows()) {
      await this.#compare(page);
      keys += page.entries.size;
      onProgress(page.entries.size);
    }
    const ofRows = { checked: this.#redisSide.checked, missing: this.#redisSide.missing };
    const absences = {
      log: await this.#compareAll(this.#truth.absencesInLog(onProgress)),
      redis: await this.#compareRedisKeys(),
    };
    const parties = [this.#redis, ...this.#readers];
    return {
      collection: this.#options.collection.name,
      sound: parties.every(({ mismatches }) => mismatches === 0),
      asOf,
      keys,
      unreadable: this.#truth.unreadable,
      redis: {
        ...ofRows,
        mismatches: this.#redis.mismatches,
        unsettled: this.#redis.unsettled,
      },
      readers: this.#readers.map(({ name: id, side, mismatches, unsettled, failure }, index) => {
        const url = this.#options.readers[index]?.url ?? null;
        return { id, url, checked: side.checked, mismatches, unsettled, failure };
      }),
      absences,
      mismatches: this.#shown,
    };
  }

  async #compareAll(pages: AsyncGenerator<TruthPage>): Promise<number> {
    let keys = 0;
    for await (const page of pages) {
      await this.#compare(page);
      keys += page.entries.size;
    }
    return keys;
  }

  /** Keys of entries in Redis that MySQL-B has no row of; null when it may not be searched. */
  async #compareRedisKeys(): Promise<number | null> {
    let keys = 0;
    try {
      for await (const some of this.#redisSide.keys()) {
        keys += await this.#compareAll(this.#truth.absent(some));
      }
      return keys;
    } catch (error) {
      if (error instanceof Error && error.name === 'ReplyError') return null; // NOPERM
      throw error;
    }
  }

  /** Holds all sides against one page, all at once. */
  async #compare(page: TruthPage): Promise<void> {
    const asked = [this.#redis, ...this.#readers].filter(({ failure }) => failure === null);
    await Promise.all(asked.map((one) => this.#compareOne(one, page)));
  }

  async #compareOne(one: Party, page: TruthPage): Promise<void> {
    try {
      for (const key of await one.side.suspects(page)) {
        const outcome = await judge(one.side, key, page.asOf, this.#truth);
        if (outcome.kind === 'unsettled') one.unsettled += 1;
        if (outcome.kind !== 'mismatch') continue;
        if (this.#known.has(`${one.name} ${key}`)) continue; // found by another way
        if (this.#known.size < MOST_KNOWN) this.#known.add(`${one.name} ${key}`);
        one.mismatches += 1;
        if (this.#shown.length === MOST_SHOWN) continue;
        const [expected, got] = [versionOf(outcome.expected), versionOf(outcome.got)];
        this.#shown.push({ where: one.name, key, expected, got });
      }
    } catch (error) {
      if (!(error instanceof NotAskedError)) throw error;
      one.failure = error.message;
    }
  }
}

function versionOf(entry: Entry): number | null {
  return entry.value === null ? null : entry.version;
}
