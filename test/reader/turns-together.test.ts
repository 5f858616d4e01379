import { describe, expect, test } from 'vitest';
import type { LogSnapshot } from '../../src/core/position.js';
import { PollsTogether } from '../../src/mysql/polls-together.js';
import { TurnsTogether } from '../../src/reader/turns-together.js';

/** A wake that the test gives. */
class Wake {
  onWake: (() => void) | undefined;
  arm(onWake: () => void): void {
    this.onWake = onWake;
  }
  disarm(): void {
    this.onWake = undefined;
  }
}

function scene() {
  const wake = new Wake();
  const turns = new TurnsTogether(wake);
  const [a, b] = [turns.member(), turns.member()];
  const woken: string[] = [];
  /** As a poll loop does: what ends its pause begins its turn. */
  const pause = (name: string, member: typeof a) =>
    member.arm(() => {
      woken.push(name);
      member.disarm();
    });
  return { wake, a, b, woken, pause };
}

describe('turns together', () => {
  test('when one pause ends, the others end, once each', () => {
    const { a, b, woken, pause } = scene();
    pause('a', a);
    pause('b', b);
    a.disarm();
    expect(woken).toEqual(['b']);
  });

  test('a wake ends all pauses', () => {
    const { wake, a, b, woken, pause } = scene();
    pause('a', a);
    pause('b', b);
    wake.onWake?.();
    expect(woken.sort()).toEqual(['a', 'b']);
    expect(wake.onWake).toBeUndefined();
  });

  // a: turn ───── pause (woken) ── turn
  // b: turn ──────────────────────────── pause: ends at once, the wake came since its turn began
  test('who was in a turn when the wake came takes another at once', () => {
    const { wake, a, b, woken, pause } = scene();
    a.disarm();
    b.disarm();
    pause('a', a);
    wake.onWake?.();
    expect(woken).toEqual(['a']);
    pause('b', b);
    expect(woken).toEqual(['a', 'b']);
    pause('b', b);
    expect(woken).toEqual(['a', 'b']); // that turn has seen it
  });

  test('do without a wake', () => {
    const turns = new TurnsTogether(undefined);
    const woken: string[] = [];
    const [a, b] = [turns.member(), turns.member()];
    a.arm(() => woken.push('a'));
    b.disarm();
    expect(woken).toEqual(['a']);
  });
});

describe('polls together', () => {
  const snapshot = (head: number, beatAtMs = 0): LogSnapshot => ({
    head,
    beatAtMs,
    clockMs: 0,
    rows: [],
  });

  test('of one moment, from one version, are one statement, begun after all have asked', async () => {
    const polls = new PollsTogether();
    const asked: number[] = [];
    const poll = async (version: number) => {
      asked.push(version);
      return snapshot(version);
    };
    const answers = [polls.ask(1, 9, poll), polls.ask(1, 9, poll), polls.ask(2, 9, poll)];
    expect(asked).toEqual([]);
    const [one, same, other] = await Promise.all(answers);
    expect(one).toBe(same);
    expect(other?.head).toBe(2);
    expect(asked).toEqual([1, 2]);
  });

  test('never join one that is under way', async () => {
    const polls = new PollsTogether();
    let asked = 0;
    let end = (_: LogSnapshot) => {};
    const poll = () => {
      asked += 1;
      return new Promise<LogSnapshot>((resolve) => {
        end = resolve;
      });
    };
    const first = polls.ask(1, 9, poll);
    while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
    const endFirst = end;
    const second = polls.ask(1, 9, poll);
    endFirst(snapshot(1));
    expect((await first).head).toBe(1);
    while (asked === 1) await new Promise((resolve) => setImmediate(resolve));
    end(snapshot(2));
    expect((await second).head).toBe(2);
  });

  test('a failure is told to all who share it, and the next poll is a new one', async () => {
    const polls = new PollsTogether();
    const failing = async () => Promise.reject(new Error('away'));
    const both = [polls.ask(1, 9, failing), polls.ask(1, 9, failing)];
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect((await polls.ask(1, 9, async () => snapshot(3))).head).toBe(3);
  });
});
