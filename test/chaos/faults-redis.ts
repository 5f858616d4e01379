/** What Redis does to its clients: it forgets, remembers too much, leaves, runs full, lies, hangs. */
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './fault.js';
import { nowMs } from './now.js';
import type { Random } from './random.js';
import { bucketTag } from './redis-scan.js';
import type { RedisNode } from './redis-topology.js';
import type { Stage } from './stage.js';

const PATIENCE_MS = 90_000;
const AGAIN_AFTER_MS = 200;
const JUNK_BYTES = 10_000;
const SNAPSHOT = 'chaos.rdb';

const JUNK_ENTRIES = 60;

const common = { targets: [['redis']], weight: 1 } as const;

const forgetting: readonly Fault[] = [
  {
    ...{ ...common, weight: 3, name: 'redis-flush', lastsMs: [0, 0], costMs: 100 },
    async start(stage, _target, random) {
      await (await anyMaster(stage, random)).call('FLUSHALL');
      return undefined;
    },
  },
  {
    ...{ ...common, name: 'redis-kill', lastsMs: [0, 1_500], costMs: 1_500 },
    async start(stage, _target, random) {
      const node = await anyMaster(stage, random);
      await rm(dumpOf(node), { force: true }); // so that it starts with nothing
      await node.kill();
      return async () => await stage.redis.restore();
    },
  },
  {
    ...{ ...common, name: 'redis-restore', lastsMs: [1_000, 5_000], costMs: 1_500 },
    async start(stage, _target, random) {
      const node = await anyMaster(stage, random);
      await node.call('SAVE');
      await copyFile(dumpOf(node), join(node.folder, SNAPSHOT));
      return async () => {
        await node.kill();
        await copyFile(join(node.folder, SNAPSHOT), dumpOf(node));
        await node.start(); // at once: where there are others, it may stay the master
        await stage.redis.restore();
        await rm(dumpOf(node), { force: true });
      };
    },
  },
  {
    ...{ ...common, name: 'redis-failover', lastsMs: [0, 1_000], costMs: 3_500 },
    async start(stage, _target, random) {
      // Where it ends half-way, `restore` makes all whole again, as after any other.
      await quietly(stage.redis.failover(anyTag(stage, random), random.pick(['kill', 'pause'])));
      return () => stage.redis.restore();
    },
  },
  {
    ...{ ...common, name: 'redis-stale-failover', lastsMs: [0, 500], costMs: 5_000 },
    async start(stage, _target, random) {
      const losingMs = random.between(300, 2_000);
      await quietly(stage.redis.staleFailover(() => delay(losingMs), anyTag(stage, random)));
      return () => stage.redis.restore();
    },
  },
];

/** Restarts that forget nothing, and ends of those that nobody reads from. */
const leaving: readonly Fault[] = [
  {
    ...{ ...common, name: 'redis-restart', lastsMs: [0, 1_500], costMs: 1_500 },
    async start(stage, _target, random) {
      const node = await anyMaster(stage, random);
      await node.shutDown();
      return async () => {
        await node.start(); // with its old role, whoever has taken its place meanwhile
        await stage.redis.restore();
        await rm(dumpOf(node), { force: true });
      };
    },
  },
  {
    ...{ ...common, name: 'redis-replica-kill', lastsMs: [0, 2_500], costMs: 1_500 },
    redis: ['sentinel', 'cluster'],
    async start(stage, _target, random) {
      await (await anyReplica(stage, random)).kill();
      return () => stage.redis.restore();
    },
  },
  {
    ...{ ...common, name: 'redis-replica-restart', lastsMs: [0, 1_000], costMs: 1_500 },
    redis: ['sentinel', 'cluster'],
    async start(stage, _target, random) {
      const node = await anyReplica(stage, random);
      await node.shutDown();
      return async () => {
        await stage.redis.restore();
        await rm(dumpOf(node), { force: true });
      };
    },
  },
  {
    // The two that are left are a majority: in half of the cases they have to name a new master.
    ...{ ...common, name: 'redis-sentinel-kill', lastsMs: [0, 2_500], costMs: 3_000 },
    redis: ['sentinel'],
    async start(stage, _target, random) {
      await random.pick(stage.redis.sentinels).kill();
      if (random.chance(0.5)) await quietly(stage.redis.failover());
      return () => stage.redis.restore();
    },
  },
  {
    // A single one cannot name a master, nor does it have to.
    ...{ ...common, name: 'redis-sentinels-kill', lastsMs: [0, 2_500], costMs: 1_500 },
    redis: ['sentinel'],
    async start(stage, _target, random) {
      const left = random.pick(stage.redis.sentinels);
      for (const one of stage.redis.sentinels) if (one !== left) await one.kill();
      return () => stage.redis.restore();
    },
  },
];

const ailing: readonly Fault[] = [
  {
    ...{ ...common, weight: 2, name: 'redis-freeze', lastsMs: [100, 900], costMs: 100 },
    async start(stage, _target, random) {
      const node = await anyMaster(stage, random);
      node.pause();
      return async () => node.resume();
    },
  },
  {
    ...{ ...common, name: 'redis-lru', lastsMs: [500, 3_000], costMs: 200 },
    async start(stage, _target, random) {
      const bucket = random.below(stage.buckets);
      const node = await stage.redisMaster(bucket);
      const tag = bucketTag(bucket, stage.buckets); // in a cluster, it must be a slot of this node
      const junk = Array.from({ length: JUNK_ENTRIES }, (_, index) => `${tag}:junk:${index}`);
      await limit(node, (await usedBytes(node)) + 100_000, 'allkeys-lru');
      await quietly(callForEach(node, junk, 'SET', 'x'.repeat(JUNK_BYTES)));
      return async () => {
        await limit(node, 0, 'noeviction');
        await quietly(callForEach(node, junk, 'DEL'));
      };
    },
  },
  {
    ...{ ...common, weight: 1.5, name: 'redis-full', lastsMs: [300, 3_000], costMs: 100 },
    async start(stage, _target, random) {
      const node = await anyMaster(stage, random);
      await limit(node, 1_000_000, 'noeviction');
      return () => limit(node, 0, 'noeviction');
    },
  },
  {
    ...{ ...common, weight: 2, name: 'redis-script-flush', lastsMs: [0, 0], costMs: 50 },
    async start(stage, _target, random) {
      await (await anyMaster(stage, random)).call('SCRIPT', 'FLUSH');
      return undefined;
    },
  },
  {
    ...{ ...common, weight: 3, name: 'redis-client-kill', lastsMs: [0, 0], costMs: 50 },
    async start(stage, _target, random) {
      await (await anyMaster(stage, random)).call('CLIENT', 'KILL', 'TYPE', 'normal');
      return undefined;
    },
  },
  {
    ...{ ...common, weight: 2, name: 'redis-sleep', lastsMs: [0, 0], costMs: 1_000 },
    async start(stage, _target, random) {
      const node = await anyMaster(stage, random);
      await quietly(node.call('DEBUG', 'SLEEP', random.between(0.05, 0.8).toFixed(2)));
      return undefined;
    },
  },
  {
    ...{ ...common, name: 'redis-busy-script', lastsMs: [0, 0], costMs: 1_000 },
    async start(stage, _target, random) {
      const rounds = Math.round(random.between(1e6, 2e7));
      const script = `local n = 0 for i = 1, ${rounds} do n = n + i end return n`;
      await quietly((await anyMaster(stage, random)).call('EVAL', script, 0));
      return undefined;
    },
  },
  {
    ...{ ...common, weight: 3, name: 'redis-corrupt', lastsMs: [0, 0], costMs: 100 },
    async start(stage, _target, random) {
      await corrupt(await anyMaster(stage, random), random);
      return undefined;
    },
  },
];

export const redisFaults: readonly Fault[] = [...forgetting, ...leaving, ...ailing].map(
  (fault) => ({
    ...fault,
    async start(stage, target, random) {
      const undo = await patiently(() => fault.start(stage, target, random));
      return undo && (() => patiently(undo));
    },
  }),
);

/** A node that changes its role cuts its connections, an operator's, too. Each step may be repeated. */
async function patiently<T>(step: () => Promise<T>): Promise<T> {
  const untilMs = nowMs() + PATIENCE_MS;
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (nowMs() > untilMs) throw error;
    }
    await delay(AGAIN_AFTER_MS);
  }
}

/** Some entries get a byte that they did not have, now and then a mark, or another type. */
async function corrupt(node: RedisNode, random: Random): Promise<void> {
  await node.operate(async (redis) => {
    for (let count = 0; count < 20; count++) {
      const name = await redis.randomkey();
      if (name === null || (name.endsWith(':mark') && random.chance(0.8))) continue;
      if ((await redis.type(name)) !== 'string') continue;
      const length = await redis.strlen(name);
      if (random.chance(0.1)) {
        await redis.del(name);
        await redis.rpush(name, 'not a string');
      } else if (random.chance(0.2)) {
        const kept = await redis.getrange(name, 0, Math.max(0, length - 2));
        await redis.set(name, kept);
      } else {
        await redis.setrange(
          name,
          random.below(Math.max(1, length)),
          Buffer.from([random.below(256)]),
        );
      }
    }
  });
}

function anyTag(stage: Stage, random: Random): string {
  return bucketTag(random.below(stage.buckets), stage.buckets);
}

function anyMaster(stage: Stage, random: Random): Promise<RedisNode> {
  return stage.redisMaster(random.below(stage.buckets));
}

async function anyReplica(stage: Stage, random: Random): Promise<RedisNode> {
  const replicas: RedisNode[] = [];
  for (const node of stage.redis.servers) {
    if ((await node.role()) === 'replica') replicas.push(node);
  }
  return random.pick(replicas);
}

function dumpOf(node: RedisNode): string {
  return join(node.folder, 'dump.rdb');
}

async function usedBytes(node: RedisNode): Promise<number> {
  const info = String(await node.call('INFO', 'memory'));
  return Number(/used_memory:(\d+)/.exec(info)?.[1] ?? 0);
}

async function limit(node: RedisNode, bytes: number, policy: string): Promise<void> {
  await node.call('CONFIG', 'SET', 'maxmemory-policy', policy, 'maxmemory', bytes);
}

async function callForEach(
  node: RedisNode,
  names: readonly string[],
  command: string,
  ...args: string[]
): Promise<void> {
  await node.operate(async (redis) => {
    for (const name of names) await redis.call(command, name, ...args);
  });
}

/** What such a Redis answers is no matter; that it does is neither. */
async function quietly(call: Promise<unknown>): Promise<void> {
  await call.catch(() => undefined);
}
