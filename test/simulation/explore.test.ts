import { afterEach, describe, expect, test, vi } from 'vitest';
import { Sightings } from '../../src/local/sightings.js';
import { LocalTier } from '../../src/local/tier.js';
import { acts } from './acts.js';
import { explore } from './explore.js';
import { seeds } from './seeds.js';
import { audited, drawn, type Setting, settings } from './setting.js';
import { settingOf } from './simulate.js';
import { Violation } from './violation.js';

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
const SEEDS = Number(process.env.TIDEMARK_SEEDS ?? 5);
const STEPS = 1_000;

interface Search {
  readonly seeds: number;
  readonly steps?: number;
  readonly setting: (seed: number) => Setting;
  readonly editScript?: (source: string) => string;
  /** Gets the kinds of acts that happened. */
  readonly happened?: Set<string>;
}

/** Explores seeds 1, 2, 3 ... up to `seeds`; the first violation, or undefined. */
async function firstViolation(search: Search): Promise<string | undefined> {
  const { steps = STEPS, editScript, happened } = search;
  for (let seed = 1; seed <= search.seeds; seed++) {
    const setting = search.setting(seed);
    const options = { seed, steps, setting, ...(editScript === undefined ? {} : { editScript }) };
    try {
      const run = await explore(options);
      for (const name of run.happened) happened?.add(name);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return `seed ${seed}: ${error.message}`;
    }
  }
  return undefined;
}

describe('whatever the interleaving of writes, reads, turns and faults', () => {
  test.each(Object.entries(settings))('no guarantee breaks: %s', async (_, setting) => {
    expect(await firstViolation({ seeds: SEEDS, setting: () => setting })).toBeUndefined();
  });

  test('no guarantee breaks: settings drawn by the seed', async () => {
    expect(await firstViolation({ seeds: SEEDS * 5, setting: drawn })).toBeUndefined();
  });

  test('no guarantee breaks: audits and repairs in settings drawn by the seed', async () => {
    const setting = (seed: number) => audited(drawn(seed));
    const happened = new Set<string>();
    expect(await firstViolation({ seeds: SEEDS * 5, setting, happened })).toBeUndefined();
    // No kind of act is one that never comes.
    const kinds = acts.map(({ name }) => name).filter((name) => name !== 'nothing');
    expect(kinds.filter((name) => !happened.has(name))).toEqual([]);
  });

  test.each(seeds)('no guarantee breaks any more: seed $seed ($found)', async (one) => {
    const { seed, steps } = one;
    await expect(explore({ seed, steps, setting: settingOf(one) })).resolves.toBeDefined();
  });

  test('a seed decides everything', async () => {
    const run = () => explore({ seed: 5, steps: 500, setting: settings.writers });
    expect(await run()).toEqual(await run());
  });
});

describe('the exploration finds what it is there for', () => {
  const search = { seeds: 60, steps: 500 };
  const usual = () => settings.usual;
  afterEach(() => {
    rules.r2 = rules.r3 = true;
    vi.restoreAllMocks();
  });

  test('a fill below the mark (R1 taken out)', async () => {
    expect(withoutR1('if version < tonumber(ARGV[2]) or more')).toBe('');
    const found = await firstViolation({ ...search, setting: usual, editScript: withoutR1 });
    expect(found).toMatch(/honest|monotonic|prompt/);
  });

  test('an entry that no mark vouches for (R2 taken out)', async () => {
    rules.r2 = false;
    expect(await firstViolation({ ...search, setting: usual })).toMatch(
      /honest|monotonic|prompt|resurrected/,
    );
  });

  test('a fill that lands after its key changed (R3 taken out)', async () => {
    rules.r3 = false;
    const found = await firstViolation({ ...search, setting: usual });
    expect(found).toMatch(/honest|monotonic|prompt|resurrected/);
  });

  test('an answer that saw what a failover lost (sightings taken out)', async () => {
    vi.spyOn(Sightings.prototype, 'add').mockReturnValue(undefined);
    const found = await firstViolation({ ...search, seeds: 200, setting: usual });
    expect(found).toMatch(/honest|resurrected|convergence/);
  });

  test('an answer that was pushed out of the local tier and is contradicted by Redis', async () => {
    vi.spyOn(LocalTier.prototype, 'lost').mockReturnValue(undefined);
    const found = await firstViolation({ ...search, seeds: 600, setting: () => settings.small });
    expect(found).toMatch(/monotonic|honest/);
  }, 180_000); // rare: seed 312
});
