/**
 * Two data centers on one machine: a source in A, its replica and a Redis in B, with the real
 * servers and their real replication. For the demo, and for every test that needs a database.
 *
 * B replicates everything from the start of A's history, and nobody can write to it by accident.
 * `stop()` leaves no process and no folder.
 */
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Database,
  type DatabaseServer,
  type Flavor,
  randomPassword,
  type ServerKind,
} from './database-server.js';
import { atExit } from './exit.js';
import { mariadbKind } from './mariadb.js';
import { mysqlKind } from './mysql.js';
import { createRedis, type RedisServer } from './redis.js';
import { untilCaughtUp } from './replication.js';

export type { DatabaseServer, Endpoint, Flavor } from './database-server.js';
export type { RedisServer } from './redis.js';

export interface DataCentersOptions {
  flavor: Flavor;
  /** Created, and removed by `stop()`; a new one in the system's temporary folder by default. */
  folder?: string;
  /** Created in A before this resolves, empty; `tidemark` by default. */
  database?: string;
  /** False: the Redis is made, but not started. */
  redis?: boolean;
}

export interface DataCenters {
  readonly flavor: Flavor;
  readonly a: DatabaseServer;
  readonly b: DatabaseServer;
  readonly redis: RedisServer;
  readonly folder: string;
  /** Waits until B has executed all A has committed. */
  caughtUp(): Promise<void>;
  stopReplication(): Promise<void>;
  startReplication(): Promise<void>;
  /** Stops every server and removes the folder. */
  stop(): Promise<void>;
}

/** Starts both data centers; resolves when B has what A has. */
export async function startDataCenters(options: DataCentersOptions): Promise<DataCenters> {
  const { flavor, database = 'tidemark', redis: startsRedis = true } = options;
  const kind = flavor === 'mysql' ? mysqlKind() : mariadbKind();
  const folder = await makeFolder(options.folder);
  const forgetFolder = atExit(() => removeNow(folder));
  const opened: { kill(): Promise<void> }[] = [];
  try {
    const redis = await createRedis(join(folder, 'redis'));
    opened.push(redis);
    const replicationPassword = randomPassword();
    const create = async (role: 'source' | 'replica', name: string) => {
      const inFolder = join(folder, name);
      await mkdir(inFolder);
      const made = { folder: inFolder, database, replicationPassword };
      const server = await Database.create(kind, role, made);
      opened.push(server);
      return server;
    };
    const starting = [
      create('source', 'a'),
      create('replica', 'b'),
      startsRedis ? redis.start() : undefined,
    ] as const;
    await Promise.allSettled(starting); // also on an error: nothing may be left half started
    const [a, b] = await Promise.all(starting);
    const source = { ...a.endpoint, password: replicationPassword };
    await b.connected((connection) => kind.follow(connection, source));
    await a.query(`CREATE DATABASE IF NOT EXISTS \`${database}\``, [], '');
    const centers = new RunningDataCenters(kind, a, b, redis, folder, forgetFolder);
    await centers.caughtUp();
    return centers;
  } catch (error) {
    await Promise.all(opened.map((server) => server.kill()));
    await remove(folder);
    forgetFolder();
    throw error;
  }
}

class RunningDataCenters implements DataCenters {
  readonly flavor: Flavor;
  #stopping: Promise<void> | undefined;

  constructor(
    private readonly kind: ServerKind,
    readonly a: Database,
    readonly b: Database,
    readonly redis: RedisServer,
    readonly folder: string,
    private readonly forgetFolder: () => void,
  ) {
    this.flavor = kind.flavor;
  }

  async caughtUp(): Promise<void> {
    await untilCaughtUp(
      this.flavor,
      (sql, values) => this.a.query(sql, values, ''),
      (sql, values) => this.b.query(sql, values, ''),
    );
  }

  async stopReplication(): Promise<void> {
    await this.b.query(this.kind.stopReplication, [], '');
  }

  async startReplication(): Promise<void> {
    await this.b.query(this.kind.startReplication, [], '');
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  // Their data is removed with them, so nobody waits for orderly shutdowns.
  async #stop(): Promise<void> {
    await Promise.all([this.b.kill(), this.a.kill(), this.redis.kill()]);
    await remove(this.folder);
    this.forgetFolder();
  }
}

async function makeFolder(folder: string | undefined): Promise<string> {
  if (folder === undefined) return await mkdtemp(join(tmpdir(), 'tidemark-'));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

function removeNow(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}
