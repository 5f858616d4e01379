/**
 * Long polls: a read of one key that is answered when it differs from what the client has, or when
 * its time is over. The client has what `If-None-Match` names; without it, it has nothing, and waits
 * for the key to exist.
 */
import type { FastifyRequest } from 'fastify';
import type { Reading, ReadOptions } from '../core/reading.js';
import type { Reader } from '../reader/reader.js';
import { InvalidRequestError, textInQuery } from './request.js';

/** Under the time after which the server gives up a connection without a byte. */
export const MAX_WAIT_MS = 60_000;

export const waitQuery = {
  type: 'object',
  properties: {
    wait: {
      type: 'string',
      pattern: '^\\d{1,6}(ms|s)$',
      description:
        'Up to 60s: wait so long for an answer that differs from If-None-Match; without that, for ' +
        'the key to exist',
    },
  },
} as const;

/** `?wait=30s` or `?wait=500ms`, in ms; 0 when there is none.
 * @throws InvalidRequestError unless it is at most MAX_WAIT_MS */
export function waitInQuery(request: FastifyRequest): number {
  if (request.raw.url?.includes('?') !== true) return 0;
  const text = textInQuery(request, 'wait');
  if (text === undefined) return 0;
  const [, digits, unit] = /^(\d{1,6})(ms|s)$/.exec(text) ?? [];
  const waitMs = Number(digits) * (unit === 's' ? 1_000 : 1);
  if (waitMs <= MAX_WAIT_MS) return waitMs;
  throw new InvalidRequestError('Expected wait to be a time like 30s or 500ms, 60s at most.');
}

/** Whether the tag is among those that a client has. */
export function isKnown(etag: string | undefined, known: readonly string[] | undefined): boolean {
  if (etag === undefined || known === undefined) return false;
  return known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag);
}

export interface Wait {
  /** The tags of If-None-Match. */
  readonly known: readonly string[] | undefined;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** @throws as `reader.get` does, and UnavailableError when too many wait */
export async function readWhenChanged(
  reader: Pick<Reader, 'get' | 'changed'>,
  key: string,
  read: ReadOptions | undefined,
  { known, waitMs, signal }: Wait,
): Promise<Reading> {
  const isNews = ({ etag, found }: Reading) =>
    known === undefined ? found : !isKnown(etag, known);
  const first = await reader.get(key, read);
  if (isNews(first)) return first;
  const over = new AbortController();
  const endMs = performance.now() + waitMs;
  const end = () => over.abort();
  signal.addEventListener('abort', end);
  try {
    for (;;) {
      const timeoutMs = signal.aborted ? 0 : endMs - performance.now();
      // Before the read: a change that comes in between is not missed.
      const changed = reader.changed(key, { timeoutMs, signal: over.signal });
      const reading = await reader.get(key, read);
      if (isNews(reading)) return reading;
      if (!(await changed)) return await reader.get(key, read);
    }
  } finally {
    signal.removeEventListener('abort', end);
    over.abort();
  }
}
