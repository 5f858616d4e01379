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
import { Database, type DatabaseServer, randomPassword } from './database-server.js';
import { atExit } from './exit.js';
import { mariadbKind } from './mariadb.js';
import { mysqlKind } from './mysql.js';
import { createRedis, type RedisServer } from './redis.js';
import { untilCaughtUp } from './replication.js';
import type { Flavor, ServerKind } from './server-kind.js';
import { ServerError } from './server-process.js';

export type { DatabaseServer } from './database-server.js';
export type { RedisServer } from './redis.js';
export type { Endpoint, Flavor } from './server-kind.js';

export interface DataCentersOptions {
  flavor: Flavor;
  /** Created, and removed by `stop()`; a new one in the system's temporary folder by default. */
  folder?: string;
  /** Created in A before this resolves, empty; `tidemark` by default. */
  database?: string;
  /** False: the Redis is made, but not started. */
  redis?: boolean;
  /** How many replicas are in B; one by default. */
  replicas?: number;
  /** More arguments of each database server. */
  serverArgs?: readonly string[];
  /** More arguments of each replica. */
  replicaArgs?: readonly string[];
}

export interface DataCenters {
  readonly flavor: Flavor;
  readonly a: DatabaseServer;
  /** The first of the replicas. */
  readonly b: DatabaseServer;
  readonly replicas: readonly DatabaseServer[];
  readonly redis: RedisServer;
  readonly folder: string;
  /** Waits until all replicas have executed all A has committed. */
  caughtUp(): Promise<void>;
  /** Of the first replica, unless another one is given. */
  stopReplication(replica?: DatabaseServer): Promise<void>;
  startReplication(replica?: DatabaseServer): Promise<void>;
  /** Stops every server and removes the folder. */
  stop(): Promise<void>;
}

/** Starts both data centers; resolves when B has what A has. */
export async function startDataCenters(options: DataCentersOptions): Promise<DataCenters> {
  const { flavor, database = 'tidemark', redis: startsRedis = true } = options;
  const { replicas: count = 1, serverArgs = [], replicaArgs = [] } = options;
  const kind = flavor === 'mysql' ? mysqlKind() : mariadbKind();
  const folder = await makeFolder(options.folder);
  const forgetFolder = atExit(() => removeNow(folder));
  const opened: { kill(): Promise<void> }[] = [];
  try {
    const redis = await createRedis(join(folder, 'redis'));
    opened.push(redis);
    const replicationPassword = randomPassword();
    const create = async (role: 'source' | 'replica', name: string, serverId: number) => {
      const inFolder = join(folder, name);
      await mkdir(inFolder);
      const args = [...serverArgs, ...(role === 'replica' ? replicaArgs : [])];
      const made = { folder: inFolder, database, replicationPassword, serverId, args };
      const server = await Database.create(kind, role, made);
      opened.push(server);
      return server;
    };
    const names = Array.from({ length: count }, (_, index) =>
      index === 0 ? 'b' : `b${index + 1}`,
    );
    const creatingA = create('source', 'a', 1);
    const creatingB = names.map((name, index) => create('replica', name, 2 + index));
    const startingRedis = startsRedis ? redis.start() : undefined;
    // Also on an error: nothing may be left half started.
    await Promise.allSettled([creatingA, ...creatingB, startingRedis]);
    const [a, replicas] = await Promise.all([creatingA, Promise.all(creatingB), startingRedis]);
    const source = { ...a.endpoint, password: replicationPassword };
    for (const b of replicas) await b.connected((connection) => kind.follow(connection, source));
    await a.query(`CREATE DATABASE IF NOT EXISTS \`${database}\``, [], '');
    const centers = new RunningDataCenters(kind, a, replicas, redis, folder, forgetFolder);
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
    readonly replicas: readonly Database[],
    readonly redis: RedisServer,
    readonly folder: string,
    private readonly forgetFolder: () => void,
  ) {
    this.flavor = kind.flavor;
  }

  get b(): Database {
    const [first] = this.replicas;
    if (first === undefined) throw new ServerError('Expected at least one replica, got none.');
    return first;
  }

  async caughtUp(): Promise<void> {
    for (const replica of this.replicas) {
      await untilCaughtUp(
        this.flavor,
        (sql, values) => this.a.query(sql, values, ''),
        (sql, values) => replica.query(sql, values, ''),
      );
    }
  }

  async stopReplication(replica: DatabaseServer = this.b): Promise<void> {
    await this.#own(replica).query(this.kind.stopReplication, [], '');
  }

  async startReplication(replica: DatabaseServer = this.b): Promise<void> {
    await this.#own(replica).query(this.kind.startReplication, [], '');
  }

  #own(replica: DatabaseServer): Database {
    const own = this.replicas.find((one) => one === replica);
    if (own === undefined) throw new ServerError('Expected a replica of these data centers.');
    return own;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  // Their data is removed with them, so nobody waits for orderly shutdowns.
  async #stop(): Promise<void> {
    await Promise.all([...this.replicas, this.a, this.redis].map((server) => server.kill()));
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
