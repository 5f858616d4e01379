/** Audits in a simulated world: what they find, what they do about it, and what they leave alone. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Reading } from '../../src/core/reading.js';
import type { Audit } from '../../src/reader/auditor.js';
import { drive } from './drive.js';
import type { Instance } from './instance.js';
import { settings } from './setting.js';
import { World } from './world.js';

let world: World;
beforeEach(async () => {
  world = new World({ seed: 1, setting: { ...settings.calm, instances: 2, writers: 0 } });
  world.isLawless = true;
  await run(world.started());
  await pass(500);
  for (const key of ['a', 'b']) await change(key, 'first');
});
afterEach(async () => {
  const stopped = world.instances.map(({ reader }) => reader.stop());
  await run(world.drain());
  await Promise.all(stopped);
});

function run<T>(steps: Generator<void, T>): Promise<T> {
  return drive(world.clock, steps);
}

/** Lets time pass, and all that comes of it. */
function pass(ms: number): Promise<void> {
  return run(
    (function* passing() {
      for (let passed = 0; passed < ms; passed += 5) {
        world.pass(Math.min(5, ms - passed));
        yield* world.drain();
      }
    })(),
  );
}

async function change(key: string, value: string): Promise<void> {
  world.source.history.commit([{ key, value: Buffer.from(value) }], world.clock.nowMs);
  world.b.arrive();
  await pass(100);
}

function goAround(key: string, value: string | null): void {
  world.source.history.goAround(key, value === null ? null : Buffer.from(value));
}

function instance(index: number): Instance {
  const found = world.instances[index];
  if (found === undefined) throw new Error(`Expected an instance ${index}`);
  return found;
}

/** What comes of it, with time going on until it does. */
async function outcome<T>(begin: () => Promise<T>): Promise<T> {
  const ended: { answer?: Promise<T> } = {};
  await run(
    (function* waiting() {
      let isOver = false;
      const answer = begin();
      ended.answer = answer;
      const over = () => {
        isOver = true;
      };
      answer.then(over, over);
      while (!isOver) {
        world.pass(1);
        yield* world.drain();
        yield;
      }
    })(),
  );
  if (ended.answer === undefined) throw new Error('Expected it to have begun');
  return await ended.answer;
}

/** Does something in simulated time. */
function atOnce(act: () => void): Promise<void> {
  return run(
    (function* acting() {
      act();
      yield;
    })(),
  );
}

const audit = (index: number): Promise<Audit> => outcome(() => instance(index).reader.audit());

async function textOf(index: number, key: string): Promise<string | undefined> {
  const reading = await outcome(() => instance(index).reader.get(key));
  return reading.value?.toString();
}

/** Every reader has read them, so that they are in all caches. */
async function warm(...keys: string[]): Promise<void> {
  for (const index of [0, 1]) for (const key of keys) await textOf(index, key);
  await pass(100);
}

describe('an audit', () => {
  test('finds nothing where nothing is wrong, and says how much it compared', async () => {
    await warm('a', 'b', 'nobody');
    expect(await audit(0)).toEqual({ sampled: 6, checked: 6, mismatches: 0 }); // 3 here, 3 in Redis
    await change('a', 'second');
    expect(await audit(0)).toMatchObject({ mismatches: 0 });
    const { lastAt, ...counts } = instance(0).reader.status().audit;
    expect(counts).toMatchObject({ mismatches: 0, repaired: 0, completed: 2, skipped: 0 });
    expect(lastAt).toMatch(/^2030-01-01T/);
  });

  test.each<[string, string, string | null, string | undefined]>([
    ['a row that was changed', 'a', 'around', 'around'],
    ['a row that was removed', 'a', null, undefined],
    ['a row where there was none', 'nobody', 'around', 'around'],
  ])('finds %s around the log, and all readers drop it at once', async (_, key, value, now) => {
    await warm('a', 'b', 'nobody');
    const before = await textOf(0, key);
    goAround(key, value);
    await change('b', 'second'); // the log goes on, and says nothing
    for (const index of [0, 1]) expect(await textOf(index, key)).toBe(before);
    expect(await audit(0)).toMatchObject({ mismatches: 2 }); // held here, and in Redis
    await pass(100);
    for (const index of [0, 1]) expect(await textOf(index, key)).toBe(now);
    expect(instance(0).reader.status().audit).toMatchObject({ mismatches: 2, repaired: 1 });
    expect(instance(1).reader.status().audit).toMatchObject({ mismatches: 0, repaired: 0 });
    for (const index of [0, 1]) expect((await audit(index)).mismatches).toBe(0);
  });

  test('finds in Redis what no reader holds', async () => {
    await warm('a', 'b');
    goAround('a', null);
    world.addInstance(0); // the one that held it is replaced
    await run(world.started());
    await pass(100);
    expect(instance(0).reader.peek('a')).toBeUndefined();
    expect(await audit(0)).toMatchObject({ mismatches: 1 });
    await pass(100);
    expect(await textOf(0, 'a')).toBeUndefined();
    expect(await textOf(1, 'a')).toBeUndefined();
  });

  test('is no alarm when a server does not answer, and goes on when it does', async () => {
    await warm('a', 'b');
    world.b.downUntilMs = world.clock.nowMs + 300;
    const unfinished = await audit(0);
    expect(unfinished).toMatchObject({ checked: 0, mismatches: 0 });
    expect(unfinished.fault).toContain('MySQL-B');
    await pass(4_000); // the next poll may be a backoff away
    world.redis.failures = 1_000;
    expect((await audit(0)).fault).toBeDefined();
    world.redis.heal();
    await pass(2_000);
    expect(await audit(0)).toEqual({ sampled: 4, checked: 4, mismatches: 0 });
    expect(instance(0).reader.status().audit).toMatchObject({ completed: 1, skipped: 2 });
  });

  test('has Redis start anew when it is back, if it was away when something was found', async () => {
    await warm('a');
    goAround('a', 'around');
    world.redis.failures = 1_000;
    expect(await audit(0)).toMatchObject({ mismatches: 1 });
    expect(await textOf(0, 'a')).toBe('around');
    world.redis.heal();
    await pass(3_000);
    expect(await textOf(1, 'a')).toBe('around');
    expect((await audit(1)).mismatches).toBe(0);
  });

  test('lets nothing land that was on its way from Redis', async () => {
    await warm('a');
    goAround('a', 'around');
    world.addInstance(1);
    await run(world.started());
    await pass(100);
    // reader 1:   reads 'a' from Redis ....................................... arrives
    // reader 0:                          audits, drops everything; reader 1 is told
    let arrived: (() => void) | undefined;
    const { redis } = instance(1);
    const read = redis.read.bind(redis);
    redis.read = async (...args) => {
      const answer = await read(...args);
      redis.read = read;
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
      return answer;
    };
    let reading: Promise<Reading> | undefined;
    await atOnce(() => {
      reading = instance(1).reader.get('a');
    });
    await pass(50);
    expect((await audit(0)).mismatches).toBeGreaterThan(0);
    await pass(100);
    await atOnce(() => arrived?.());
    await pass(100);
    expect((await reading)?.value?.toString()).toBe('around');
    expect(instance(1).reader.peek('a')?.value?.toString()).toBe('around');
  });

  test('takes its turns through more entries than it may look at', async () => {
    const many = Array.from({ length: 7 }, (_, index) => `many ${index}`);
    world = new World({
      seed: 1,
      setting: { ...settings.calm, instances: 2, writers: 0, auditSample: 3 },
    });
    world.isLawless = true;
    await run(world.started());
    await pass(500);
    await warm(...many);
    const sampled = new Set<number>();
    goAround(many[0] ?? '', 'around'); // of all, it was used the longest ago
    let audits = 0;
    for (let mismatches = 0; mismatches === 0; audits++) {
      const found = await audit(0);
      sampled.add(found.sampled);
      mismatches = found.mismatches;
      expect(audits).toBeLessThan(3);
    }
    expect(Math.max(...sampled)).toBe(3 + 3); // of each tier
  });

  test('is soon enough after another reader dropped everything, while rows go on changing', async () => {
    const PERIOD_MS = 60_000;
    await warm('a');
    await audit(0);
    await pass(PERIOD_MS / 2);
    await audit(1);
    await pass(PERIOD_MS / 2);
    goAround('a', 'one');
    expect(await audit(0)).toMatchObject({ mismatches: 2 });
    await pass(PERIOD_MS / 4);
    await warm('a');
    goAround('a', 'two');
    await pass(PERIOD_MS / 4 - 1_000);
    // Reader 1 finds it, and leaves it to reader 0, which will do it within its period.
    expect((await audit(1)).mismatches).toBeGreaterThan(0);
    await pass(100);
    expect(instance(1).reader.status().audit.repaired).toBe(0);
    expect(await textOf(1, 'a')).toBe('one');
    await pass(PERIOD_MS / 2);
    expect((await audit(0)).mismatches).toBeGreaterThan(0);
    await pass(100);
    for (const index of [0, 1]) expect(await textOf(index, 'a')).toBe('two');
  });
});
