import { afterEach, describe, expect, test, vi } from 'vitest';
import { Sightings } from '../../src/local/sightings.js';
import { LocalTier } from '../../src/local/tier.js';
import { type ExploreOptions, explore } from './explore.js';
import { Violation } from './world.js';

/** The rules of coherence.ts, with a switch for each. */
const rules = vi.hoisted(() => ({ r2: true, r3: true }));
vi.mock('../../src/core/coherence.js', async (original) => {
  const real = await original<typeof import('../../src/core/coherence.js')>();
  return {
    ...real,
    answersRead: (asOf: number, required: number) => !rules.r2 || real.answersRead(asOf, required),
    mayCache: (asOf: number, floor: number) => !rules.r3 || real.mayCache(asOf, floor),
  };
});

const withoutR1 = (source: string) =>
  source.replace(/^if version < tonumber\(ARGV\[2\]\) or .*$/m, '');

/** How many seeds each setting gets; more of them on demand. */
const SEEDS = Number(process.env.TIDEMARK_SEEDS ?? 150);

/** Explores seeds 1, 2, 3 ... up to `seeds`; the first violation, or undefined. */
async function firstViolation(seeds: number, options: Omit<ExploreOptions, 'seed'> = {}) {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await explore({ ...options, seed });
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return `seed ${seed}: ${error.message}`;
    }
  }
  return undefined;
}

describe('whatever the interleaving of reads, fills, turns and faults', () => {
  test.each<[string, Omit<ExploreOptions, 'seed'>]>([
    ['two instances', {}],
    ['three instances that share two buckets', { instances: 3, buckets: 2 }],
    ['local tiers so small that they push entries out', { localMaxEntries: 1 }],
    ['local entries that are replaced instead of evicted', { onChange: 'refresh' }],
    ['replicas that lag behind one another', { lag: 2 }],
  ])('no read breaks a guarantee: %s', async (_, options) => {
    expect(await firstViolation(SEEDS, options)).toBeUndefined();
  });
});

describe('the exploration finds what it is there for', () => {
  afterEach(() => {
    rules.r2 = rules.r3 = true;
    vi.restoreAllMocks();
  });

  test('a fill below the mark (R1 taken out)', async () => {
    expect(withoutR1('if version < tonumber(ARGV[2]) or more')).toBe('');
    expect(await firstViolation(600, { editScript: withoutR1 })).toMatch(/honest|monotonic|prompt/);
  });

  test('an entry that no mark vouches for (R2 taken out)', async () => {
    rules.r2 = false;
    expect(await firstViolation(600)).toMatch(/honest|monotonic|prompt/);
  });

  test('a fill that lands after its key changed (R3 taken out)', async () => {
    rules.r3 = false;
    expect(await firstViolation(600)).toMatch(/honest|monotonic|prompt|convergence/);
  });

  test('an answer that saw what a failover lost (sightings taken out)', async () => {
    vi.spyOn(Sightings.prototype, 'add').mockReturnValue(undefined);
    expect(await firstViolation(600)).toMatch(/honest|convergence/);
  });

  test('an answer that was pushed out of the local tier and is contradicted by Redis', async () => {
    vi.spyOn(LocalTier.prototype, 'lost').mockReturnValue(undefined);
    expect(await firstViolation(600, { localMaxEntries: 1 })).toMatch(/monotonic|honest/);
  });
});
