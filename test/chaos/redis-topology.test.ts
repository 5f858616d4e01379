/** The topologies themselves: complete, able to fail over, losing what they should, and whole again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../support/until.js';
import { FaultProxy } from './proxy.js';
import {
  type RedisTopologyKind,
  type RedisTopologyOptions,
  startRedisTopology,
} from './redis-topology.js';

const KINDS: readonly RedisTopologyKind[] = ['standalone', 'sentinel', 'cluster'];

async function started(kind: RedisTopologyKind, more: Partial<RedisTopologyOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const topology = await startRedisTopology({ kind, folder, ...more });
  onTestFinished(() => topology.stop());
  return topology;
}

describe.each(KINDS)('%s', (kind) => {
  test('fails over to another master, and is whole again', async () => {
    const topology = await started(kind);
    const old = await topology.master('k');
    await old.call('SET', 'k', 'before');
    await until('replication', async () => Number(await old.call('WAIT', 1, 1_000)) >= 1);
    await topology.failover('k');
    const master = await topology.master('k');
    if (kind !== 'standalone') expect(master).not.toBe(old);
    expect(await master.call('GET', 'k')).toBe('before');
    await topology.restore();
    if (kind !== 'standalone') expect(await old.role()).toBe('replica');
    expect(await (await topology.master('k')).call('GET', 'k')).toBe('before');
  });

  test('loses in a stale failover what was acknowledged meanwhile', async () => {
    const topology = await started(kind);
    const old = await topology.master('k');
    await old.call('SET', 'k', 'before');
    await until('replication', async () => Number(await old.call('WAIT', 1, 1_000)) >= 1);
    await topology.staleFailover(() => old.call('SET', 'k', 'lost'), 'k');
    expect(await (await topology.master('k')).call('GET', 'k')).toBe('before');
    await topology.restore();
    expect(await (await topology.master('k')).call('GET', 'k')).toBe('before');
  });

  test('has all that it acknowledged after an orderly restart', async () => {
    const topology = await started(kind);
    const node = await topology.master('k');
    await node.call('SET', 'k', 'kept');
    await node.shutDown();
    expect(node.running).toBe(false);
    await node.start();
    // Asked itself: whether it is the master again, or will be told that another one is.
    expect(await node.call('DBSIZE')).toBe(1);
    await topology.restore();
    expect(await (await topology.master('k')).call('GET', 'k')).toBe('kept');
  });

  test.skipIf(kind === 'standalone')('is whole again after a replica was killed', async () => {
    const topology = await started(kind);
    const old = await topology.master('k');
    const replica = topology.servers.at(-1);
    expect(await replica?.role()).toBe('replica');
    await replica?.kill();
    expect(await topology.master('k')).toBe(old);
    await topology.restore();
    expect([await replica?.role(), await replica?.inStep()]).toEqual(['replica', true]);
  });

  test('lets a proxy stand in front of each data node', async () => {
    const proxies: FaultProxy[] = [];
    const announce = async (port: number) => {
      const proxy = await FaultProxy.start({ target: () => port, random: Math.random });
      proxies.push(proxy);
      onTestFinished(() => proxy.close());
      return proxy.port;
    };
    const topology = await started(kind, { announce });
    expect(proxies.length).toBe(kind === 'standalone' ? 1 : topology.servers.length);
    await topology.failover(undefined, 'pause');
    await topology.restore();
    const ports = proxies.map(({ port }) => port);
    expect(ports).toContain((await topology.master()).announcedPort);
  });
});

test('two sentinels of three name a new master, and one alone knows the one that there is', async () => {
  const topology = await started('sentinel');
  const [first, second] = topology.sentinels;
  const old = await topology.master();
  await first?.kill();
  await topology.failover();
  const master = await topology.master();
  expect(master).not.toBe(old);
  await second?.kill();
  expect(await topology.master()).toBe(master);
  await topology.restore();
  expect(topology.sentinels.map(({ running }) => running)).toEqual([true, true, true]);
});
