/**
 * Asks all readers of a table to start again with empty caches: one new generation in each bucket, at
 * the position of its mark, whose name says what it is (core/mark.ts). That makes every entry in Redis
 * unreachable at once, however many there are; each reader drops its own when its next turn sees it.
 *
 * Invariant: a mark is replaced only as it was read, and its position stays, so that nothing is
 * vouched for that was not before.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { askedIn, generationName } from '../core/mark.js';
import { UnavailableError } from '../errors.js';
import { Roster } from '../redis/roster.js';
import { type RedisClient, RedisTier } from '../redis/tier.js';

export interface AskRebaseOptions {
  readonly client: RedisClient;
  readonly keyPrefix: string;
  readonly table: string;
  readonly redisBuckets: number;
  /** How long readers are waited for, in ms. */
  readonly patienceMs?: number;
}

export interface AskedRebase {
  /** Its number: `asked` of the readers that have followed. */
  readonly asked: number;
  readonly buckets: number;
  /** Buckets that have a new generation; the others have none at all, and get theirs from readers. */
  readonly begun: number;
  /** Those who run, and whether they have followed. */
  readonly readers: readonly { readonly id: string; readonly followed: boolean }[];
}

const PATIENCE_MS = 10_000;
const AGAIN_AFTER_MS = 50;
const TIMEOUT_MS = 2_000;
const A_MOMENT = 1;

/** @throws UnavailableError when there are no marks, or Redis does not answer */
export async function askForRebase(options: AskRebaseOptions): Promise<AskedRebase> {
  const { client, keyPrefix, table, redisBuckets, patienceMs = PATIENCE_MS } = options;
  const endMs = performance.now() + patienceMs;
  const tier = new RedisTier({
    ...{ client, table, prefix: keyPrefix, buckets: redisBuckets, timeoutMs: TIMEOUT_MS },
    ...{ ttlMs: A_MOMENT, negativeTtlMs: A_MOMENT, random: Math.random }, // it stores no entry
  });
  const { asked, begun } = await beginAll(tier, endMs);
  const roster = new Roster({ client, prefix: keyPrefix });
  for (;;) {
    const readers = (await roster.read()).filter((reader) => reader.table === table);
    const followers = readers.map((one) => ({ id: one.id, followed: one.asked >= asked }));
    if (followers.every(({ followed }) => followed) || performance.now() > endMs) {
      return { asked, begun, buckets: redisBuckets, readers: followers };
    }
    await delay(AGAIN_AFTER_MS);
  }
}

/** Readers move the marks meanwhile: what was not as it was read is tried again. */
async function beginAll(tier: RedisTier, endMs: number): Promise<{ asked: number; begun: number }> {
  let asked = 0;
  for (;;) {
    const marks = (await tier.marks()).flatMap(({ mark, ...stored }) =>
      mark === undefined ? [] : { ...stored, mark },
    );
    const known = Math.max(0, ...marks.map(({ mark }) => askedIn(mark.generation)));
    if (asked === 0) asked = Math.max(Date.now(), known + 1);
    const due = marks.filter(({ mark }) => askedIn(mark.generation) < asked);
    if (marks.length > 0 && due.length === 0) return { asked, begun: marks.length };
    for (const stored of due) {
      const generation = generationName(randomBytes(9).toString('base64url'), asked);
      await tier.begin(stored, generation, stored.mark.position);
    }
    if (performance.now() > endMs) throw marks.length === 0 ? nobody() : unsteady();
    if (due.length === 0) await delay(AGAIN_AFTER_MS);
  }
}

function nobody(): UnavailableError {
  return new UnavailableError(
    'Expected a mark of readers in Redis, got none: none has run with this KEY_PREFIX, TABLE and ' +
      'REDIS_BUCKETS. Set them as on the readers.',
  );
}

function unsteady(): UnavailableError {
  return new UnavailableError(
    'Expected marks that hold still for a moment, they changed each time. Run it again.',
  );
}
