/**
 * What a reader says of itself to all who ask who is there: one JSON text in Redis.
 *
 * Invariant: what `decodeAnnouncement` returns has the shape it says, is bounded, and holds no
 * control characters, whoever wrote the text; it may be shown in a terminal.
 */
import { isPlainHttpUrl } from './http-url.js';

export interface Announcement {
  /** Of this process, and of no other before or after it: `host:pid:random`. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** The version of Tidemark that it runs. */
  readonly software: string;
  /** Where its read app can be asked, if it says so (ADVERTISE_URL). */
  readonly url?: string | undefined;
  /** By its own clock, ISO 8601, as is `seenAt`. */
  readonly startedAt: string;
  /** When it wrote this. */
  readonly seenAt: string;
  readonly table: string;
  readonly applied: number;
  readonly head: number;
  /** How long ago, at most, it was complete; null before it ever was. */
  readonly stalenessMs: number | null;
  /** The lowest of its buckets' marks; null when it knows of none. */
  readonly mark: number | null;
  /** Of the entries in Redis that it trusts: the same on all readers that share them. Null without. */
  readonly generation: string | null;
  /** The newest rebase that was asked for and that it has done; 0 when there was none. */
  readonly asked: number;
  /** Reads that each tier has answered since its start. */
  readonly reads: { readonly local: number; readonly redis: number; readonly mysql: number };
  readonly ready: boolean;
  readonly stale: boolean;
}

export const READER_ID = /^[\w.:-]{1,100}$/;
const MAX_CHARS = 8_192;

type Shape = (value: unknown) => boolean;
const text: Shape = (value) => typeof value === 'string' && /^[^\p{C}]{1,255}$/u.test(value);
const count: Shape = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const flag: Shape = (value) => typeof value === 'boolean';
const time: Shape = (value) => text(value) && !Number.isNaN(Date.parse(String(value)));
const orNull =
  (shape: Shape): Shape =>
  (value) =>
    value === null || shape(value);

const SHAPES: Readonly<Record<Exclude<keyof Announcement, 'reads'>, Shape>> = {
  id: (value) => typeof value === 'string' && READER_ID.test(value),
  host: text,
  pid: count,
  software: text,
  url: (value) => value === undefined || (text(value) && isPlainHttpUrl(String(value))),
  startedAt: time,
  seenAt: time,
  table: text,
  applied: count,
  head: count,
  stalenessMs: orNull(count),
  mark: orNull(count),
  generation: orNull(text),
  asked: count,
  ready: flag,
  stale: flag,
};

export function encodeAnnouncement(announcement: Announcement): string {
  return JSON.stringify(announcement);
}

/** The announcement in `encoded`, without anything else that is in it; undefined when it is none. */
export function decodeAnnouncement(encoded: string): Announcement | undefined {
  const found = encoded.length <= MAX_CHARS ? parse(encoded) : undefined;
  if (!isObject(found) || !isObject(found.reads)) return undefined;
  const { local, redis, mysql } = found.reads;
  if (![local, redis, mysql].every(count)) return undefined;
  const fields: [string, unknown][] = [['reads', { local, redis, mysql }]];
  for (const [name, isRight] of Object.entries(SHAPES)) {
    if (!isRight(found[name])) return undefined;
    if (found[name] !== undefined) fields.push([name, found[name]]);
  }
  return Object.fromEntries(fields) as unknown as Announcement; // each field was checked above
}

function parse(encoded: string): unknown {
  try {
    return JSON.parse(encoded);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
