/**
 * All that a run consists of: the servers of both data centers, Redis, two write apps, the readers,
 * the load, and the log of A on its way to the checker.
 *
 * Invariant: what has been started is ended by `stop`, in reverse order, also by a start that fails.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { splitSql } from '../../src/core/sql-script.js';
import { randomPassword } from '../../src/demo/database-server.js';
import type { Flavor } from '../../src/demo/server-kind.js';
import { migrate } from '../../src/mysql/migrate.js';
import { MIGRATIONS_FOLDER } from '../../src/mysql/migration-files.js';
import { AppSlot } from './apps.js';
import type { Checker } from './checker.js';
import { READERS, type RedisKind, WRITE_APPS } from './fault.js';
import { makeReaders } from './make-readers.js';
import { FaultProxy } from './proxy.js';
import { Random } from './random.js';
import { ReadApp } from './read-app.js';
import type { ReaderPlace } from './reader-place.js';
import { bucketTag } from './redis-scan.js';
import { type RedisNode, type RedisTopology, startRedisTopology } from './redis-topology.js';
import { Servers } from './servers.js';
import { connectTo, SourceLog } from './source-log.js';
import { Workload } from './workload.js';

/** Of the writes that are acked: their versions are demanded by some reads. */
const TOLD_SHARE = 0.1;

export const READER_USER = 'tidemark_reader';

export interface StageOptions {
  readonly seed: number;
  readonly flavor: Flavor;
  readonly redis: RedisKind;
  readonly folder: string;
  readonly checker: Checker;
  readonly readsPerSecond: number;
  /** A planted bug: one reader answers from a memory of its own. */
  readonly lying?: boolean;
}

export class Stage {
  /** While history is being rewritten, nobody looks at the log. */
  isFailingOver = false;

  private constructor(
    readonly flavor: Flavor,
    readonly buckets: number,
    readonly servers: Servers,
    readonly redis: RedisTopology,
    readonly log: SourceLog,
    readonly workload: Workload,
    readonly writeApps: readonly AppSlot[],
    readonly readers: readonly ReaderPlace[],
    readonly checker: Checker,
    private readonly stops: (() => Promise<unknown>)[],
  ) {}

  static async start(options: StageOptions): Promise<Stage> {
    const { flavor, folder, checker } = options;
    const random = new Random(options.seed ^ 0x5eed);
    const buckets = options.redis === 'cluster' ? 4 : 1 + (options.seed % 2);
    const stops: (() => Promise<unknown>)[] = [];
    try {
      const servers = await Servers.start(flavor, join(folder, 'mysql'), random.next);
      stops.push(() => servers.kill());
      const readerPassword = await migrateA(servers);
      const { redis, proxyFor } = await startRedis(options, random, stops);
      await servers.caughtUp();
      const log = new SourceLog(servers.a, (rows) => checker.truth(rows));
      stops.push(async () => log.close());
      const readers: ReaderPlace[] = [];
      const token = randomBytes(8).toString('hex');
      const env = { ...process.env, LOG_LEVEL: 'warn' };
      const writeEnv = { ...env, MYSQL_A_URL: servers.a.url(), WRITE_TOKENS: token };
      const writeApps = WRITE_APPS.map((name) => new AppSlot(name, 'write', writeEnv));
      for (const app of writeApps) {
        stops.push(() => app.kill());
        await app.start();
      }
      const workload = new Workload({
        ...{ a: servers.a, token, random: random.fork() },
        writeUrls: writeApps.map((app) => () => app.url),
        tell: (record) => {
          checker.write(record);
          if (record.version === undefined || !random.chance(TOLD_SHARE)) return;
          for (const reader of readers) reader.wrote?.(record.key, record.version);
        },
      });
      stops.push(() => workload.stop());
      const { database } = servers.b.endpoint;
      const mysqlUrl = (port: number) =>
        `mysql://${READER_USER}:${readerPassword}@127.0.0.1:${port}/${database}`;
      const proxies = await Promise.all(
        READERS.map(() =>
          FaultProxy.start({ target: () => servers.b.endpoint.port, random: random.next }),
        ),
      );
      stops.push(() => Promise.all(proxies.map((proxy) => proxy.close())));
      readers.push(
        ...(await makeReaders({
          ...{ mysqlUrl, buckets, checker, random, workload, env },
          mysqlProxies: proxies,
          redisProxyFor: proxyFor,
          lying: options.lying ?? false,
          readsPerSecond: options.readsPerSecond,
          connectionsOfB: () => servers.connectionsSeen,
        })),
      );
      for (const reader of readers) {
        stops.push(async () => {
          await Promise.all([reader.kill(), reader.stopReading()]);
        });
        await reader.start();
      }
      return new Stage(
        ...([flavor, buckets, servers, redis, log, workload] as const),
        ...([writeApps, readers, checker, stops] as const),
      );
    } catch (error) {
      await stopAll(stops);
      throw error;
    }
  }

  /** All that are processes of the command line. */
  get apps(): readonly AppSlot[] {
    const readApps = this.readers.filter((reader) => reader instanceof ReadApp);
    return [...this.writeApps, ...readApps.map(({ slot }) => slot)];
  }

  reader(name: string): ReaderPlace {
    const reader = this.readers.find((one) => one.name === name);
    if (reader === undefined) throw new RangeError(`Expected a reader, got ${name}.`);
    return reader;
  }

  writeApp(name: string): AppSlot {
    const app = this.writeApps.find((one) => one.name === name);
    if (app === undefined) throw new RangeError(`Expected a write app, got ${name}.`);
    return app;
  }

  /** The node that holds a bucket. */
  redisMaster(bucket = 0): Promise<RedisNode> {
    return this.redis.master(bucketTag(bucket, this.buckets));
  }

  async stop(): Promise<void> {
    await stopAll(this.stops);
  }
}

async function stopAll(stops: (() => Promise<unknown>)[]): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

/** The migrations, the run's own record, and the readers' account. @returns its password */
async function migrateA({ a }: Servers): Promise<string> {
  const password = randomPassword();
  const connection = await connectTo(a);
  try {
    await migrate(connection);
    await connection.query(`CREATE USER '${READER_USER}'@'%' IDENTIFIED BY ?`, [password]);
    const grants = await readFile(join(MIGRATIONS_FOLDER, 'grant_reader.sql'), 'utf8');
    for (const statement of splitSql(grants)) await connection.query(statement);
  } finally {
    connection.destroy();
  }
  await SourceLog.setUp(a);
  return password;
}

/** A proxy for each reader in front of the one server, or one in front of each node, for all. */
async function startRedis(
  { redis: kind, folder }: StageOptions,
  random: Random,
  stops: (() => Promise<unknown>)[],
) {
  const shared: FaultProxy[] = [];
  const proxyTo = async (port: number) => {
    const proxy = await FaultProxy.start({ target: () => port, random: random.next });
    stops.push(() => proxy.close());
    return proxy;
  };
  const announce = async (port: number) => {
    const proxy = await proxyTo(port);
    shared.push(proxy);
    return proxy.port;
  };
  const args = ['--enable-debug-command', 'local', '--lua-time-limit', '200'];
  const redis = await startRedisTopology({
    ...{ kind, folder: join(folder, 'redis'), args },
    ...(kind === 'standalone' ? {} : { announce }),
  });
  stops.push(() => redis.stop());
  const proxyFor = async () => {
    if (kind !== 'standalone') return { url: redis.url(), proxies: shared };
    const [main] = redis.servers;
    const proxy = await proxyTo(main?.port ?? 0);
    return { url: `redis://127.0.0.1:${proxy.port}`, proxies: [proxy] };
  };
  return { redis, proxyFor };
}
