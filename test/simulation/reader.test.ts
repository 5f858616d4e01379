import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askedIn, decodeMark } from '../../src/core/mark.js';
import { NotFreshError, NotRunningError, UnavailableError } from '../../src/errors.js';
import { askForRebase } from './acts.js';
import { drive } from './drive.js';
import type { Instance } from './instance.js';
import { settings } from './setting.js';
import { World } from './world.js';

let world: World;
beforeEach(async () => {
  world = new World({ seed: 1, setting: { ...settings.calm, instances: 1, writers: 0 } });
  await run(world.started());
  await pass(500);
});
afterEach(() => stop());

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

function instance(): Instance {
  const [only] = world.instances;
  if (only === undefined) throw new Error('Expected an instance');
  return only;
}

/** Writes `key` and lets the reader take it in. */
async function change(key: string): Promise<number> {
  const { history } = world.source;
  history.commit([{ key, value: Buffer.from(`"${key}"`) }], world.clock.nowMs);
  world.b.arrive();
  await pass(100);
  return history.head;
}

/** A read under way, none of whose steps is let go yet; what it gives tells its end. */
async function begun<T>(read: () => Promise<T>): Promise<() => Promise<unknown>> {
  let answering: Promise<unknown> | undefined;
  await run(
    (function* reading() {
      answering = read().catch((error: unknown) => error);
      yield;
    })(),
  );
  return async () => await answering;
}

/** What a read brings, with all steps let go. */
async function answer<T>(read: () => Promise<T>): Promise<T> {
  let answering: Promise<T> | undefined;
  await run(
    (function* reading() {
      answering = read();
      answering.catch(() => undefined); // it is returned below
      yield* world.drain();
    })(),
  );
  if (answering === undefined) throw new Error('Expected a read');
  return await answering;
}

async function stop(): Promise<void> {
  const stopped = instance().reader.stop();
  await run(world.drain());
  await stopped;
}

describe('the reader', () => {
  test('takes in changes all the same when a listener throws', async () => {
    instance().reader.on('change', () => {
      throw new Error('a bug of the service');
    });
    const version = await change('a');
    expect(instance().reader.status().applied).toBe(version);
    expect((await answer(() => instance().reader.get('a'))).version).toBe(version);
  });

  test('tells each page of changes once', async () => {
    const told: string[] = [];
    instance().reader.on('change', ({ keys, from, to }) => told.push(`${keys} ${from}-${to}`));
    await change('a');
    await change('b');
    expect(told).toEqual(['a 1-2', 'b 2-3']);
  });

  test('gives nothing from memory after it was stopped', async () => {
    await change('a');
    const read = () => instance().reader.get('a');
    await answer(read);
    expect(instance().reader.peek('a')?.found).toBe(true);
    await stop();
    expect(instance().reader.peek('a')).toBeUndefined();
    await expect(read()).rejects.toThrow(NotRunningError);
  });

  test('a demanded version is in the answer, or there is none: history may be rewritten', async () => {
    let crossed = 0;
    for (let seed = 1; seed <= 30; seed += 1) {
      world = new World({ seed, setting: { ...settings.calm, instances: 1, writers: 0 } });
      await run(world.started());
      await pass(500);
      const minVersion = await change('a');
      const reading = await begun(() => instance().reader.get('b', { minVersion }));
      world.failOver(minVersion - 1);
      world.reclone();
      await pass(1_100); // until a heartbeat proves it
      const applied = instance().reader.status().applied;
      expect(applied).toBe(minVersion - 1);
      const answer = await reading();
      if (answer instanceof NotFreshError) crossed += 1;
      else expect(answer).toBeInstanceOf(UnavailableError); // its connection was cut
      await stop();
    }
    expect(crossed).toBeGreaterThan(0);
  });

  test('says which answers are stale, from the time of the heartbeat on', async () => {
    await change('a');
    const isStale = async () => (await answer(() => instance().reader.get('a'))).stale;
    expect(await isStale()).toBe(false);
    world.b.downUntilMs = world.clock.nowMs + 5_000; // it is stale after 3,000
    await pass(4_100);
    expect(await isStale()).toBe(true);
    await pass(4_000); // the next poll may be a backoff away
    expect(await isStale()).toBe(false);
  });
});

describe('a rebase that was asked for', () => {
  const told = new Map<string, string[]>();
  beforeEach(async () => {
    await stop();
    world = new World({ seed: 1, setting: { ...settings.calm, instances: 3, writers: 0 } });
    await run(world.started());
    await pass(500);
    for (const { name, reader } of world.instances) {
      const reasons: string[] = [];
      told.set(name, reasons);
      reader.on('rebase', ({ reason }) => reasons.push(reason));
    }
    await change('a');
    expect(await tiers()).toEqual(['redis', 'redis', 'redis']);
    expect(await tiers()).toEqual(['local', 'local', 'local']);
  });
  afterEach(async () => {
    for (const { reader } of world.instances.slice(1)) {
      const stopped = reader.stop();
      await run(world.drain());
      await stopped;
    }
  });

  /** Which tier answers each reader. */
  async function tiers(): Promise<string[]> {
    const all: string[] = [];
    for (const { reader } of world.instances) all.push((await answer(() => reader.get('a'))).tier);
    return all;
  }
  const asked = () =>
    world.redis.keys
      .filter((key) => key.endsWith(':mark'))
      .map((key) => askedIn(decodeMark(world.redis.get(key) ?? '')?.generation ?? ''));

  test('reaches every reader, once, and moves no position', async () => {
    const { applied } = instance().reader.status();
    askForRebase(world.redis, world.clock.nowMs);
    await pass(100);
    expect(await tiers()).toEqual(['mysql', 'redis', 'redis']);
    expect(instance().reader.status().applied).toBe(applied);
    const before = world.instances.map(({ generations }) => generations);
    await change('b');
    await pass(500);
    expect(world.instances.map(({ generations }) => generations)).toEqual(before);
    expect([...told.values()]).toEqual(Array(3).fill(['asked']));
  });

  test('in one bucket only is one in all of them', async () => {
    let reached = 0;
    askForRebase(world.redis, world.clock.nowMs, () => ++reached === 1);
    expect(asked().filter((each) => each > 0)).toHaveLength(1);
    await pass(500);
    expect(new Set(asked()).size).toBe(1);
    expect(await tiers()).toEqual(['mysql', 'redis', 'redis']);
  });

  test('is not undone by a Redis that goes back, or forgets', async () => {
    world.redis.snapshotOrRegress();
    askForRebase(world.redis, world.clock.nowMs);
    await pass(100);
    const known = asked();
    expect(Math.min(...known)).toBeGreaterThan(0);
    world.redis.snapshotOrRegress(); // with the entry from before it
    expect(asked()).toEqual(known.map(() => 0));
    await pass(500);
    expect(asked()).toEqual(known);
    expect((await tiers())[0]).toBe('mysql');
    world.redis.flush();
    await pass(500);
    expect(asked()).toEqual(known);
  });

  test('before its start is no news to a reader', async () => {
    askForRebase(world.redis, world.clock.nowMs);
    await pass(100);
    world.instances[2]?.kill();
    world.addInstance(2);
    const reasons: string[] = [];
    world.instances[2]?.reader.on('rebase', ({ reason }) => reasons.push(reason));
    await pass(500);
    expect(reasons).toEqual(['start']);
  });
});
