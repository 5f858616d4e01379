/**
 * The end of a run: all faults are over, and MySQL-B, Redis and every local tier come to tell the
 * same, each load is shared, and nothing that was taken is kept.
 */

import { crc32 } from 'node:zlib';
import { parseMark } from '../support/stored-text.js';
import { NOTICED_AFTER_MS } from './fake-pool.js';
import { TABLE } from './history.js';
import { PREFIX } from './instance.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

/** Far more than any grace period, breaker or backoff of the product. */
const ENOUGH_MS = 120_000;
/** Short, so that no call outlasts its timeout only because a round is long. */
const ROUND_MS = 5;
/** Timers that an instance may have when nothing is asked of it: two of its next poll, and its caches'. */
const TIMERS_PER_INSTANCE = 4;

/** @throws Violation */
export function* converge(world: World): Generator<void> {
  heal(world);
  yield* world.drain();
  world.pass(NOTICED_AFTER_MS + ROUND_MS); // whose connection was closed knows
  yield* world.drain();
  const untilMs = world.clock.nowMs + ENOUGH_MS;
  let lacking = lackingIn(world);
  while (lacking !== undefined) {
    if (world.clock.nowMs > untilMs) throw new Violation('convergence', lacking);
    world.pass(ROUND_MS);
    yield* world.drain();
    lacking = lackingIn(world);
  }
  world.judgeMarks();
  yield* readAll(world);
  world.judgeMarks();
  yield* judgeLeftovers(world);
}

function heal(world: World): void {
  world.redis.heal();
  world.writers.failures = 0;
  if (world.isCut) world.reclone();
  world.b.heal();
  world.scheduler.note('all faults are over');
}

/** What has not converged yet. */
function lackingIn(world: World): string | undefined {
  const { b, redis, setting } = world;
  const { head } = b;
  for (const instance of world.instances) {
    const { name, applied, isStarted } = instance;
    if (!isStarted) return `${name} has not started`;
    // What it saw of a lost tail it gives up after its grace period.
    if (instance.local.flights > 0) return `${name} has ${instance.local.flights} loads left`;
    if (instance.seenUpTo() > head) return `${name} has seen more than ${head}`;
    if (applied.version !== head) return `${name} is at ${applied.version} of ${head}`;
    if (applied.fingerprint !== b.history.fingerprintAt(head) && applied.fingerprint !== '') {
      return `${name} is at ${head} of another history`;
    }
  }
  if (world.readsInFlight > 0) return `${world.readsInFlight} reads are not answered`;
  if (world.writers.inFlight > 0) return `${world.writers.inFlight} writes are not answered`;
  for (let bucket = 0; bucket < setting.buckets; bucket++) {
    const tag = `${TABLE}:${bucket}${setting.buckets === 1 ? '' : `/${setting.buckets}`}`;
    const mark = parseMark(redis.get(`${PREFIX}:{${tag}}:mark`) ?? '');
    if (mark?.version !== head) {
      return `the mark of bucket ${bucket} is at ${mark?.version} of ${head}`;
    }
    for (const instance of world.instances) {
      if (instance.redis.adopted(bucket) !== mark.generation) {
        return `${instance.name} does not read the generation of bucket ${bucket}`;
      }
      if (instance.redis.breakerState !== 'closed') return `${instance.name} leaves Redis out`;
    }
  }
  return undefined;
}

/** Every instance reads every key: it is the truth, and what one has loaded others find in Redis. */
function* readAll(world: World): Generator<void> {
  const { b, keys, instances } = world;
  const loaded = new Set<string>();
  for (const instance of instances) {
    for (const key of [...keys, 'never']) {
      const before = world.clock.nowMs;
      let isAnswered = false;
      const judge = instance.reader.get(key).then(
        ({ value, tier }) => {
          isAnswered = true;
          const truth = b.history.valueAt(key, b.head);
          if (value === undefined ? truth !== null : truth?.equals(value) !== true) {
            const what = `${instance.name} ${key} = ${value} (${tier}), the truth is ${truth}`;
            world.fail(new Violation('convergence', what));
          }
          const isShared =
            loaded.has(key) && before + world.setting.redisTtlMs / 2 > world.clock.nowMs;
          if (tier === 'mysql' && isShared) {
            const bucket = crc32(key) % world.setting.buckets;
            const what = `${instance.name} loads ${key} of bucket ${bucket} from MySQL, though it is in Redis`;
            world.fail(new Violation('bounded', what));
          }
          if (tier !== 'local') loaded.add(key);
        },
        (error: unknown) => {
          isAnswered = true;
          world.fail(new Violation('available', `${instance.name} cannot read ${key}: ${error}`));
        },
      );
      judge.catch((error: unknown) => world.fail(error));
      yield* world.drain();
      if (!isAnswered) throw new Violation('available', `${instance.name} does not answer ${key}`);
    }
  }
}

/** What was taken is given back. */
function* judgeLeftovers(world: World): Generator<void> {
  world.pass(2); // caches remember the time for a moment, with a timer each
  yield* world.drain();
  const { instances, writers, clock, setting } = world;
  for (const { name, pool, local } of instances) {
    if (pool.taken > 0) throw new Violation('bounded', `${name} keeps ${pool.taken} connections`);
    if (local.absences > setting.localMaxEntries || local.entries > setting.localMaxEntries) {
      throw new Violation('bounded', `${name} holds more than ${setting.localMaxEntries} entries`);
    }
  }
  if (writers.connectionsTaken > 0) {
    throw new Violation('bounded', `writers keep ${writers.connectionsTaken} connections`);
  }
  const most = TIMERS_PER_INSTANCE * instances.length;
  if (clock.timers > most) throw new Violation('bounded', `${clock.timers} timers are left`);
}
