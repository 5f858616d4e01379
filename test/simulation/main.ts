/** `npm run simulate`: many seeded runs of the real reader and writer in a simulated world, each one
 * checked. A run that fails is made small, and told with the command that repeats it. Exit status:
 * 0 all guarantees held, 1 one was violated, 2 wrong arguments. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { realNowMs } from './clock.js';
import { type Explored, explore, Found } from './explore.js';
import { settings } from './setting.js';
import { shrink } from './shrink.js';
import { settingOf } from './simulate.js';

interface Options {
  readonly seed: number;
  readonly steps: number;
  readonly seeds: number;
  readonly seconds?: number;
  readonly setting?: string;
  readonly shrink: boolean;
  readonly json?: boolean;
}

const program = new Command('npm run simulate --')
  .description('Runs the real reader and writer in a simulated world, and checks every answer.')
  .option('--seed <n>', 'the first seed', wholeNumber, 1)
  .option('--seeds <n>', 'how many seeds, from the first one on', wholeNumber, 1)
  .option('--steps <n>', 'steps of each run', wholeNumber, 10_000)
  .option('--seconds <t>', 'go on with further seeds for so long', wholeNumber)
  .addOption(
    new Option('--setting <name>', 'what the world is like; else drawn by the seed').choices(
      Object.keys(settings),
    ),
  )
  .option('--no-shrink', 'tell of a failing run as it is')
  .option('--json', 'print one line of JSON')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

await main(program.parse().opts<Options>());

async function main(options: Options): Promise<void> {
  const startedMs = realNowMs();
  const total = { steps: 0, reads: 0, writes: 0, acknowledged: 0 };
  const faults: Record<string, number> = {};
  const seconds = () => (realNowMs() - startedMs) / 1_000;
  let seeds = 0;
  const isDue = () =>
    options.seconds === undefined ? seeds < options.seeds : seconds() < options.seconds;
  for (let seed = options.seed; isDue(); seed++) {
    const run = await exploreOne(seed, options);
    if (run === undefined) return;
    seeds += 1;
    total.steps += run.steps;
    total.reads += run.reads;
    total.writes += run.writes;
    total.acknowledged += run.acknowledged;
    for (const [kind, count] of Object.entries(run.faults)) {
      faults[kind] = (faults[kind] ?? 0) + count;
    }
  }
  const took = seconds();
  const stepsPerMinute = Math.round((total.steps / took) * 60);
  const told = {
    seeds,
    ...total,
    seconds: Math.round(took * 10) / 10,
    stepsPerMinute,
    readsPerSecond: Math.round(total.reads / took),
    /** Of one processor core, when others keep it busy too. */
    readsPerCpuSecond: Math.round(total.reads / (process.cpuUsage().user / 1e6)),
    faults,
  };
  console.log(options.json ? JSON.stringify(told) : told);
}

/** Undefined when a guarantee was broken, which has been told then. */
async function exploreOne(seed: number, options: Options): Promise<Explored | undefined> {
  const setting = settingOf({ ...options, seed });
  const exploring = { seed, steps: options.steps, setting };
  try {
    return await explore(exploring);
  } catch (error) {
    if (!(error instanceof Found)) throw error;
    process.exitCode = 1;
    await tell(exploring, error, options);
    return undefined;
  }
}

async function tell(
  exploring: Parameters<typeof shrink>[0],
  found: Found,
  options: Options,
): Promise<void> {
  const { seed, steps, setting } = exploring;
  const named = options.setting === undefined ? '' : ` --setting ${options.setting}`;
  console.error(`${found.message}\n`);
  console.error(`Seed ${seed}, setting ${JSON.stringify(setting)}`);
  console.error(`Again: npm run simulate -- --seed ${seed} --steps ${steps}${named}\n`);
  if (!options.shrink) return;
  const shrunk = await shrink(exploring, found);
  console.error(shrunk.found.trace);
  console.error(`\n${shrunk.acts} of ${shrunk.of} acts are enough: ${shrunk.found.message}`);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('Expected a whole number.');
}
