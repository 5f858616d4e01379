/** A slot of a cluster that moves from one master to another, as an operator moves it. */
import type { RedisTopology } from '../chaos/redis-topology.js';
import { until } from './until.js';

/** Moves the slot of `key` to another master, and lets `meanwhile` happen when all keys have gone and
 * the old one still answers ASK. */
export async function moveSlot(
  redis: RedisTopology,
  key: string,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const from = await redis.master(key);
  const slot = Number(await from.call('CLUSTER', 'KEYSLOT', key));
  const masters = (
    await Promise.all(
      redis.servers.map(async (node) => ((await node.role()) === 'master' ? [node] : [])),
    )
  ).flat();
  const to = masters.find((node) => node !== from);
  if (to === undefined) throw new Error('Expected another master');
  const [fromId, toId] = [await from.call('CLUSTER', 'MYID'), await to.call('CLUSTER', 'MYID')];
  await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId));
  await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId));
  await until('all keys of the slot to be moved', async () => {
    const keys = (await from.call('CLUSTER', 'GETKEYSINSLOT', slot, 1_000)) as string[];
    if (keys.length === 0) return true;
    const place = ['127.0.0.1', to.port, '', 0, 5_000, 'REPLACE'];
    return void (await from.call('MIGRATE', ...place, 'KEYS', ...keys));
  });
  await meanwhile();
  for (const node of [to, from, ...masters.filter((one) => one !== to && one !== from)]) {
    await node.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId));
  }
}
