/** A seed is a schedule: the same one each time, with overlaps, and with times of rest. */
import { describe, expect, test } from 'vitest';
import { FAULTS, faultsNamed } from './faults.js';
import { type Planned, type ScheduleOptions, schedule } from './schedule.js';

const options: ScheduleOptions = {
  ...{ seed: 1, seconds: 600, faultsPerMinute: 60, faults: FAULTS },
  ...{ flavor: 'mysql', redis: 'standalone' },
};

/** What a run has to go through; others may be added. */
const DEMANDED = [
  ...['reader-kill', 'writer-kill', 'a-kill', 'b-kill'], // SIGKILL
  ...['reader-freeze', 'writer-freeze', 'a-freeze', 'b-freeze', 'redis-freeze'], // SIGSTOP
  ...['reader-restart', 'writer-restart', 'a-restart', 'b-restart'],
  ...['redis-flush', 'redis-kill', 'redis-restore', 'redis-failover', 'redis-stale-failover'],
  ...['redis-lru', 'redis-full', 'redis-script-flush', 'redis-client-kill', 'redis-busy-script'],
  ...['redis-sleep', 'redis-corrupt', 'redis-restart'],
  ...['replication-stop', 'replication-error', 'replication-delay', 'failover-losing-tail'],
  ...['b-cut-connections', 'pruned-past-reader', 'log-hole', 'reader-clock'],
  ...['big-transaction', 'big-values', 'hot-key'],
  ...['link', 'mysql', 'redis'].flatMap((place) =>
    [
      ...['delay', 'stall', 'reset', 'refuse', 'one-way-out', 'one-way-in'],
      ...['half-open', 'blackhole'],
    ].map((kind) => `${place}-${kind}`),
  ),
];

const REPLICAS = ['redis-replica-kill', 'redis-replica-restart'];
const OF_TOPOLOGY = {
  standalone: [],
  sentinel: [...REPLICAS, 'redis-sentinel-kill', 'redis-sentinels-kill'],
  cluster: REPLICAS,
};

describe('a schedule', () => {
  test('is a function of the seed', () => {
    expect(schedule(options)).toEqual(schedule(options));
    expect(schedule(options)).not.toEqual(schedule({ ...options, seed: 2 }));
  });

  test('has about as many faults as asked for, of nearly every kind', () => {
    const planned = schedule({ ...options, seconds: 1_800 });
    expect(planned.length).toBeGreaterThan(30 * 40);
    expect(planned.length).toBeLessThan(30 * 70);
    const kinds = new Set(planned.map(({ name }) => name));
    const possible = FAULTS.filter(({ redis }) => redis?.includes('standalone') ?? true);
    expect(kinds.size).toBe(possible.length);
    const failovers = planned.filter(({ name }) => name === 'failover-losing-tail').length;
    expect(failovers).toBeGreaterThan(30 / 5);
  });

  test.each<Pick<ScheduleOptions, 'flavor' | 'redis'>>([
    { flavor: 'mysql', redis: 'standalone' },
    { flavor: 'mariadb', redis: 'sentinel' },
    { flavor: 'mysql', redis: 'cluster' },
  ])('has every fault that is demanded, with $flavor and $redis', (servers) => {
    const planned = schedule({ ...options, ...servers, seconds: 1_800 });
    const kinds = new Set(planned.map(({ name }) => name));
    const demanded = [...DEMANDED, ...OF_TOPOLOGY[servers.redis]];
    expect(demanded.filter((name) => !kinds.has(name))).toEqual([]);
  });

  test('lets up to three faults overlap, and none that touch the same', () => {
    const planned = schedule(options);
    const activeAt = (ms: number) =>
      planned.filter(({ atMs, lastsMs }) => atMs <= ms && ms < atMs + lastsMs);
    const most = planned.map(({ atMs }) => activeAt(atMs).length);
    expect(Math.max(...most)).toBe(3);
    for (const { atMs } of planned) {
      const touched = activeAt(atMs).flatMap(({ targets }) => targets);
      expect(new Set(touched).size).toBe(touched.length);
    }
  });

  test('ends all faults of a wave before the next one, and all before one that is alone', () => {
    let endMs = 0;
    let last: Planned | undefined;
    for (const one of schedule(options)) {
      if (last !== undefined && (one.wave !== last.wave || one.alone || last.alone)) {
        expect(one.atMs).toBeGreaterThanOrEqual(endMs);
      }
      endMs = Math.max(endMs, one.atMs + one.lastsMs);
      last = one;
    }
  });

  test('has only what is possible and asked for', () => {
    const faults = faultsNamed(['redis-flush', 'link-*']);
    const kinds = new Set(schedule({ ...options, faults }).map(({ name }) => name));
    expect([...kinds].every((name) => name === 'redis-flush' || name.startsWith('link-'))).toBe(
      true,
    );
    expect(() => faultsNamed(['earthquake'])).toThrow(/got earthquake/);
  });
});
