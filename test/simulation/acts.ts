/** What can happen in a simulated world, and how often; a fault belongs to a family of faults. */
import { askedIn, decodeMark, encodeMark, generationName } from '../../src/core/mark.js';
import type { SimulatedRedis } from './fake-redis.js';
import type { Instance } from './instance.js';
import type { Family } from './setting.js';
import type { World } from './world.js';

export interface Act {
  readonly name: string;
  readonly weight: number;
  /** Of a fault. */
  readonly family?: Family;
  /** Does it. False when there was nothing to do it to. */
  readonly run: (world: World) => unknown;
}

const someInstance = ({ scheduler, instances }: World): Instance | undefined => {
  const instance = scheduler.one(instances);
  return instance.isStarted ? instance : undefined;
};
const someKey = ({ scheduler, keys }: World) => scheduler.one(keys);
const someRedisKey = ({ scheduler, redis }: World) => redis.keys[scheduler.pick(redis.keys.length)];

const doings: Act[] = [
  { name: 'write', weight: 8, run: (world) => world.writers.write() },
  { name: 'read', weight: 12, run: (world) => someInstance(world)?.read([someKey(world)]) },
  {
    name: 'read many',
    weight: 2,
    run: (world) => {
      const keys = world.keys.filter(() => world.scheduler.random() < 0.6);
      if (keys.length > 1) someInstance(world)?.read(keys);
    },
  },
  {
    name: 'read back',
    weight: 2,
    run: (world) => {
      const minVersion = world.someAcknowledged();
      if (minVersion !== undefined) someInstance(world)?.read([someKey(world)], { minVersion });
    },
  },
  {
    name: 'read fresh',
    weight: 1,
    run: (world) => {
      const maxStalenessMs = world.scheduler.one([50, 500, 1_500]);
      someInstance(world)?.read([someKey(world)], { maxStalenessMs });
    },
  },
  {
    name: 'read an unknown key',
    weight: 0.5,
    run: (world) => someInstance(world)?.read([`unknown ${world.scheduler.pick(1_000)}`]),
  },
  {
    name: 'invalidate',
    weight: 0.3,
    run: (world) => {
      const instance = someInstance(world);
      const key = someKey(world);
      world.scheduler.note(`${instance?.name} forgets ${key}`);
      instance?.reader.invalidate(key).catch((error: unknown) => world.fail(error));
    },
  },
  { name: 'replicate', weight: 8, run: ({ b }) => b.replicate() },
  {
    name: 'Redis replicates',
    weight: 5,
    run: ({ redis, scheduler }) => redis.replicate(scheduler.pick(4)),
  },
  { name: 'a moment', weight: 12, run: (world) => world.pass(1 + world.scheduler.pick(10)) },
  { name: 'a while', weight: 2, run: (world) => world.pass(20 + world.scheduler.pick(200)) },
  {
    name: 'a long time',
    weight: 0.15,
    run: (world) => world.pass(500 + world.scheduler.pick(4_000)),
  },
  { name: 'nothing', weight: 30, run: () => {} },
];

const faults: Act[] = [
  {
    name: 'Redis evicts',
    weight: 1,
    family: 'redis',
    run: (world) => {
      const key = someRedisKey(world);
      if (key === undefined) return false;
      world.redis.evict(key);
      world.scheduler.note(`  ${key}`);
      return true;
    },
  },
  {
    name: 'Redis regresses',
    weight: 0.6,
    family: 'redis',
    run: ({ redis, scheduler }) => scheduler.note(`  ${redis.snapshotOrRegress()}`),
  },
  { name: 'Redis is flushed', weight: 0.2, family: 'redis', run: ({ redis }) => redis.flush() },
  {
    name: 'Redis fails',
    weight: 0.6,
    family: 'redis',
    run: ({ redis, scheduler }) => {
      redis.failures = 1 + scheduler.pick(6);
      redis.failsWith = scheduler.one(['error', 'refused', 'lost'] as const);
    },
  },
  {
    name: 'Redis is full, or not any more',
    weight: 0.3,
    family: 'redis',
    run: ({ redis }) => {
      redis.isFull = !redis.isFull;
    },
  },
  {
    name: 'Redis fails over',
    weight: 0.3,
    family: 'redis',
    run: ({ redis, instances, scheduler }) => {
      const late = instances.filter(() => scheduler.random() < 0.5).map(({ name }) => name);
      redis.failOver(new Set(late));
      scheduler.note(`  ${late} do not know of it`);
    },
  },
  {
    name: 'Redis has one master again',
    weight: 0.5,
    family: 'redis',
    run: ({ redis }) => redis.unite(),
  },
  {
    name: 'Redis is corrupted',
    weight: 0.4,
    family: 'redis',
    run: (world) => {
      const key = someRedisKey(world);
      if (key === undefined) return false;
      const text = corrupted(world.redis.get(key) ?? '', world);
      world.redis.overwrite(key, text);
      world.scheduler.note(`  ${key} = ${text}`);
      return true;
    },
  },
  {
    name: 'a rebase is asked for',
    weight: 0.1,
    family: 'redis',
    // Sometimes not in every bucket: who asks can be interrupted.
    run: ({ redis, clock, scheduler }) =>
      askForRebase(redis, Math.floor(clock.nowMs), () => scheduler.random() < 0.8),
  },
  {
    name: 'MySQL-B fails',
    weight: 0.5,
    family: 'mysql',
    run: ({ b, scheduler }) => {
      b.failures = 1 + scheduler.pick(4);
    },
  },
  {
    name: 'MySQL-B is down',
    weight: 0.1,
    family: 'mysql',
    run: ({ b, clock, scheduler }) => {
      b.downUntilMs = clock.nowMs + 10 + scheduler.pick(2_000);
    },
  },
  {
    name: 'a replica stops or goes on',
    weight: 0.4,
    family: 'mysql',
    run: ({ b, scheduler }) => scheduler.note(`  ${b.stopOrStart()}`),
  },
  {
    name: 'the log is pruned',
    weight: 0.4,
    family: 'log',
    run: ({ source: { history }, scheduler }) => history.prune(history.head - scheduler.pick(4)),
  },
  {
    name: 'the log has a hole',
    weight: 0.2,
    family: 'log',
    run: ({ source: { history }, scheduler }) =>
      history.punchHole(history.head - scheduler.pick(3)),
  },
  {
    name: 'A fails over',
    weight: 0.1,
    family: 'topology',
    run: (world) => {
      const { head } = world.source.history;
      const version = Math.max(1, head - world.scheduler.pick(7));
      world.failOver(version);
      world.scheduler.note(`  history goes on from ${version} of ${head}`);
    },
  },
  {
    name: 'B is made anew',
    weight: 1,
    family: 'topology',
    run: (world) => {
      if (!world.isCut) return false;
      world.reclone();
      world.scheduler.note(`  from ${world.b.history.head}`);
      return true;
    },
  },
  {
    name: 'a clock is set',
    weight: 0.2,
    family: 'clock',
    run: ({ instances, scheduler }) => {
      const skewMs = scheduler.one([-60_000, -2_000, 0, 0, 2_000, 60_000]);
      const instance = scheduler.one(instances);
      instance.setSkew(skewMs);
      scheduler.note(`  ${instance.name} by ${skewMs} ms`);
    },
  },
  {
    name: 'the clock of B is set',
    weight: 0.05,
    family: 'server clock',
    run: ({ b, scheduler }) => {
      const skewMs = scheduler.one([-60_000, -2_000, 0, 0, 2_000, 60_000]);
      b.setSkew(skewMs);
      scheduler.note(`  by ${skewMs} ms`);
    },
  },
  {
    name: 'a reader dies, and another starts',
    weight: 0.1,
    family: 'crash',
    run: (world) => {
      const index = world.scheduler.pick(world.instances.length);
      const instance = world.instances[index];
      if (!instance?.isStarted) return false;
      instance.kill();
      world.addInstance(index);
      return true;
    },
  },
  {
    name: 'MySQL-A fails',
    weight: 0.5,
    family: 'writer',
    run: ({ writers, setting, scheduler }) => {
      if (setting.writers === 0) return false;
      writers.failures = 1 + scheduler.pick(3);
      return true;
    },
  },
  {
    name: 'audit',
    weight: 2,
    family: 'audit',
    run: (world) => someInstance(world)?.audit(),
  },
  {
    name: 'a reader drops everything',
    weight: 0.3,
    family: 'audit',
    run: (world) => someInstance(world)?.repair(),
  },
];

/** As `tidemark rebase` does it: in each bucket a generation that says so, at the same position. */
export function askForRebase(
  redis: SimulatedRedis,
  nowMs: number,
  isReached: () => boolean = () => true,
): void {
  for (const key of redis.keys.filter((name) => name.endsWith(':mark') && isReached())) {
    const mark = decodeMark(redis.get(key) ?? '');
    if (mark === undefined) continue;
    const asked = Math.max(askedIn(mark.generation) + 1, nowMs);
    const generation = generationName(`by-hand-${asked}`, asked);
    redis.overwrite(key, encodeMark({ ...mark, generation }));
  }
}

/** Something else than it was: no text of ours, one byte changed, or another type. */
function corrupted(text: string, { scheduler }: World): string | null {
  const kind = scheduler.pick(4);
  if (kind === 0) return 'corrupt';
  if (kind === 1) return null;
  const mark = decodeMark(text);
  if (mark !== undefined && kind === 2) {
    // A digit of the mark's version.
    const words = text.split(' ');
    words[1] = String(mark.position.version + 1 + scheduler.pick(9));
    return words.join(' ');
  }
  const at = scheduler.pick(text.length);
  const other = text[at] === '7' ? '8' : '7';
  const changed = text.slice(0, at) + other + text.slice(at + 1);
  return mark !== undefined && encodeMark(mark) === changed ? 'corrupt' : changed;
}

export const acts: readonly Act[] = [...doings, ...faults];
