/** `npm run simulate` and `npm run chaos` as processes: what they say of a planted bug, and of
 * arguments that are wrong. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mutants } from '../mutants/mutants.js';
import { Workbench } from '../mutants/workbench.js';
import { runNode } from '../support/node-program.js';

const PATIENT = { timeout: 600_000 }; // it compiles, and simulates until the bug is found
const ARGS = ['--seed', '1', '--seeds', '300', '--steps', '400'];

describe('simulate, with a bug planted in the product', PATIENT, () => {
  let bench: Workbench;
  let folder: string;
  beforeAll(async () => {
    bench = await Workbench.open();
    const [mutant] = mutants.filter(({ name }) => name === 'page-evicts-nothing');
    if (mutant === undefined) throw new Error('Expected the mutant, got none');
    folder = await bench.plant(mutant);
  }, PATIENT.timeout);
  afterAll(() => bench.close());

  const simulate = (where: string, ...args: string[]) =>
    runNode([join(where, 'test/simulation/main.js'), ...args]);

  test('tells the seed, the command that repeats it, and the acts that are enough', async () => {
    const { exitCode, stdout, stderr } = await simulate(folder, ...ARGS);
    expect([exitCode, stdout]).toEqual([1, '']);
    const [broken = ''] = stderr.split('\n');
    expect(broken).toMatch(/^(honest|no resurrected delete|monotonic|prompt|convergence)/);
    const [, seed] = /^Seed (\d+), setting \{/m.exec(stderr) ?? [];
    const [, again = ''] = /^Again: npm run simulate -- (.*)$/m.exec(stderr) ?? [];
    expect(again).toBe(`--seed ${seed} --steps 400`);

    const [, few, all] = /^(\d+) of (\d+) acts are enough: \S/m.exec(stderr) ?? [];
    expect(Number(few)).toBeGreaterThan(0);
    expect(Number(few)).toBeLessThan(Number(all));
    // The trace, between the command and that line, has these acts by their steps, and no others.
    const trace = stderr.slice(stderr.indexOf(again), stderr.indexOf(' acts are enough'));
    expect(trace.match(/^.*\[\d+\] .+$/gm)).toHaveLength(Number(few));

    const repeated = await simulate(folder, ...again.split(' '), '--no-shrink');
    expect(repeated.exitCode).toBe(1);
    expect(repeated.stderr.split('\n')[0]).toBe(broken);
    expect(repeated.stderr).not.toContain('acts are enough');
    const sound = await simulate(bench.unmodified, ...again.split(' '), '--json');
    expect([sound.exitCode, sound.stderr]).toEqual([0, '']);
    expect(JSON.parse(sound.stdout)).toMatchObject({ seeds: 1, reads: expect.any(Number) });
  });

  test('repeats a run in a world that was named, too', async () => {
    const { exitCode, stderr } = await simulate(
      folder,
      ...ARGS,
      '--setting',
      'calm',
      '--no-shrink',
    );
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^Again: npm run simulate -- --seed \d+ --steps 400 --setting calm$/m);
  });
});

describe('a wrong argument is told in a line, without a stack, and with exit code 2', () => {
  test.each([
    ['simulation', '--seed x', /'--seed <n>' argument 'x' is invalid\. Expected a whole number/],
    ['simulation', '--steps -1', /Expected a whole number/],
    ['simulation', '--steps', /argument missing/],
    ['simulation', '--setting nowhere', /Allowed choices are usual, calm/],
    ['simulation', '--sedes 3', /unknown option '--sedes'/],
    ['simulation', '7', /too many arguments/],
    ['chaos', '--seed x', /Expected a whole number/],
    ['chaos', '--flavor oracle', /Allowed choices are mysql, mariadb/],
    ['chaos', '--faults earthquake', /Expected faults among link-delay, .*; got earthquake/],
    ['chaos', '--sedes 3', /unknown option '--sedes'/],
  ])('%s: %s', PATIENT, async (program, args, told) => {
    const file = fileURLToPath(new URL(`../${program}/main.ts`, import.meta.url));
    const ended = await runNode(['--import', 'tsx', file, ...args.split(' ')]);
    expect(ended).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(told) });
    expect(ended.stderr).not.toMatch(/^\s+at /m);
    expect(ended.stderr.trim().split('\n').length).toBeLessThanOrEqual(2); // commander may ask what was meant
  });
});
