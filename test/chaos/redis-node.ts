/**
 * One Redis process of a topology: a data node or a sentinel, with commands as an operator sends
 * them. It may be known to the others, and to clients, by another port than its own, so that a proxy
 * can stand in front of it; an operator's commands go to it directly.
 */
import { mkdir } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { Redis, type RedisOptions, ReplyError } from 'ioredis';
import { findRedis, required } from '../../src/demo/programs.js';
import { pingRedis } from '../../src/demo/redis.js';
import { freePort, LOOPBACK, ServerProcess } from '../../src/demo/server-process.js';

export type RedisRole = 'master' | 'replica' | 'sentinel';

/** Files of certificates: each node shows `cert`, and wants one that `ca` signed. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The same for a client in this process. */
  readonly client: ConnectionOptions;
}

export interface RedisNodeOptions {
  readonly name: string;
  /** Created; a `dump.rdb` in it is loaded at the start. */
  readonly folder: string;
  readonly args: (node: { readonly port: number; readonly announcedPort: number }) => string[];
  readonly announce?: ((port: number) => Promise<number>) | undefined;
  readonly tls?: TlsFiles | undefined;
  /** What an operator has to give. */
  readonly password?: string | undefined;
}

/** Nobody asks a node that is paused, so this is for a machine that is busy. */
const COMMAND_TIMEOUT_MS = 10_000;
/** The longest that an orderly end waits for replicas that are behind. */
const SHUTDOWN_TIMEOUT_S = 3;

export class RedisNode {
  #running = false;
  #paused = false;

  private constructor(
    readonly name: string,
    readonly folder: string,
    /** Its own; nobody else may know it. */
    readonly port: number,
    /** The one by which clients and other nodes know it. */
    readonly announcedPort: number,
    private readonly args: readonly string[],
    private readonly own: ServerProcess,
    private readonly how: Pick<RedisOptions, 'tls' | 'password'>,
  ) {}

  /** Not yet started. */
  static async create(options: RedisNodeOptions): Promise<RedisNode> {
    const { name, folder, tls, password } = options;
    await mkdir(folder, { recursive: true });
    const port = await freePort();
    const announcedPort = (await options.announce?.(port)) ?? port;
    const client = tls && { tls: tls.client };
    const own = new ServerProcess({
      name,
      folder,
      program: required(findRedis(), 'Redis'),
      answers: () => pingRedis({ port, ...client }),
    });
    const args = options.args({ port, announcedPort });
    return new RedisNode(name, folder, port, announcedPort, args, own, {
      ...client,
      ...(password !== undefined && { password }),
    });
  }

  get running(): boolean {
    return this.#running;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** As it was at first, a `dump.rdb` and a file of the cluster aside; `args` are more arguments. */
  async start(args: readonly string[] = []): Promise<void> {
    await this.own.start([...this.args, ...args]);
    this.#running = true;
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#paused = false;
    await this.own.stop();
  }

  /** An orderly end, with all that it has in `dump.rdb`: what it acknowledged is there at the start.
   * @throws Error when it refuses, and goes on */
  async shutDown(): Promise<void> {
    await this.call('CONFIG', 'SET', 'shutdown-timeout', SHUTDOWN_TIMEOUT_S); // for its replicas
    try {
      await this.call('SHUTDOWN', 'SAVE');
    } catch (error) {
      if (error instanceof ReplyError) throw error; // its answer to an order it obeys is an end
    }
    await this.stop();
  }

  async kill(): Promise<void> {
    this.#running = false;
    this.#paused = false;
    await this.own.kill();
  }

  pause(): void {
    this.#paused = this.#running;
    this.own.pause();
  }

  resume(): void {
    this.#paused = false;
    this.own.resume();
  }

  async role(): Promise<RedisRole> {
    const reply = await this.call('ROLE');
    const role = Array.isArray(reply) ? String(reply[0]) : 'none';
    return role === 'slave' ? 'replica' : (role as RedisRole); // the three that Redis has
  }

  /** A replica that has what its master has; a master has what it has. */
  async inStep(): Promise<boolean> {
    const info = String(await this.call('INFO', 'replication'));
    return info.includes('role:master') || info.includes('master_link_status:up');
  }

  /** One command on a connection of its own. */
  async call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return await this.operate((redis) => redis.call(command, ...args));
  }

  async operate<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({
      host: LOOPBACK,
      port: this.port,
      ...this.how,
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      connectTimeout: COMMAND_TIMEOUT_MS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      enableReadyCheck: false,
    });
    redis.on('error', () => undefined); // the command's own failure is told
    try {
      return await use(redis);
    } finally {
      redis.disconnect();
    }
  }
}
