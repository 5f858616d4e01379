import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NotRunningError } from '../../src/errors.js';
import { World } from './world.js';

let world: World;
beforeEach(async () => {
  world = await World.create({ seed: 1, instances: 1 });
});
afterEach(() => world.stop());

function reader() {
  const [instance] = world.instances;
  if (instance === undefined) throw new Error('Expected an instance');
  return instance;
}

/** Writes `key` and lets the reader take it in. */
async function change(key: string): Promise<number> {
  const version = world.database.write(key);
  world.turn(reader());
  await world.scheduler.drain();
  return version;
}

/** What a read brings, with all steps let go. */
async function answer<T>(read: Promise<T>): Promise<T> {
  const [value] = await Promise.all([read, world.scheduler.drain()]);
  return value;
}

describe('the reader', () => {
  test('takes in changes all the same when a listener throws', async () => {
    reader().reader.on('change', () => {
      throw new Error('a bug of the service');
    });
    const version = await change('a');
    expect(reader().reader.status().applied).toBe(version);
    expect(reader().turning).toBe(false);
    expect((await answer(reader().reader.get('a'))).version).toBe(version);
  });

  test('tells each page of changes once', async () => {
    const told: string[] = [];
    reader().reader.on('change', ({ keys, from, to }) => told.push(`${keys} ${from}-${to}`));
    await change('a');
    await change('b');
    expect(told).toEqual(['a 1-2', 'b 2-3']);
  });

  test('gives nothing from memory after it was stopped', async () => {
    await change('a');
    const read = () => reader().reader.get('a');
    await answer(read());
    expect(reader().reader.peek('a')?.found).toBe(true);
    await world.stop();
    expect(reader().reader.peek('a')).toBeUndefined();
    await expect(read()).rejects.toThrow(NotRunningError);
  });

  test('says which answers are stale, from the time of the heartbeat on', async () => {
    await change('a');
    expect((await answer(reader().reader.get('a'))).stale).toBe(false);
    world.nowMs += 1_001; // staleAfterMs of the world is 1,000
    expect((await answer(reader().reader.get('a'))).stale).toBe(true);
    world.database.beatAtMs = world.nowMs;
    await change('b');
    expect((await answer(reader().reader.get('a'))).stale).toBe(false);
  });
});
