/** A cluster of three masters with a replica each, put together without redis-cli. */
import { join } from 'node:path';
import { freePort, LOOPBACK } from '../../src/demo/server-process.js';
import { until } from '../support/until.js';
import { RedisNode } from './redis-node.js';
import {
  alive,
  byPort,
  cutReplication,
  dataArgs,
  joinReplication,
  stopAll,
  urlOf,
} from './redis-parts.js';
import type { FailoverCause, RedisTopology, RedisTopologyOptions } from './redis-topology.js';

const SLOTS = 16_384;
const MASTERS = 3;
const NODES = 2 * MASTERS;
const NODE_TIMEOUT_MS = 1_000;

export async function startCluster(options: RedisTopologyOptions): Promise<RedisTopology> {
  const servers: RedisNode[] = [];
  try {
    const busPorts = await Promise.all(Array.from({ length: NODES }, freePort));
    for (const [index, busPort] of busPorts.entries()) {
      servers.push(await createNode(options, index, busPort));
    }
    await Promise.all(servers.map((node) => node.start()));
    await assemble(servers, busPorts);
  } catch (error) {
    await stopAll(servers);
    throw error;
  }
  return new ClusterTopology(options, servers);
}

class ClusterTopology implements RedisTopology {
  readonly kind = 'cluster';
  readonly sentinels = [];

  constructor(
    private readonly options: RedisTopologyOptions,
    readonly servers: readonly RedisNode[],
  ) {}

  url(url = {}): string {
    const ports = this.servers.map(({ announcedPort }) => announcedPort);
    return urlOf('-cluster', ports, '', this.options.tls !== undefined, url);
  }

  async master(key?: string): Promise<RedisNode> {
    const nodes = alive(this.servers);
    const slot = key === undefined ? 0 : Number(await nodes[0]?.call('CLUSTER', 'KEYSLOT', key));
    const owners = await Promise.all(nodes.map((node) => ownerOf(slot, node)));
    const [port = 0] = owners;
    if (owners.some((other) => other !== port)) throw new Error('Expected the nodes to agree');
    return byPort(this.servers, port);
  }

  async failover(key?: string, cause: FailoverCause = 'kill'): Promise<void> {
    const old = await until('a master', () => this.master(key));
    if (cause === 'kill') await old.kill();
    else old.pause();
    await until('another master', async () => {
      const master = await this.master(key);
      return master !== old && (await this.#isOk());
    });
  }

  async staleFailover(meanwhile: () => Promise<unknown>, key?: string): Promise<void> {
    await cutReplication(this.servers);
    await meanwhile();
    await this.failover(key);
    await joinReplication(alive(this.servers));
  }

  async restore(): Promise<void> {
    for (const node of this.servers) node.resume();
    await Promise.all(this.servers.map((node) => node.start()));
    await joinReplication(this.servers);
    await until('three masters, and a replica in step with each', () => isWhole(this.servers));
  }

  async stop(): Promise<void> {
    await stopAll(this.servers);
  }

  async #isOk(): Promise<boolean> {
    const states = await Promise.all(alive(this.servers).map((node) => stateOf(node)));
    return states.every((state) => state === 'ok');
  }
}

async function createNode(
  options: RedisTopologyOptions,
  index: number,
  busPort: number,
): Promise<RedisNode> {
  const name = `redis-${index}`;
  const folder = join(options.folder, name);
  const announce =
    options.tls === undefined ? '--cluster-announce-port' : '--cluster-announce-tls-port';
  return await RedisNode.create({
    name,
    folder,
    announce: options.announce,
    tls: options.tls,
    args: ({ port, announcedPort }) => [
      ...dataArgs({ port, folder }, options),
      ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'],
      ...['--cluster-node-timeout', String(NODE_TIMEOUT_MS), '--cluster-port', String(busPort)],
      // A replica takes over however old its data is; a master keeps its only replica.
      ...['--cluster-replica-validity-factor', '0', '--cluster-allow-replica-migration', 'no'],
      ...['--cluster-announce-ip', LOOPBACK, announce, String(announcedPort)],
      ...(options.tls === undefined ? [] : ['--tls-cluster', 'yes']),
    ],
  });
}

/** Nodes 0 to 2 get the slots, node 3 follows node 0, and so on. */
async function assemble(servers: readonly RedisNode[], busPorts: readonly number[]): Promise<void> {
  const [first] = servers;
  const ids: string[] = [];
  for (const [index, node] of servers.entries()) {
    ids.push(String(await node.call('CLUSTER', 'MYID')));
    await node.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    if (index >= MASTERS) continue;
    const from = Math.floor((SLOTS * index) / MASTERS);
    const to = Math.floor((SLOTS * (index + 1)) / MASTERS) - 1;
    await node.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
  }
  for (const [index, node] of servers.entries()) {
    if (index > 0) await first?.call('CLUSTER', 'MEET', LOOPBACK, node.port, busPorts[index] ?? 0);
  }
  for (const [index, node] of servers.entries()) {
    if (index < MASTERS) continue;
    const master = ids[index - MASTERS] ?? '';
    await until('the master to be known', () => node.call('CLUSTER', 'REPLICATE', master));
  }
  await until('a whole cluster', () => isWhole(servers));
}

async function stateOf(node: RedisNode): Promise<string | undefined> {
  return /cluster_state:(\w+)/.exec(String(await node.call('CLUSTER', 'INFO')))?.[1];
}

/** All nodes say the same: all is well, each master has slots, and a replica that is in step. */
async function isWhole(servers: readonly RedisNode[]): Promise<boolean> {
  for (const node of servers) {
    if ((await stateOf(node)) !== 'ok' || !(await node.inStep())) return false;
    const shards = await slotsOf(node);
    if (shards.length < MASTERS || shards.some(({ ports }) => ports.length !== 2)) return false;
  }
  return true;
}

interface Shard {
  readonly from: number;
  readonly to: number;
  /** The master's first, by which clients know them. */
  readonly ports: readonly number[];
}

async function slotsOf(node: RedisNode): Promise<Shard[]> {
  const reply = (await node.call('CLUSTER', 'SLOTS')) as [number, number, ...[string, number][]][]; // Redis's own shape
  return reply.map(([from, to, ...nodes]) => ({ from, to, ports: nodes.map(([, port]) => port) }));
}

async function ownerOf(slot: number, node: RedisNode): Promise<number | undefined> {
  const shards = await slotsOf(node);
  return shards.find(({ from, to }) => from <= slot && slot <= to)?.ports[0];
}
