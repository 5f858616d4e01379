/** A run that fails is told small: as few acts as do it, and what happens when only they are done. */
import { expect, test } from 'vitest';
import { type ExploreOptions, explore, Found } from './explore.js';
import { type Setting, settings } from './setting.js';
import { shrink } from './shrink.js';
import type { Guarantee } from './violation.js';

/** Fewer would leave little to leave out. */
const MANY_ACTS = 15;

/** R1 taken out: fills below the mark are stored. */
const withoutR1 = (source: string) =>
  source.replace(/^if version < tonumber\(ARGV\[2\]\) or .*$/m, '');

async function failure(options: ExploreOptions): Promise<Found | undefined> {
  try {
    await explore(options);
    return undefined;
  } catch (error) {
    if (error instanceof Found) return error;
    throw error;
  }
}

/** The first seed without R1 that breaks `guarantee`. */
async function firstFailure(guarantee: Guarantee, setting: Setting) {
  for (let seed = 1; seed <= 200; seed++) {
    const exploring = { seed, steps: 500, setting, editScript: withoutR1 };
    const found = await failure({ ...exploring, tracing: true });
    if (found?.guarantee === guarantee && found.done.size >= MANY_ACTS) return { exploring, found };
  }
  throw new Error(`Expected a seed that breaks '${guarantee}', got none.`);
}

// Parts of the run that broke 'honest' break 'marks honest', which is another fault's trace.
test.each<[Guarantee, Setting]>([
  ['marks honest', settings.usual],
  ['honest', { ...settings.lag, keys: ['a'] }],
])(
  'what is left of a run that broke "%s" breaks it again, and no act of it can be spared',
  async (guarantee, setting) => {
    const { exploring, found } = await firstFailure(guarantee, setting);
    const small = await shrink(exploring, found);
    expect(small.of).toBe(found.done.size);
    expect(small.acts).toBeLessThan(small.of / 2);
    expect(small.found.guarantee).toBe(guarantee);
    expect(small.found.trace.length).toBeLessThan(found.trace.length);

    const kept = small.found.done;
    expect(kept.size).toBe(small.acts);
    const told = [...small.found.trace.matchAll(/^\[\d+\] .*$/gm)].map(([line]) => line);
    expect(told).toEqual([...kept].map(([step, name]) => `[${step}] ${name}`));

    const out = [...Array(exploring.steps).keys()].filter((step) => !kept.has(step));
    const again = async (more: readonly number[]) => {
      const without = { steps: new Set([...out, ...more]) };
      return (await failure({ ...exploring, steps: small.found.steps, without }))?.guarantee;
    };
    expect(await again([])).toBe(guarantee);
    for (const step of kept.keys()) expect(await again([step])).not.toBe(guarantee);
  },
);
