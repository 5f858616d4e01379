/** One run: a seed chooses what happens, writes, reads, turns and faults among the pending steps. */
import { World, type WorldOptions } from './world.js';

export interface ExploreOptions extends WorldOptions {
  readonly steps?: number;
}

/** @throws Violation with the seed's trace; otherwise how many reads were checked */
export async function explore(options: ExploreOptions): Promise<number> {
  const world = await World.create(options);
  const { scheduler, database, redis } = world;
  const someKey = () => world.keys[scheduler.pick(world.keys.length)] ?? 'a';
  const someInstance = () => world.instances[scheduler.pick(world.instances.length)];
  const acts: [weight: number, act: () => void][] = [
    [6, () => scheduler.note(`write ${database.write(someKey())}`)],
    [2, () => scheduler.note(`delete ${database.write(someKey(), true)}`)],
    [
      14,
      () => {
        const instance = someInstance();
        if (instance) world.read(instance, someKey());
      },
    ],
    [
      8,
      () => {
        const instance = someInstance();
        if (instance) world.turn(instance);
      },
    ],
    [
      1,
      () => {
        const key = redis.keys[scheduler.pick(redis.keys.length)];
        if (key) {
          redis.evict(key);
          scheduler.note(`Redis evicts ${key}`);
        }
      },
    ],
    [1, () => scheduler.note(redis.snapshotOrRegress())],
    [
      0.3,
      () => {
        redis.flush();
        scheduler.note('Redis is flushed');
      },
    ],
    [
      0.6,
      () => {
        redis.failures = 1 + scheduler.pick(3);
        scheduler.note('Redis will fail');
      },
    ],
    [
      0.4,
      () => {
        database.prune(database.head - scheduler.pick(4));
        scheduler.note('the log is pruned');
      },
    ],
    [
      0.2,
      () => {
        const hole = database.head - scheduler.pick(3);
        database.punchHole(hole);
        scheduler.note(`hole at ${hole}`);
      },
    ],
    [
      0.3,
      () => {
        const key = redis.keys[scheduler.pick(redis.keys.length)];
        if (key) {
          redis.overwrite(key, 'corrupt');
          scheduler.note(`corrupts ${key}`);
        }
      },
    ],
    [40, () => {}],
  ];
  const total = acts.reduce((sum, [weight]) => sum + weight, 0);
  try {
    for (let step = 0; step < (options.steps ?? 150); step++) {
      let at = scheduler.random() * total;
      const chosen = acts.find(([weight]) => {
        at -= weight;
        return at < 0;
      });
      chosen?.[1]();
      await scheduler.advance();
      world.check();
    }
    await scheduler.drain();
    world.check();
    world.rewriteHistory();
    await world.converge();
    return world.reads;
  } finally {
    await world.stop();
  }
}
