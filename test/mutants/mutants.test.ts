import { describe, expect, test } from 'vitest';
import { filesOf, isKilled, type Mutant, planted } from './mutant.js';
import { mutants } from './mutants.js';
import { runAll } from './run.js';
import { compiled } from './workbench.js';

/** Found within seconds; all the others by `npm run mutants`. */
const QUICK = [
  'page-evicts-nothing',
  'apply-newer-than-the-mark',
  'fills-land-anyhow',
  'read-any-generation',
  'last-row-dropped',
];

/** Child processes that compile and simulate: nobody's patience is tested here. */
const PATIENT = { timeout: 600_000 };

describe('the planted bugs', () => {
  test.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
    '%s still applies to the product',
    async (_, mutant) => {
      for (const { code } of await compiled(mutant)) expect(code).not.toBe('');
    },
  );

  test('are many, and each has a name of its own', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(40);
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  test('a few of them are found, and the product without them is not', PATIENT, async () => {
    const chosen = mutants.filter(({ name }) => QUICK.includes(name));
    expect(chosen).toHaveLength(QUICK.length);
    const results = await runAll(chosen, 2, () => undefined);
    const unmodified = results.filter(({ mutant }) => mutant === undefined);
    expect(unmodified.length).toBeGreaterThan(0);
    expect(results).toHaveLength(QUICK.length + unmodified.length);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  });
});

describe('a mutant', () => {
  const mutant: Mutant = {
    name: 'one',
    wrong: 'it says b',
    file: 'a.ts',
    find: 'a',
    replace: 'b',
    guarantees: ['honest as-of'],
    budget: { by: 'simulation', seeds: 1, steps: 1 },
  };

  test('applies only where its text is, once', () => {
    expect(planted(mutant, 'a.ts', '(a)')).toBe('(b)');
    for (const source of ['(c)', 'a a']) {
      expect(() => planted(mutant, 'a.ts', source)).toThrow('no longer applies, adjust it');
    }
  });

  test('may take several edits, each of its own file', () => {
    const also = [
      { file: 'a.ts', find: 'c', replace: 'd' },
      { file: 'e.ts', find: 'a', replace: 'f' },
    ];
    expect(filesOf({ ...mutant, also })).toEqual(['a.ts', 'e.ts']);
    expect(planted({ ...mutant, also }, 'a.ts', '(a, c)')).toBe('(b, d)');
    expect(planted({ ...mutant, also }, 'e.ts', '(a, c)')).toBe('(f, c)');
  });

  test('is killed only by a violation of the guarantee that it breaks', () => {
    const found = { needed: '', details: '' };
    const honest = 'honest as-of';
    expect(isKilled(mutant, { ...found, kind: 'violation', guarantee: honest })).toBe(true);
    expect(isKilled(mutant, { ...found, kind: 'violation', guarantee: 'prompt' })).toBe(false);
    expect(isKilled(mutant, { ...found, kind: 'survived' })).toBe(false);
    expect(isKilled(mutant, { ...found, kind: 'error' })).toBe(false);
  });
});
