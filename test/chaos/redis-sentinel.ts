/** A master with two replicas, and three sentinels that agree who is the master. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LOOPBACK } from '../../src/demo/server-process.js';
import { until } from '../support/until.js';
import { RedisNode } from './redis-node.js';
import {
  alive,
  byPort,
  cutReplication,
  dataArgs,
  joinReplication,
  listenArgs,
  stopAll,
  urlOf,
} from './redis-parts.js';
import type { FailoverCause, RedisTopology, RedisTopologyOptions } from './redis-topology.js';

const MASTER_NAME = 'mymaster';
const DATA_NODES = 3;
const SENTINELS = 3;
const DOWN_AFTER_MS = 1_000;
const FAILOVER_TIMEOUT_MS = 3_000;

export async function startSentinel(options: RedisTopologyOptions): Promise<RedisTopology> {
  const servers: RedisNode[] = [];
  const sentinels: RedisNode[] = [];
  const all = () => [...servers, ...sentinels];
  try {
    for (let index = 0; index < DATA_NODES; index++) {
      const node = await createDataNode(options, index);
      servers.push(node);
      await node.start(index === 0 ? [] : replicaOf(servers[0]));
    }
    await inStep(servers);
    for (let index = 0; index < SENTINELS; index++) {
      const sentinel = await createSentinel(options, index, servers[0]);
      sentinels.push(sentinel);
      await sentinel.start();
    }
    await agree(sentinels);
  } catch (error) {
    await stopAll(all());
    throw error;
  }
  return new SentinelTopology(options, servers, sentinels);
}

class SentinelTopology implements RedisTopology {
  readonly kind = 'sentinel';

  constructor(
    private readonly options: RedisTopologyOptions,
    readonly servers: readonly RedisNode[],
    readonly sentinels: readonly RedisNode[],
  ) {}

  url(url = {}): string {
    const ports = this.sentinels.map(({ port }) => port);
    const tls = this.options.tls !== undefined;
    return urlOf('-sentinel', ports, `/${MASTER_NAME}`, tls, url);
  }

  async master(): Promise<RedisNode> {
    const ports = await Promise.all(
      alive(this.sentinels).map(async (sentinel) => {
        const address = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME);
        return Array.isArray(address) ? Number(address[1]) : 0;
      }),
    );
    const [port = 0] = ports;
    if (ports.some((other) => other !== port)) throw new Error('Expected sentinels to agree');
    return byPort(this.servers, port);
  }

  async failover(_key?: string, cause: FailoverCause = 'kill'): Promise<void> {
    const old = await until('a master', () => this.master());
    if (cause === 'kill') await old.kill();
    else old.pause();
    await until('another master', async () => {
      const master = await this.master();
      return master !== old && (await master.role()) === 'master';
    });
  }

  async staleFailover(meanwhile: () => Promise<unknown>): Promise<void> {
    await cutReplication(this.servers);
    await meanwhile();
    await this.failover();
    await joinReplication(alive(this.servers));
  }

  async restore(): Promise<void> {
    for (const node of [...this.sentinels, ...this.servers]) node.resume();
    await Promise.all(this.sentinels.map((sentinel) => sentinel.start()));
    const master = await until('a master', async () => {
      const one = await this.master();
      return (await one.role()) === 'master' && one;
    });
    for (const node of this.servers) if (!node.running) await node.start(replicaOf(master));
    await joinReplication(this.servers);
    await until('one master, the others in step with it', async () => {
      const known = await this.master();
      for (const node of this.servers) {
        if ((await node.role()) !== (node === known ? 'master' : 'replica')) return false;
        if (!(await node.inStep())) return false;
      }
      return true;
    });
    await agree(this.sentinels);
  }

  async stop(): Promise<void> {
    await stopAll([...this.sentinels, ...this.servers]);
  }
}

async function createDataNode(options: RedisTopologyOptions, index: number): Promise<RedisNode> {
  const name = `redis-${index}`;
  const folder = join(options.folder, name);
  return await RedisNode.create({
    name,
    folder,
    announce: options.announce,
    tls: options.tls,
    args: ({ port, announcedPort }) => [
      ...dataArgs({ port, folder }, options),
      ...['--replica-announce-ip', LOOPBACK, '--replica-announce-port', String(announcedPort)],
    ],
  });
}

function replicaOf(master: RedisNode | undefined): string[] {
  if (master === undefined) throw new Error('Expected a master to follow');
  return ['--replicaof', LOOPBACK, String(master.announcedPort)];
}

/** Its configuration is a file, since it writes down there what it learns. */
async function createSentinel(
  options: RedisTopologyOptions,
  index: number,
  master: RedisNode | undefined,
): Promise<RedisNode> {
  if (master === undefined) throw new Error('Expected a master to watch');
  const name = `sentinel-${index}`;
  const folder = join(options.folder, name);
  const file = join(folder, 'sentinel.conf');
  const { sentinelPassword: password, tls } = options;
  await mkdir(folder, { recursive: true });
  const lines = [
    `sentinel monitor ${MASTER_NAME} ${LOOPBACK} ${master.announcedPort} 2`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${MASTER_NAME} ${FAILOVER_TIMEOUT_MS}`,
    `sentinel parallel-syncs ${MASTER_NAME} 2`,
    ...(password === undefined ? [] : [`requirepass ${password}`]),
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return await RedisNode.create({
    name,
    folder,
    tls,
    password,
    args: ({ port }) => [
      file,
      '--sentinel',
      ...['--bind', LOOPBACK, '--dir', folder],
      ...listenArgs(port, tls),
    ],
  });
}

async function inStep(servers: readonly RedisNode[]): Promise<void> {
  await until('the replicas to be in step', async () => {
    for (const node of servers) if (!(await node.inStep())) return false;
    return true;
  });
}

/** Resolves when each sentinel knows all the others and all replicas. */
async function agree(sentinels: readonly RedisNode[]): Promise<void> {
  await until('the sentinels to know each other', async () => {
    for (const sentinel of sentinels) {
      const info = String(await sentinel.call('INFO', 'sentinel'));
      const known = `status=ok,address=[^,]+,slaves=${DATA_NODES - 1},sentinels=${SENTINELS}\\b`;
      if (!new RegExp(known).test(info)) return false;
    }
    return true;
  });
}
