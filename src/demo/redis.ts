/**
 * One Redis on a loopback port. It saves nothing by itself, so a restart is a restart with nothing,
 * unless a `dump.rdb` lies in its folder (send SAVE, or put an older one there).
 */
import { mkdir } from 'node:fs/promises';
import { Redis, type RedisOptions } from 'ioredis';
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
  const own = new ServerProcess({
    name: 'redis',
    folder,
    program,
    answers: () => pingRedis({ port }),
  });
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
export async function pingRedis(server: Pick<RedisOptions, 'port' | 'tls'>): Promise<void> {
  const client = new Redis({
    ...server,
    host: LOOPBACK,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 1_000,
    enableReadyCheck: false,
  });
  // It says more than the rejected promise below: a connection that wants a password is closed.
  let told = '';
  client.on('error', ({ message }) => {
    told = message;
  });
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    if (!/NOAUTH|WRONGPASS/.test(`${told} ${error}`)) throw error;
  } finally {
    client.disconnect();
  }
}
