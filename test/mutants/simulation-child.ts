/** Runs the simulation beside it until a guarantee breaks or the budget is used up; one line out. */
import { settings } from '../simulation/setting.js';
import { simulate, Violation } from '../simulation/simulate.js';
import type { SimulationOutcome, SimulationTask } from './simulation-run.js';

const task: SimulationTask = JSON.parse(process.argv[2] ?? '{}');
let done = 0;
let seedNow = 0;

function tell(outcome: SimulationOutcome): never {
  process.stdout.write(`\n${JSON.stringify(outcome)}\n`, () => process.exit(0));
  // Nothing more of the simulation may run, and what was written has to get out.
  return undefined as never;
}

function fail(error: unknown): void {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const isViolation = error instanceof Violation;
  const text = isViolation ? error.message : message;
  const stack = error instanceof Error && !isViolation ? `\n${error.stack}` : '';
  const at = { seeds: done + 1, seed: seedNow };
  tell({ kind: isViolation ? 'violation' : 'error', text: `${text}${stack}`, ...at });
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

try {
  const { firstSeed, seeds, steps, but } = task;
  const named = task.setting === undefined ? undefined : settings[task.setting];
  const setting = named === undefined ? undefined : { ...named, ...but };
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    seedNow = seed;
    await simulate({ seed, steps, setting });
    done += 1;
  }
  tell({ kind: 'survived', text: '', seeds: done, seed: seedNow });
} catch (error) {
  fail(error);
}
