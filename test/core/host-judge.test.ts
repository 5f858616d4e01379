import { beforeEach, describe, expect, test } from 'vitest';
import { HostJudge } from '../../src/core/host-judge.js';

const STALE_AFTER_MS = 5_000;

let judge: HostJudge;
let nowMs: number;

beforeEach(() => {
  judge = new HostJudge({ hosts: 2, staleAfterMs: STALE_AFTER_MS });
  nowMs = 1_000_000;
});

/** A poll that was sent when `floor` was known, of a heartbeat so many ms ago. */
function polled(host: number, head: number, beatAgeMs: number, floor = judge.head) {
  const now = { wallMs: nowMs, monotonicMs: nowMs };
  return judge.judge(host, { head, beatAtMs: nowMs - beatAgeMs }, floor, now);
}

const TAKE = { take: true, leave: undefined };

test('a host that goes on is stayed with', () => {
  expect(polled(0, 10, 100)).toEqual(TAKE);
  expect(polled(0, 10, 100)).toEqual(TAKE);
  expect(polled(0, 12, 100)).toEqual(TAKE);
});

describe('a host behind what was seen', () => {
  beforeEach(() => void polled(0, 10, 100));

  test('is left, and its snapshot is not handed on', () => {
    expect(polled(1, 9, 200)).toEqual({ take: false, leave: 'behind' });
    expect(polled(1, 9, 200)).toEqual({ take: false, leave: 'behind' });
    expect(polled(0, 10, 100)).toEqual(TAKE);
  });

  test('is behind an answer that only a load has seen', () => {
    judge.saw(12);
    expect(polled(0, 11, 200)).toEqual({ take: false, leave: 'behind' });
  });

  test('is not one whose answer was on its way when another brought more', () => {
    const floor = judge.head;
    judge.saw(12);
    expect(polled(0, 11, 200, floor)).toEqual(TAKE);
    expect(judge.head).toBe(12);
  });

  test('is another history when its heartbeat is newer than any', () => {
    expect(polled(1, 9, 50)).toEqual(TAKE);
    expect(judge.head).toBe(9);
    expect(polled(1, 9, 50)).toEqual(TAKE);
  });

  test('is believed when every host is, and the one that is least behind is kept', () => {
    expect(polled(1, 7, 200)).toMatchObject({ take: false });
    expect(polled(0, 6, 200)).toEqual({ take: true, leave: 'behind' });
    expect(polled(1, 7, 200)).toEqual(TAKE);
    expect(polled(1, 10, 200)).toEqual(TAKE);
    expect(polled(0, 9, 200)).toEqual({ take: false, leave: 'behind' });
  });
});

describe('a host whose heartbeat is old', () => {
  test('is left, and its snapshot handed on', () => {
    expect(polled(0, 10, STALE_AFTER_MS)).toEqual(TAKE);
    expect(polled(0, 10, STALE_AFTER_MS + 1)).toEqual({ take: true, leave: 'stale' });
  });

  test('is left less and less often while no host has a newer one', () => {
    const left: number[] = [];
    for (const startMs = nowMs; nowMs - startMs < 1_000_000; nowMs += 1_000) {
      const beatAgeMs = STALE_AFTER_MS + 1 + (nowMs - startMs);
      if (polled(0, 10, beatAgeMs).leave) left.push((nowMs - startMs) / 1_000);
    }
    expect(left).toEqual([0, 5, 15, 35, 75, 155, 315, 615, 915]);
  });

  test('is left at once again after a fresh heartbeat', () => {
    expect(polled(0, 10, STALE_AFTER_MS + 1).leave).toBe('stale');
    expect(polled(0, 10, STALE_AFTER_MS + 1).leave).toBe(undefined);
    expect(polled(1, 11, 100)).toEqual(TAKE);
    nowMs += 10_000;
    expect(polled(1, 11, 10_100).leave).toBe('stale');
  });
});
