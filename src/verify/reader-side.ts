/**
 * A reader, asked through its read app as any client does, for the truth at the page's as-of or later.
 * Its list answers are compared byte by byte with what they must be; from where they differ, its keys
 * are asked for one by one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Entry } from '../core/entry.js';
import { TidemarkError } from '../errors.js';
import { itemParts } from '../http/lists.js';
import type { Side } from './side.js';
import type { TruthPage } from './truth.js';

/** A reader that cannot be asked, and why. */
export class NotAskedError extends TidemarkError {
  readonly code = 'not_asked';
}

export interface ReaderSideOptions {
  readonly url: string;
  readonly collection: string;
  readonly token: string | undefined;
}

const TIMEOUT_MS = 10_000;
const TRIES = 6;
const FIRST_PAUSE_MS = 50;
/** It may answer another time. */
const PASSING = new Set([408, 429, 503, 504]);
const TOO_LARGE = 413;

export class ReaderSide implements Side {
  readonly #options: ReaderSideOptions;
  checked = 0;

  constructor(options: ReaderSideOptions) {
    this.#options = options;
  }

  async suspects({ asOf, entries }: TruthPage): Promise<string[]> {
    const keys = [...entries.keys()];
    const answer = await this.#ask(keys, asOf);
    this.checked += keys.length;
    return answer === undefined ? keys : differing(answer, entries);
  }

  async observe(key: string, minVersion: number): Promise<Entry | undefined> {
    const answer = await this.#ask([key], minVersion);
    return answer && oneOf(answer, key);
  }

  /** The bytes of its list of these keys; undefined when that is more than one answer may hold.
   * @throws NotAskedError when it does not answer */
  async #ask(keys: readonly string[], minVersion: number): Promise<Buffer | undefined> {
    const { url, collection, token } = this.#options;
    const base = `${url.replace(/\/$/, '')}/v1/${collection}`;
    const target = `${base}?keys=${keys.map(encodeURIComponent)}`;
    const headers = {
      'tidemark-min-version': String(Math.max(1, minVersion)),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    let reason = '';
    for (let tries = 0; tries < TRIES; tries++) {
      if (tries > 0) await delay(FIRST_PAUSE_MS * 2 ** (tries - 1));
      try {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const response = await fetch(target, { headers, signal, redirect: 'error' });
        const body = Buffer.from(await response.arrayBuffer());
        if (response.status === 200) return body;
        if (response.status === TOO_LARGE) return undefined;
        reason = `it answers ${response.status}`;
        if (!PASSING.has(response.status)) break;
      } catch (error) {
        reason = `it does not answer (${causeOf(error)})`;
      }
    }
    throw new NotAskedError(reason);
  }
}

/** The keys from the first one on at which the answer is not what the page says. */
function differing(answer: Buffer, entries: TruthPage['entries']): string[] {
  const start = /^\{"asOf":\d+,"items":\[/.exec(answer.toString('latin1', 0, 64))?.[0];
  const keys = [...entries.keys()];
  if (start === undefined) return keys;
  let at = start.length;
  const missing: string[] = [];
  for (const [index, key] of keys.entries()) {
    const entry = entries.get(key);
    if (entry === undefined || entry.value === null) {
      missing.push(key);
      continue;
    }
    const comma = index === missing.length ? '' : ',';
    const parts = [Buffer.from(comma), ...itemParts(key, entry.version, entry.value)];
    for (const part of parts) {
      const found = answer.subarray(at, at + part.length);
      if (!part.equals(found)) return [...missing, ...keys.slice(index)];
      at += part.length;
    }
  }
  const end = Buffer.from(`],"missing":${JSON.stringify(missing)}}`);
  return end.equals(answer.subarray(at)) ? [] : missing.length > 0 ? missing : keys;
}

const ITEM =
  /^\{"asOf":(\d{1,16}),"items":\[(?:\{"key":("(?:[^"\\]|\\.)*"),"version":(\d{1,16}),"(value|text)":)?/;
const ITEM_MAX_CHARS = 8_192;

/** The one key that the answer is about, its value byte for byte.
 * @throws NotAskedError when it is an answer of another kind */
function oneOf(answer: Buffer, key: string): Entry {
  const [start, asOf, name, version, kind] =
    ITEM.exec(answer.toString('utf8', 0, ITEM_MAX_CHARS)) ?? [];
  if (start === undefined) throw new NotAskedError('it answers in another format');
  const at = { version: Number(asOf), fingerprint: '' };
  if (name === undefined) return new Entry(at, 0, null);
  if (JSON.parse(name) !== key) throw new NotAskedError('it answers with another key');
  const end = answer.length - '}],"missing":[]}'.length;
  const raw = answer.subarray(Buffer.byteLength(start), end);
  const value = kind === 'value' ? raw : Buffer.from(String(JSON.parse(raw.toString('utf8'))));
  return new Entry(at, Number(version), value);
}

/** undici hides the reason one level down. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (typeof cause === 'object' && cause !== null && 'code' in cause) return String(cause.code);
  return cause instanceof Error ? cause.message : String(cause);
}
