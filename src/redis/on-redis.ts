/** A connection to Redis for the time of one task of a person: with a reader's own client, which fails
 * fast, but waited for, and with errors that say what to do. */
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import { TidemarkError, UnavailableError } from '../errors.js';
import { within } from '../within.js';
import { openRedis } from './client.js';
import type { RedisClient } from './tier.js';

const AGAIN_AFTER_MS = 50;
const CONNECT_TIMEOUT_MS = 5_000;

/** Gives `use` a connection that is ready, and closes it afterwards.
 * @throws UnavailableError when it cannot be had, or breaks */
export async function onRedis<T>(
  url: string,
  limits: { readonly connectMs?: number; readonly totalMs?: number },
  use: (client: RedisClient) => Promise<T>,
): Promise<T> {
  let told: string | undefined;
  const client = openRedis(url, ({ message }) => {
    told = firstWords(message);
  });
  try {
    const { connectMs = CONNECT_TIMEOUT_MS, totalMs } = limits;
    const endMs = performance.now() + connectMs;
    while (!isReady(client)) {
      if (performance.now() > endMs) throw unavailable(told ?? 'no answer');
      await delay(AGAIN_AFTER_MS);
    }
    if (totalMs === undefined) return await use(client);
    return await within(use(client), totalMs, () => unavailable('silence'));
  } catch (error) {
    const isBug = error instanceof TypeError || error instanceof RangeError;
    if (isBug || error instanceof TidemarkError) throw error;
    throw unavailable(told ?? firstWords(String(error)), error);
  } finally {
    client.disconnect();
  }
}

/** A cluster connects to a node when it is first asked for something, and refuses that. */
function isReady(client: RedisClient): boolean {
  if (client.status !== 'ready' || !(client instanceof Cluster)) return client.status === 'ready';
  const masters = client.nodes('master');
  for (const node of masters.filter(({ status }) => status === 'wait')) {
    node.connect().catch(() => {}); // told by an event of the client
  }
  return masters.every(({ status }) => status === 'ready');
}

function unavailable(got: string, cause?: unknown): UnavailableError {
  return new UnavailableError(
    `Expected Redis (REDIS_URL) to answer, got ${got}. Check that it runs, can be reached ` +
      'from here, and that user, password and TLS in the URL are right.',
    { cause },
  );
}

/** Enough to name an error; not what it was about. */
export function firstWords(message: string): string {
  return message.split(/[:,.'"]/)[0]?.slice(0, 60) ?? '';
}
