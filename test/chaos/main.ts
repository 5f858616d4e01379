/**
 * `npm run chaos`: real servers, real processes, faults by the dozen, and a checker that knows the
 * truth. Exit status: 0 all guarantees held, 1 one was violated, 2 the run itself failed,
 * or its arguments are wrong.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Flavor } from '../../src/demo/server-kind.js';
import type { RedisKind } from './fault.js';
import { NotConvergedError } from './fault-runner.js';
import { faultsNamed } from './faults.js';
import { failureOf, report, summaryOf } from './report.js';
import { plan, run } from './run.js';

interface Flags {
  readonly seed: number;
  readonly seconds: number;
  readonly flavor: Flavor;
  readonly redis: RedisKind;
  readonly faults?: string[];
  readonly faultsPerMinute: number;
  readonly readsPerSecond: number;
  readonly keep?: boolean;
  readonly lying?: boolean;
  readonly plan?: boolean;
  readonly json?: boolean;
}

const command = new Command('chaos')
  .description('Runs Tidemark on real servers under faults, and checks every read.')
  .option('--seed <number>', 'decides which faults come when', wholeNumber, randomSeed())
  .option('--seconds <number>', 'how long faults are made', wholeNumber, 60)
  .addOption(choice('--flavor <name>', ['mysql', 'mariadb']))
  .addOption(choice('--redis <kind>', ['standalone', 'sentinel', 'cluster']))
  .option('--faults <names>', 'only these, separated by commas; name* for many', faults)
  .option('--faults-per-minute <number>', 'how many to aim at', wholeNumber, 60)
  .option('--reads-per-second <number>', 'of all embedded readers', wholeNumber, 1_500)
  .option('--keep', 'keeps the folder with the data and logs of all servers')
  .option('--lying', 'plants a bug in one reader, which must be found')
  .option('--plan', 'prints the faults that the seed makes, and runs nothing')
  .option('--json', 'ends with one line of JSON')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

await main(command.parse().opts<Flags>());
process.exit(); // nothing of a run that has ended may keep this process

async function main(flags: Flags): Promise<void> {
  const say = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  const { seed, seconds, flavor, redis } = flags;
  say(`chaos --seed ${seed} --seconds ${seconds} --flavor ${flavor} --redis ${redis}`);
  if (flags.plan) {
    for (const { atMs, name, targets, lastsMs } of plan(flags)) {
      say(`${(atMs / 1_000).toFixed(1)} s  ${name} on ${targets.join('+')} for ${lastsMs} ms`);
    }
    return;
  }
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      say(`${signal}: undoing all`);
      ending.abort();
    });
  }
  try {
    const result = await run({ ...flags, signal: ending.signal, say });
    if (ending.signal.aborted) process.exitCode = 130;
    else {
      const summary = summaryOf(flags, result);
      for (const line of report(result)) say(line);
      if (flags.json) say(JSON.stringify(summary));
      if (summary.violations > 0) process.exitCode = 1;
    }
  } catch (error) {
    const isFinding = error instanceof NotConvergedError;
    process.exitCode = isFinding ? 1 : 2;
    const what = isFinding ? 'VIOLATION' : 'The run itself failed, which says nothing of Tidemark';
    process.stderr.write(`${what}: ${described(error)}\n`);
    const soFar = isFinding ? error.soFar : undefined;
    if (flags.json) say(JSON.stringify(failureOf(flags, error, soFar)));
  }
}

function choice(flags: string, choices: readonly string[]): Option {
  return new Option(flags).choices(choices).default(choices[0]);
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}

function faults(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  try {
    faultsNamed(names);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return names;
}

function randomSeed(): number {
  return Math.floor(Math.random() * 1e6);
}

function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\nbecause of ${described(error.cause)}`;
  return `${error.stack}${cause}`;
}
