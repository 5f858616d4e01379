/**
 * The announcer: tells who else looks at this data center that this reader runs, and how it stands.
 *
 * Invariant: the reader does not depend on it. An announcement that fails is counted and forgotten;
 * the next one comes in its time. Its timer keeps no process alive.
 */
import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Counter, type Registry } from 'prom-client';
import type { Announcement } from '../core/announcement.js';
import { UnavailableError } from '../errors.js';
import { ROSTER_TTL_MS, type Roster } from '../redis/roster.js';
import { packageVersion } from '../version.js';
import type { ReaderStatus } from './status.js';

export interface AnnouncerOptions {
  readonly roster: Roster;
  readonly table: string;
  /** Where the read app of this process can be asked. */
  readonly advertiseUrl?: string | undefined;
  readonly status: () => ReaderStatus;
  readonly reads: Announcement['reads'];
  readonly registry: Registry;
}

const EVERY_MS = ROSTER_TTL_MS / 3;
/** How soon it is told that the reader is ready, or stale, or not any more. */
const LOOK_EVERY_MS = 500;

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #self: Pick<Announcement, 'id' | 'host' | 'pid' | 'software' | 'startedAt'>;
  readonly #failures: Counter;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #announcedAtMs = 0;
  #announcedState = '';
  /** Announcements are written one after another. */
  #tail: Promise<void> = Promise.resolve();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    const host =
      hostname()
        .replaceAll(/[^\w.-]/g, '-')
        .slice(0, 64) || 'unknown';
    this.#self = {
      id: `${host}:${process.pid}:${randomBytes(4).toString('hex')}`,
      host,
      pid: process.pid,
      software: packageVersion(),
      startedAt: new Date().toISOString(),
    };
    this.#failures = new Counter({
      name: 'tidemark_roster_failures_total',
      help: 'Times that this reader could not tell Redis that it runs.',
      registers: [options.registry],
    });
  }

  /** Announces now, and from now on. */
  start(): void {
    if (this.#isClosed) return;
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    this.announce();
  }

  #look(): void {
    const isDue = performance.now() - this.#announcedAtMs >= EVERY_MS;
    if (isDue || this.#state() !== this.#announcedState) this.announce();
  }

  #state(): string {
    const { ready, stale } = this.#options.status();
    return `${ready} ${stale}`;
  }

  /** Announces now. */
  announce(): void {
    this.#announcedAtMs = performance.now();
    this.#announcedState = this.#state();
    this.#tail = this.#tail.then(async () => {
      if (this.#isClosed) return;
      try {
        await this.#options.roster.announce(this.#announcement());
      } catch {
        this.#failures.inc();
      }
    });
  }

  /** Says that this reader is gone. */
  async stop(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    if (this.#timer === undefined) return;
    await this.#tail;
    await this.#options.roster.leave(this.#self.id).catch(() => undefined); // it ends by itself
  }

  /** All readers of this table. @throws UnavailableError when Redis does not answer */
  async readers(): Promise<Announcement[]> {
    try {
      const all = await this.#options.roster.read();
      return all.filter(({ table }) => table === this.#options.table);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UnavailableError(
        `Expected Redis to say which readers there are, got: ${reason} Try again later.`,
        { cause: error },
      );
    }
  }

  #announcement(): Announcement {
    const { table, advertiseUrl, status, reads } = this.#options;
    const { applied, head, ageMs, ready, stale, redis } = status();
    const versions = redis.marks.map(({ version }) => version);
    return {
      ...this.#self,
      ...(advertiseUrl === undefined ? {} : { url: advertiseUrl }),
      seenAt: new Date().toISOString(),
      table,
      applied,
      head,
      stalenessMs: ageMs,
      mark: versions.includes(null) ? null : Math.min(...versions.map(Number)),
      generation: generationOf(redis.marks),
      asked: redis.asked,
      reads: { ...reads },
      ready,
      stale,
    };
  }
}

/** One name for the generations of all buckets; null while any of them is not trusted. */
function generationOf(marks: ReaderStatus['redis']['marks']): string | null {
  const names = marks.map(({ generation }) => generation);
  if (names.includes(null)) return null;
  const [first = null, second] = names;
  if (second === undefined) return first;
  return createHash('sha256').update(names.join(' ')).digest('base64url').slice(0, 12);
}
