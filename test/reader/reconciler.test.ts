/** Moments within one turn that the simulation hardly ever meets. */
import { describe, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { type LogRow, type LogSnapshot, positionOf } from '../../src/core/position.js';
import type { LocalTier } from '../../src/local/tier.js';
import type { ChangeLog } from '../../src/mysql/log.js';
import type { Loaded } from '../../src/reader/loader.js';
import { Reconciler } from '../../src/reader/reconciler.js';
import type { RedisTier } from '../../src/redis/tier.js';
import { localTier } from '../support/loader.js';

const row = (version: number, changedAt = 'one'): LogRow => ({
  ...{ version, table: 'configs', key: `k${version}`, changedAt },
});

/** A log up to `head`. */
function shown(from: number, head: number): LogSnapshot {
  const rows = Array.from({ length: head - from + 1 }, (_, index) => row(from + index));
  return { head, beatAtMs: 0, clockMs: 0, rows };
}

/** A reconciler at version 5 of a log, where Redis stands, too. */
async function atFive() {
  const world = {
    head: 5,
    nowMs: 0,
    local: localTier(),
    /** Called while MySQL-B answers a poll, and while Redis takes a page. */
    onPoll: () => {},
    onApply: () => {},
    told: [] as string[],
  };
  const log: Pick<ChangeLog, 'poll' | 'tip' | 'fetchSmall'> = {
    poll: async (version) => {
      world.onPoll();
      return shown(version, world.head);
    },
    tip: async () => shown(world.head, world.head),
    fetchSmall: async (keys) => {
      const entry = new Entry(positionOf(row(world.head)), 0, null);
      return { kind: 'small', entries: new Map(keys.map((key) => [key, entry])) };
    },
  };
  const mark = { generation: 'one', position: positionOf(row(5)) };
  const redis = {
    ...{ buckets: 1, adopted: () => 'one', adopt: () => undefined },
    marks: async () => [{ bucket: 0, raw: '', mark }],
    apply: async () => {
      world.onApply();
      return true;
    },
  };
  const reconciler = new Reconciler({
    ...{ table: 'configs', pageSize: 10, onChange: 'evict', local: world.local },
    log: log as ChangeLog,
    redis: redis as unknown as RedisTier, // all that these turns call
    now: () => ({ monotonicMs: world.nowMs, wallMs: world.nowMs }),
  });
  reconciler.on('rebase', (reason) => world.told.push(reason));
  reconciler.on('page', ({ to }) => world.told.push(`page to ${to.version}`));
  await reconciler.turn();
  return { world, reconciler };
}

// turn: polled, judged ---- Redis takes the page; an answer comes, of a server made anew ---- evict
test.each([
  ['is not taken in when an answer has told another one', 'another', ['start', 'diverged']],
  ['is taken in when an answer has told the same', 'one', ['start', 'page to 7']],
])('a page of one history %s meanwhile', async (_, changedAt, expected) => {
  const { world, reconciler } = await atFive();
  world.head = 7;
  world.onApply = () => world.local.lost(positionOf(row(6, changedAt)));
  await reconciler.turn();
  expect(world.told).toEqual(expected);
});

describe.each([
  ['the position', 4, (_: LocalTier<Loaded>) => {}],
  ['an answer', 5, (local: LocalTier<Loaded>) => local.lost(positionOf(row(9)))],
])('a head below that of %s', (_, head, see) => {
  test('is believed when it was asked for over 3 s, not when an answer is looked at late', async () => {
    const { world, reconciler } = await atFive();
    see(world.local);
    world.head = head;
    await reconciler.turn();
    world.onPoll = () => {
      world.nowMs += 60_000; // the process stands still
    };
    await reconciler.turn();
    expect(world.told).toEqual(['start']);
    await reconciler.turn();
    expect(world.told).toEqual(['start', 'regressed']);
  });
});

test('a log that goes on has not lost its end, though some answer is always ahead of it', async () => {
  const { world, reconciler } = await atFive();
  for (; world.head < 15; world.head++) {
    world.local.lost(positionOf(row(world.head + 1)));
    world.nowMs += 1_000;
    await reconciler.turn();
  }
  expect(world.told).not.toContain('regressed');
  expect(world.told).toContain('page to 14');
});
