/** A Redis client that fails fast: a cache that does not answer is a miss, never a wait. */
import { Redis } from 'ioredis';
import { InvalidOptionsError } from '../errors.js';

export const REDIS_URL_SHAPE = 'redis://user:password@host:6379/0';

const CONNECT_TIMEOUT_MS = 1_000;
const MAX_RECONNECT_MS = 1_000;
/** A connection that brings nothing for so long while commands wait is given up. */
const SOCKET_TIMEOUT_MS = 5_000;

/** Connects in the background; commands fail at once until the connection is there.
 * @throws InvalidOptionsError when the URL is not of the shape of {@link REDIS_URL_SHAPE} */
export function openRedis(url: string, onError: (error: Error) => void): Redis {
  if (!URL.canParse(url) || !/^rediss?:$/.test(new URL(url).protocol)) {
    throw new InvalidOptionsError([
      `Expected REDIS_URL like ${REDIS_URL_SHAPE}, got another shape`,
    ]);
  }
  const client = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(MAX_RECONNECT_MS, 50 * 2 ** Math.min(times, 10)),
  });
  client.on('error', onError);
  return client;
}
