/**
 * The roster: which readers of a data center run, as they say themselves, kept in Redis.
 *
 * Each reader has an entry, which ends by itself unless it is written again, and one list has the ids
 * of all: `<prefix>:{readers}:<id>` and `<prefix>:{readers}`, one cluster slot. It takes no commands
 * that readers do not need anyway, so no right is added by it.
 * Invariant: no read and no cache depends on it, and it leaves nothing behind for longer than its
 * time to live. What is read from it is checked, for anyone who may write to Redis may have written it.
 */
import {
  type Announcement,
  decodeAnnouncement,
  encodeAnnouncement,
  READER_ID,
} from '../core/announcement.js';
import { UnavailableError } from '../errors.js';
import { within } from '../within.js';
import { scriptText } from './script.js';
import type { RedisClient } from './tier.js';

export interface RosterOptions {
  readonly client: RedisClient;
  readonly prefix: string;
}

/** A reader that has not announced itself for so long is gone. */
export const ROSTER_TTL_MS = 15_000;
const MAX_READERS = 1_000;
const TRIES = 5;
const TIMEOUT_MS = 1_000;
/** When a process ends, nobody waits for more. */
const LEAVE_TIMEOUT_MS = 200;

type Scripts = Record<'tidemarkAnnounce', (...args: (string | number)[]) => Promise<string>>;

export class Roster {
  readonly #client: RedisClient & Scripts;
  readonly #list: string;

  constructor({ client, prefix }: RosterOptions) {
    client.defineCommand('tidemarkAnnounce', { lua: scriptText('announce') });
    this.#client = client as RedisClient & Scripts; // defineCommand adds it, untyped
    this.#list = `${prefix}:{readers}`;
  }

  /** @throws when Redis does not answer, or refuses */
  async announce(announcement: Announcement): Promise<void> {
    const entry = encodeAnnouncement(announcement);
    for (let tries = 0; tries < TRIES; tries++) {
      const { raw, ids } = await this.#ids();
      // In one order, so that the list changes only when someone comes or goes.
      const all = [...new Set([...ids, announcement.id])].toSorted();
      const keys = [this.#list, this.#key(announcement.id), ...all.map((id) => this.#key(id))];
      const args = [raw, entry, ROSTER_TTL_MS, ...all];
      const reply = await this.#call(() =>
        this.#client.tidemarkAnnounce(keys.length, ...keys, ...args),
      );
      if (reply === 'announced') return;
    }
    throw new UnavailableError(
      'Expected a list of readers that holds still, it changed each time.',
    );
  }

  /** Takes a reader's entry away; its id leaves the list when another one announces itself. */
  async leave(id: string): Promise<void> {
    await this.#call(() => this.#client.del(this.#key(id)), LEAVE_TIMEOUT_MS);
  }

  /** Those who are there, by host and start.
   * @throws when Redis does not answer, or refuses */
  async read(): Promise<Announcement[]> {
    const { ids } = await this.#ids();
    if (ids.length === 0) return [];
    const entries = await this.#call(() => this.#client.mget(ids.map((id) => this.#key(id))));
    return entries
      .flatMap((entry, index) => {
        const announcement = decodeAnnouncement(entry ?? '');
        return announcement !== undefined && announcement.id === ids[index] ? announcement : [];
      })
      .toSorted((one, other) => orderOf(one).localeCompare(orderOf(other)));
  }

  async #ids(): Promise<{ raw: string; ids: string[] }> {
    const [raw] = await this.#call(() => this.#client.mget(this.#list));
    const ids = (raw ?? '').split(' ').filter((id) => READER_ID.test(id));
    return { raw: raw ?? '', ids: [...new Set(ids)].slice(0, MAX_READERS) };
  }

  #key(id: string): string {
    return `${this.#list}:${id}`;
  }

  #call<T>(task: () => Promise<T>, timeoutMs = TIMEOUT_MS): Promise<T> {
    const late = () => new UnavailableError(`Expected Redis to answer within ${timeoutMs} ms.`);
    return within(task(), timeoutMs, late);
  }
}

function orderOf({ host, startedAt, id }: Announcement): string {
  return `${host} ${startedAt} ${id}`;
}
