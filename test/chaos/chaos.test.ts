/**
 * Short chaos runs: all guarantees hold under faults on real servers, with each kind of Redis; and a
 * reader that lies is found, so the silence of the others means something.
 */
import { describe, expect, test } from 'vitest';
import { flavors } from '../support/data-centers.js';
import { type RunOptions, type RunResult, run } from './run.js';

const TIMEOUT_MS = 600_000;

async function chaos(
  options: Pick<RunOptions, 'seed' | 'seconds' | 'flavor'> & Partial<RunOptions>,
) {
  const said: string[] = [];
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const usual = { redis: 'standalone', faultsPerMinute: 60, readsPerSecond: 900 } as const;
  const result = await run({ ...usual, signal, say: (line) => said.push(line), ...options });
  return { result, said };
}

function expectAllWell({ verdict, faults, convergencesMs, deaths }: RunResult): void {
  expect(verdict.first).toEqual([]);
  expect(verdict.violations).toBe(0);
  expect(verdict.lost).toBe(0);
  expect(deaths).toEqual([]);
  // It was a run worth the name.
  expect(Object.keys(faults).length).toBeGreaterThan(5);
  expect(convergencesMs.length).toBeGreaterThan(0);
  expect(verdict.head).toBeGreaterThan(100);
  expect(verdict.redisEntries).toBeGreaterThan(0);
  const answered = Object.values(verdict.tiers).reduce((sum, count) => sum + count, 0);
  expect(answered).toBeGreaterThan(1_000);
}

describe.each(flavors)('on %s', (flavor) => {
  test(
    'nothing is violated under all kinds of faults',
    async () => {
      const { result } = await chaos({ seed: 20, seconds: 40, flavor });
      expectAllWell(result);
    },
    TIMEOUT_MS,
  );

  test(
    'nothing is violated when A fails over and loses its tail',
    async () => {
      const faults = ['failover-losing-tail', 'hot-key'];
      const { result } = await chaos({ seed: 3, seconds: 15, flavor, faults });
      expect(result.verdict.first).toEqual([]);
      expect(result.faults['failover-losing-tail']).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});

describe.each(flavors.slice(0, 1))('on %s', (flavor) => {
  test.each(['sentinel', 'cluster'] as const)(
    'nothing is violated with Redis as a %s',
    async (redis) => {
      const { result } = await chaos({ seed: 21, seconds: 30, flavor, redis });
      expectAllWell(result);
    },
    TIMEOUT_MS,
  );

  test(
    'a reader that answers from a memory of its own is found',
    async () => {
      const faults = ['hot-key', 'redis-reset'];
      const { result } = await chaos({ seed: 22, seconds: 10, flavor, faults, lying: true });
      expect(result.verdict.violations).toBeGreaterThan(0);
      const liars = new Set(result.verdict.first.map(({ facts }) => String(facts.reader)));
      expect([...liars]).toEqual(['reader-1#1']);
    },
    TIMEOUT_MS,
  );
});
