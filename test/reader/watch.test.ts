/** Watches over a log that is a plain array: order, resuming, resets, and what they hold. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type LogRow, type Position, positionOf } from '../../src/core/position.js';
import { InvalidPositionError, UnavailableError } from '../../src/errors.js';
import {
  parseWatchId,
  type Watch,
  Watches,
  type WatchesOptions,
  watchIdOf,
} from '../../src/reader/watch.js';

/** A log, and a reader that has applied a part of it. */
class Bench {
  log: LogRow[] = [];
  applied: Position = { version: 0, fingerprint: '' };
  polls = 0;
  readonly resets: string[] = [];
  readonly watches: Watches;
  /** Called while a poll is under way. */
  during: () => void = () => undefined;

  constructor(options: Partial<WatchesOptions> = {}) {
    this.watches = new Watches({
      table: 'configs',
      applied: () => this.applied,
      poll: async (version, limit) => {
        this.polls += 1;
        await turn();
        const rows = this.log.filter((row) => row.version >= version).slice(0, limit);
        const snapshot = { head: this.log.at(-1)?.version ?? 0, beatAtMs: 0, clockMs: 0, rows };
        this.during();
        return snapshot;
      },
      reach: async (version) => {
        await turn();
        this.during();
        return this.applied.version >= version;
      },
      onReset: (reason) => this.resets.push(reason),
      maxWatchers: 10,
      ...options,
    });
  }

  write(key: string, { table = 'configs', at = '12:00' } = {}): void {
    const version = (this.log.at(-1)?.version ?? 0) + 1;
    this.log.push({ version, table, key, changedAt: at });
  }

  /** One page of the reconciler, up to the head. */
  apply(): void {
    const from = this.applied;
    const rows = this.log.filter((row) => row.version > from.version);
    const last = rows.at(-1);
    if (last === undefined) return;
    this.applied = positionOf(last);
    this.watches.page({ from, to: this.applied, rows });
  }

  wrote(...keys: string[]): void {
    for (const key of keys) this.write(key);
    this.apply();
  }
}

async function take(watch: Watch, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  while (taken.length < count) {
    const { value } = await watch.next();
    if (value === undefined) break;
    taken.push(value.kind === 'change' ? `${value.version} ${value.key}` : value.reason);
  }
  return taken;
}

describe('a watch', () => {
  test('begins when it is called for, and hands out what has its prefix, in order', async () => {
    const bench = new Bench();
    bench.wrote('p/0');
    const watch = bench.watches.open('p/');
    bench.write('p/2');
    bench.write('p/1', { table: 'others' });
    bench.wrote('q/1', 'p/1', 'p/2');
    expect(await take(watch, 3)).toEqual(['2 p/2', '5 p/1', '6 p/2']);
    expect(bench.polls).toBe(0);
  });

  test('waits for what is to come, and ends by its signal, by return and with all others', async () => {
    const bench = new Bench();
    const control = new AbortController();
    const all = [
      bench.watches.open('', { signal: control.signal }),
      bench.watches.open(''),
      bench.watches.open(''),
      bench.watches.open('', { signal: AbortSignal.abort() }),
    ];
    expect(bench.watches.size).toBe(3);
    const nexts = all.map((watch) => watch.next());
    control.abort();
    await all[1]?.return();
    bench.watches.close();
    expect(await Promise.all(nexts)).toEqual(all.map(() => ({ value: undefined, done: true })));
    expect(bench.watches.size).toBe(0);
    for await (const event of all[0] ?? []) expect(event).toBe('none');
  });

  test('resumes at any version without a gap or a duplicate, whatever comes meanwhile', async () => {
    for (let after = 0; after <= 9; after += 1) {
      const bench = new Bench({ pageSize: 2 });
      bench.wrote(...Array.from({ length: 9 }, (_, index) => `k${index + 1}`));
      const row = bench.log[after - 1];
      let more = 3;
      bench.during = () => {
        if (more > 0) bench.wrote(`k${10 + 3 - more}`);
        more -= 1;
      };
      const id = row === undefined ? after : watchIdOf(positionOf(row));
      const watch = bench.watches.open('', { after: id });
      const expected = Array.from({ length: 14 }, (_, index) => index + 1).filter((v) => v > after);
      const taking = take(watch, expected.length);
      while (bench.log.length < 14) {
        await turn();
        if (watch.live) bench.wrote(`k${bench.log.length + 1}`);
      }
      expect(await taking, `after ${after}`).toEqual(expected.map((v) => `${v} k${v}`));
      expect(bench.resets).toEqual([]);
    }
  });

  test('hands out nothing that its reader has not applied', async () => {
    const bench = new Bench();
    bench.wrote('a');
    bench.write('b'); // is in the log, and not applied yet
    const watch = bench.watches.open('', { after: 0 });
    expect(await take(watch, 1)).toEqual(['1 a']);
    const next = take(watch, 1);
    await turn();
    expect(watch.live).toBe(true);
    bench.apply();
    expect(await next).toEqual(['2 b']);
  });

  test('reads as much of the log as its consumer asks for', async () => {
    const bench = new Bench({ pageSize: 10 });
    bench.wrote(...Array.from({ length: 1_000 }, () => 'k'));
    const watch = bench.watches.open('', { after: 0 });
    await turn();
    expect(bench.polls).toBe(0);
    await take(watch, 10);
    expect(bench.polls).toBe(1);
    expect(watch.id).toBe(watchIdOf(positionOf(bench.log[9] as LogRow)));
  });

  test('shares what many read at the same place', async () => {
    const bench = new Bench({ pageSize: 10 });
    bench.wrote(...Array.from({ length: 30 }, () => 'k'));
    const watches = Array.from({ length: 10 }, () => bench.watches.open('', { after: 1 }));
    await Promise.all(watches.map((watch) => take(watch, 29)));
    expect(bench.polls).toBe(3);
  });

  test('is reset when the log was pruned past its position', async () => {
    const bench = new Bench();
    bench.wrote('a', 'b', 'c', 'd');
    const [first] = bench.log;
    bench.log = bench.log.slice(2);
    for (const after of [1, watchIdOf(positionOf(first as LogRow))]) {
      const watch = bench.watches.open('', { after });
      expect(await watch.next()).toEqual({
        done: false,
        value: {
          kind: 'reset',
          version: bench.applied.version,
          id: watchIdOf(bench.applied),
          reason: 'pruned',
        },
      });
      bench.wrote('e');
      expect(await take(watch, 1)).toEqual([`${bench.log.length + 2} e`]);
    }
    // The row itself need not be there for a bare version: all that follows it is.
    const watch = bench.watches.open('', { after: 2 });
    expect(await take(watch, 2)).toEqual(['3 c', '4 d']);
  });

  test('is reset when its position is of another history', async () => {
    const bench = new Bench();
    bench.wrote('a', 'b', 'c');
    for (const version of [2, 3]) {
      const watch = bench.watches.open('', { after: `${version}.fromAnother1` });
      expect(await take(watch, 1)).toEqual(['diverged']);
    }
  });

  test('waits for a reader that is behind, and is reset when that does not come', async () => {
    const bench = new Bench();
    bench.wrote('a');
    const ahead = { version: 2, table: 'configs', key: 'b', changedAt: '12:00' };
    const watch = bench.watches.open('', { after: watchIdOf(positionOf(ahead)) });
    bench.during = () => bench.wrote('b', 'c');
    expect(await take(watch, 1)).toEqual(['3 c']);
    bench.during = () => undefined;
    const absurd = bench.watches.open('', { after: Number.MAX_SAFE_INTEGER });
    expect(await take(absurd, 1)).toEqual(['ahead']);
    expect(absurd.id).toBe(watchIdOf(bench.applied));
  });

  test('is reset when its reader starts again, also while it reads the log', async () => {
    const bench = new Bench();
    bench.wrote('a', 'b');
    const live = bench.watches.open('');
    bench.wrote('c');
    const behind = bench.watches.open('', { after: 1 });
    let isFirst = true;
    bench.during = () => {
      if (isFirst) bench.watches.rebase('diverged');
      isFirst = false;
    };
    expect(await take(behind, 1)).toEqual(['diverged']);
    await turn(); // what it was reading is there now
    expect(await take(live, 1)).toEqual(['diverged']); // and not what it had waiting
    bench.wrote('d');
    expect(await take(behind, 1)).toEqual(['4 d']);
    expect(await take(live, 1)).toEqual(['4 d']);
  });

  test('is reset when its consumer is too slow, and holds no more than its bound', async () => {
    const bench = new Bench({ maxQueued: 3 });
    const slow = bench.watches.open('');
    const quick = bench.watches.open('');
    for (let round = 0; round < 100; round += 1) {
      bench.wrote('k');
      expect(await take(quick, 1)).toEqual([`${round + 1} k`]);
    }
    expect(await take(slow, 1)).toEqual(['slow']);
    expect(new Set(bench.resets)).toEqual(new Set(['slow']));
    // A page of many at once is no reason: it is there in any case.
    bench.wrote(...Array.from({ length: 50 }, () => 'k'));
    expect(await take(quick, 50)).toHaveLength(50);
  });

  test('ends with the error when the log cannot be read', async () => {
    const bench = new Bench({
      poll: async () => {
        throw new UnavailableError('away');
      },
    });
    bench.wrote('a', 'b');
    const watch = bench.watches.open('', { after: 1 });
    await expect(watch.next()).rejects.toThrow('away');
    expect(await watch.next()).toEqual({ value: undefined, done: true });
    expect(bench.watches.size).toBe(0);
  });

  test('is one of a bounded number', () => {
    const bench = new Bench({ maxWatchers: 2 });
    const first = bench.watches.open('');
    bench.watches.open('');
    expect(() => bench.watches.open('')).toThrow(UnavailableError);
    first.end();
    bench.watches.open('');
  });

  test('goes on from an id or a version, and from nothing else', () => {
    expect(parseWatchId('42.abcdefghi_-0')).toEqual({ version: 42, fingerprint: 'abcdefghi_-0' });
    expect(parseWatchId(42)).toEqual({ version: 42, fingerprint: '' });
    for (const id of ['', 'x', '-1', '1.', '1 2', '1.5.6', '9007199254740992', 1.5, Number.NaN]) {
      expect(() => parseWatchId(id), String(id)).toThrow(InvalidPositionError);
    }
  });
});
