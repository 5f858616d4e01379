/**
 * One Redis for clients, and a replica that nobody sees. At a failover the replica's data takes the
 * place of the server's own, behind the same port: what managed Redis and virtual addresses do.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LOOPBACK } from '../../src/demo/server-process.js';
import { until } from '../support/until.js';
import { RedisNode } from './redis-node.js';
import { alive, cutReplication, dataArgs, joinReplication, stopAll, urlOf } from './redis-parts.js';
import type { RedisTopology, RedisTopologyOptions } from './redis-topology.js';

export async function startStandalone(options: RedisTopologyOptions): Promise<RedisTopology> {
  const create = async (name: string, more: string[], announce?: typeof options.announce) => {
    const folder = join(options.folder, name);
    const args = ({ port }: { port: number }) => [...dataArgs({ port, folder }, options), ...more];
    return await RedisNode.create({ name, folder, args, announce, tls: options.tls });
  };
  const main = await create('redis', [], options.announce);
  // It follows the server itself, whatever a proxy does to clients.
  const replica = await create('replica', ['--replicaof', LOOPBACK, String(main.port)]);
  const servers = [main, replica];
  const inStep = () =>
    until('the replica to be in step', async () => {
      return (await replica.role()) === 'replica' && (await replica.inStep());
    });
  const takeOver = async () => {
    await replica.call('SAVE');
    await main.kill();
    await copyFile(join(replica.folder, 'dump.rdb'), join(main.folder, 'dump.rdb'));
    await main.start();
  };
  try {
    await Promise.all(servers.map((node) => node.start()));
    await inStep();
  } catch (error) {
    await stopAll(servers);
    throw error;
  }
  return {
    kind: 'standalone',
    servers,
    sentinels: [],
    url: (url = {}) => urlOf('', [main.announcedPort], '', options.tls !== undefined, url),
    master: async () => main,
    failover: takeOver,
    async staleFailover(meanwhile) {
      await cutReplication(servers);
      await meanwhile();
      await takeOver();
      await joinReplication(alive(servers));
    },
    async restore() {
      for (const node of servers) {
        node.resume();
        await node.start();
      }
      await joinReplication(servers);
      await inStep();
    },
    stop: () => stopAll(servers),
  };
}
