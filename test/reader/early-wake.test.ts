/** The early wake over a connection that does what the test says. */
import type { Connection } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UnavailableError } from '../../src/errors.js';
import type { Glance } from '../../src/mysql/glance.js';
import { GtidWake } from '../../src/mysql/wake.js';
import { PollLoop } from '../../src/reader/poll-loop.js';

const A = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const B = '4fa62a58-9e30-11f0-8a2f-0242ac120002';
const INTERVAL_MS = 1_000;
const GRACE_MS = 500;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A replica: what it has executed, and the waits of its connections. */
class FakeReplica {
  executed = `${A}:1-5`;
  mode = 'ON';
  /** Of the log. */
  head = 1;
  readonly asked: string[] = [];
  /** Each GTID that was waited for. */
  readonly waits: string[] = [];
  connections = 0;
  destroyed = 0;
  /** Answers a wait by hand instead. */
  onWait: (() => Promise<object>) | undefined;
  #end: ((row: object) => void) | undefined;

  /** The transaction that somebody waits for, or another one, which leaves the log as it is. */
  apply(executed: string): void {
    this.executed = executed;
    this.#end?.({ late: 0, executed });
  }

  /** One that the log shows. */
  change(executed: string): void {
    this.head += 1;
    this.apply(executed);
  }

  async connect(): Promise<Connection> {
    this.connections += 1;
    const fake = {
      on: () => undefined,
      destroy: () => {
        this.destroyed += 1;
      },
      query: async (sql: string, [gtid = '', seconds = 0]: [string?, number?] = []) => {
        this.asked.push(sql);
        if (sql.includes('VERSION')) return [[{ version: '8.4.0' }]];
        return [await this.#answer(sql, gtid, seconds)];
      },
    };
    return fake as unknown as Connection; // all that the wake calls
  }

  async #answer(sql: string, gtid: string, seconds: number): Promise<object> {
    const asked_at = new Date().toISOString().replace('Z', '');
    const position = { executed: this.executed, mode: this.mode };
    const waited = sql.includes('WAIT') ? await this.#wait(gtid, seconds) : position;
    const first = { ...waited, asked_at };
    const row = {
      version: this.head,
      table_name: '',
      row_key: '',
      changed_at: '',
      before_version: null,
    };
    return [[first], [{ head: this.head, beat_at: '', ...row }]]; // looked at after the wait
  }

  #wait(gtid: string, seconds: number): Promise<object> {
    this.waits.push(gtid);
    if (this.onWait !== undefined) return this.onWait();
    return new Promise((resolve) => {
      const late = () => resolve({ late: 1, executed: this.executed });
      const timer = setTimeout(late, seconds * 1000);
      this.#end = (row) => {
        clearTimeout(timer);
        resolve(row);
      };
    });
  }
}

/** A loop that is woken by `replica`. */
async function start(replica: FakeReplica) {
  const faults: string[] = [];
  const wake = new GtidWake({
    connection: {},
    intervalMs: INTERVAL_MS,
    graceMs: GRACE_MS,
    isOneServer: true,
    onFault: (reason) => faults.push(reason),
    connect: () => replica.connect(),
  });
  const turn = vi.fn(async (_glance?: Glance) => false);
  const loop = new PollLoop({
    turn,
    intervalMs: INTERVAL_MS,
    random: () => 0.5, // no jitter
    onFailure: () => undefined,
    wake,
  });
  await loop.start();
  await vi.advanceTimersByTimeAsync(20); // connected, polled once more, past the first pause
  const stop = async () => {
    wake.close();
    await loop.stop();
  };
  return { faults, wake, turn, stop };
}

describe('the early wake', () => {
  test('ends the pause when the next transaction has been applied', async () => {
    const replica = new FakeReplica();
    const { turn, wake, stop } = await start(replica);
    expect(replica.waits).toEqual([`${A}:6`]);
    turn.mockClear();
    replica.change(`${A}:1-6`);
    await vi.advanceTimersByTimeAsync(0);
    expect(turn).toHaveBeenCalledTimes(1);
    expect(replica.waits).toEqual([`${A}:6`, `${A}:7`]);
    expect(wake.wakes).toEqual({ news: 1, nothing: 0 });
    await stop();
  });

  test('sees what is committed, whatever the server has sessions see by default', async () => {
    const replica = new FakeReplica();
    const { stop } = await start(replica);
    const session = replica.asked.slice(
      0,
      replica.asked.findIndex((sql) => sql.includes('WAIT')),
    );
    expect(session.join()).toContain('autocommit = 1');
    expect(session.join()).toContain('ISOLATION LEVEL REPEATABLE READ');
    await stop();
  });

  test('tells when MySQL-B was asked, by both clocks, not when it has answered', async () => {
    const replica = new FakeReplica();
    const { turn, stop } = await start(replica);
    const [askedAtMs, clockMs] = [performance.now(), Date.now()];
    replica.change(`${A}:1-6`); // so that a wait begins now
    await vi.advanceTimersByTimeAsync(700);
    turn.mockClear();
    replica.change(`${A}:1-7`);
    await vi.advanceTimersByTimeAsync(0);
    const glance = turn.mock.calls[0]?.[0];
    expect(glance?.askedAtMs).toBe(askedAtMs);
    expect(glance?.snapshot.clockMs).toBe(clockMs + 1); // rounded up
    expect(glance?.snapshot.head).toBe(replica.head);
    await stop();
  });

  test('ends none for a transaction that leaves the log as it is', async () => {
    const replica = new FakeReplica();
    const { turn, wake, stop } = await start(replica);
    turn.mockClear();
    replica.apply(`${A}:1-6`);
    await vi.advanceTimersByTimeAsync(100);
    expect(turn).not.toHaveBeenCalled();
    expect(replica.waits).toEqual([`${A}:6`, `${A}:7`]);
    expect(wake.wakes).toEqual({ news: 0, nothing: 1 });
    await stop();
  });

  test('leaves polls at their interval on an idle database, with one wait at a time', async () => {
    const replica = new FakeReplica();
    const { turn, stop } = await start(replica);
    turn.mockClear();
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 10);
    expect(turn).toHaveBeenCalledTimes(10);
    expect(replica.waits.length).toBeLessThanOrEqual(11);
    expect(replica.connections).toBe(1);
    await stop();
  });

  test('follows a new source after one interval', async () => {
    const replica = new FakeReplica();
    const { turn, stop } = await start(replica);
    replica.head += 1;
    replica.executed = `${A}:1-5,${B}:1`; // nobody waits for that
    await vi.advanceTimersByTimeAsync(INTERVAL_MS);
    expect(replica.waits.at(-1)).toBe(`${B}:2`);
    turn.mockClear();
    replica.change(`${A}:1-5,${B}:1-2`);
    await vi.advanceTimersByTimeAsync(0);
    expect(turn).toHaveBeenCalledTimes(1);
    await stop();
  });

  test('of a transaction that was applied during a turn is not lost', async () => {
    const replica = new FakeReplica();
    const { turn, stop } = await start(replica);
    turn.mockClear();
    turn.mockImplementationOnce(async () => {
      replica.change(`${A}:1-6`);
      await new Promise((resolve) => setTimeout(resolve, 10));
      return false;
    });
    await vi.advanceTimersByTimeAsync(INTERVAL_MS + 10);
    expect(turn).toHaveBeenCalledTimes(2);
    await stop();
  });

  test('comes less and less often while it brings nothing, and often again with news', async () => {
    const replica = new FakeReplica();
    const { turn, stop } = await start(replica);
    turn.mockClear();
    const startedAtMs: number[] = [];
    replica.onWait = async () => {
      startedAtMs.push(performance.now());
      if (startedAtMs.length === 20) replica.head += 1;
      return { late: 0, executed: `${A}:1-${startedAtMs.length + 5}` };
    };
    replica.apply(`${A}:1-5`);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(turn).toHaveBeenCalledTimes(2); // the one with news, and one at the interval
    const pausesMs = startedAtMs.slice(1).map((atMs, index) => atMs - (startedAtMs[index] ?? 0));
    expect(pausesMs.slice(10, 24)).toEqual([...Array(9).fill(32), 0, 8, 16, 32, 32]);
    await stop();
  });

  test.each<[string, Partial<FakeReplica>, string]>([
    ['GTIDs are off', { mode: 'OFF' }, 'switch on gtid_mode'],
    ['GTIDs are not used by all', { mode: 'OFF_PERMISSIVE' }, 'switch on gtid_mode'],
    ['nothing was executed', { executed: '' }, 'switch on gtid_mode'],
    ['the set cannot be read', { executed: 'strange' }, 'Expected a set of GTIDs'],
    [
      'the wait is refused',
      {
        onWait: () => Promise.reject(Object.assign(new Error(), { code: 'ER_SP_DOES_NOT_EXIST' })),
      },
      'ER_SP_DOES_NOT_EXIST',
    ],
    [
      'the wait does not wait',
      { onWait: async () => ({ late: 1, executed: `${A}:1-5` }) },
      'does not wait',
    ],
    ['the wait is never answered', { onWait: () => new Promise(() => {}) }, 'not answer in time'],
  ])('is off while %s: says so once, and polls go on', async (_, state, reason) => {
    const replica = Object.assign(new FakeReplica(), state);
    const { turn, faults, stop } = await start(replica);
    turn.mockClear();
    await vi.advanceTimersByTimeAsync(INTERVAL_MS * 60);
    expect(turn).toHaveBeenCalledTimes(60);
    expect(faults).toEqual([expect.stringContaining(reason)]);
    expect(replica.connections).toBeGreaterThan(3);
    expect(replica.connections).toBeLessThan(10);
    expect(replica.destroyed).toBeGreaterThanOrEqual(replica.connections - 1);
    await stop();
  });

  test('comes back by itself after a fault, and says the next one', async () => {
    const replica = new FakeReplica();
    const { turn, faults, stop } = await start(replica);
    const lose = async () => {
      replica.onWait = () => Promise.reject(new Error('lost'));
      replica.apply(`${A}:1-${replica.waits.length + 10}`);
      await vi.advanceTimersByTimeAsync(100);
      replica.onWait = undefined;
      await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
    };
    await lose();
    await lose();
    expect(faults).toEqual(['lost', 'lost']);
    turn.mockClear();
    replica.change(`${A}:1-99`);
    await vi.advanceTimersByTimeAsync(0);
    expect(turn).toHaveBeenCalledTimes(1);
    await stop();
  });

  test('leaves a MySQL-B that fails its polls the rest that backoff gives it', async () => {
    const replica = new FakeReplica();
    const { turn, stop } = await start(replica);
    turn.mockImplementation(async () => {
      throw new UnavailableError('away');
    });
    await vi.advanceTimersByTimeAsync(INTERVAL_MS); // the first failure
    turn.mockClear();
    for (let number = 6; number < 86; number++) {
      replica.change(`${A}:1-${number}`);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(turn.mock.calls.length).toBeLessThanOrEqual(5); // after 1, 2, 2, 2 s
    await stop();
  });

  test('ends with close, at once, whatever is under way, and leaves no timer', async () => {
    const replica = new FakeReplica();
    replica.onWait = () => new Promise(() => {});
    const { stop } = await start(replica);
    await stop();
    expect(replica.destroyed).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
