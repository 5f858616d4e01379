/**
 * One Redis on a loopback port. It saves nothing by itself, so a restart is a restart with nothing,
 * unless a `dump.rdb` lies in its folder (send SAVE, or put an older one there).
 */
import { mkdir } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { findRedis, required } from './programs.js';
import { freePort, LOOPBACK, ServerProcess } from './server-process.js';

// Many, so that each test can have its own.
const DATABASES = 10_000;

export interface RedisServer {
  readonly host: string;
  readonly port: number;
  url(): string;
  /** Where its `dump.rdb` is. */
  readonly folder: string;
  /** `args` are more arguments of redis-server, such as `['--maxmemory', '4mb']`. */
  start(options?: { args?: string[] }): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
}

/** Makes a Redis in `folder` (which it creates), not yet started. */
export async function createRedis(folder: string): Promise<RedisServer> {
  const program = required(findRedis(), 'Redis');
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const own = new ServerProcess({ name: 'redis', folder, program, answers: () => ping(port) });
  const fixed = ['--bind', LOOPBACK, '--port', String(port), '--dir', folder];
  const plain = ['--save', '', '--appendonly', 'no', '--databases', String(DATABASES)];
  return {
    host: LOOPBACK,
    port,
    folder,
    url: () => `redis://${LOOPBACK}:${port}`,
    start: ({ args = [] } = {}) => own.start([...fixed, ...plain, ...args]),
    stop: () => own.stop(),
    kill: () => own.kill(),
    pause: () => own.pause(),
    resume: () => own.resume(),
  };
}

/** Any answer will do, also that a password is wanted; only one that is loading must go on. */
async function ping(port: number): Promise<void> {
  const client = new Redis(port, LOOPBACK, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 1_000,
    enableReadyCheck: false,
  });
  client.on('error', () => {}); // the rejected promise below says the same
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    if (!/NOAUTH|WRONGPASS/.test(String(error))) throw error;
  } finally {
    client.disconnect();
  }
}
