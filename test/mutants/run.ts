/** Runs the mutants, some at once, and the unmodified product, which has to survive every budget. */
import { rm } from 'node:fs/promises';
import { ContractServers } from './contract-run.js';
import {
  type Budget,
  type ContractBudget,
  isKilled,
  type Mutant,
  type SimulationBudget,
  type Verdict,
} from './mutant.js';
import { runSimulation } from './simulation-run.js';
import { Workbench } from './workbench.js';

export interface Result extends Verdict {
  /** Undefined for the unmodified product. */
  readonly mutant: Mutant | undefined;
  readonly budget: Budget;
  /** Killed; or, for the unmodified product, alive. */
  readonly ok: boolean;
}

interface Job {
  readonly mutant: Mutant | undefined;
  readonly budget: Budget;
}

export async function runAll(
  mutants: readonly Mutant[],
  jobs: number,
  tell: (line: string) => void,
): Promise<Result[]> {
  const bench = await Workbench.open();
  const servers = new ContractServers();
  try {
    const open = jobsOf(mutants);
    const results: Result[] = [];
    const work = async () => {
      for (let job = open.shift(); job !== undefined; job = open.shift()) {
        const result = await run(bench, servers, job);
        results.push(result);
        tell(lineOf(result));
      }
    };
    await Promise.all(Array.from({ length: jobs }, work));
    return results;
  } finally {
    await servers.stop();
    await bench.close();
  }
}

/** Quick ones first; the longest, the product as it is, beside them from the start. */
function jobsOf(mutants: readonly Mutant[]): Job[] {
  const budgets = mutants.map(({ budget }) => budget);
  const planted = mutants
    .map((mutant) => ({ mutant, budget: mutant.budget }))
    .sort((one, other) => costOf(one.budget) - costOf(other.budget));
  const unmodified = [
    ...widest(budgets.filter((each) => each.by === 'simulation')),
    ...oneOfEach(budgets),
  ];
  return [...unmodified.map((budget) => ({ mutant: undefined, budget })), ...planted];
}

function costOf(budget: Budget): number {
  return budget.by === 'simulation' ? budget.seeds * budget.steps : Number.POSITIVE_INFINITY;
}

/** The greatest simulation budget of each setting. */
function widest(budgets: readonly SimulationBudget[]): SimulationBudget[] {
  const bySetting = new Map<string, SimulationBudget>();
  for (const budget of budgets) {
    const setting = JSON.stringify([budget.setting, budget.but]);
    const known = bySetting.get(setting);
    if (known === undefined || costOf(known) < costOf(budget)) bySetting.set(setting, budget);
  }
  return [...bySetting.values()];
}

/** One run for each file of tests, of all that is asked of it. */
function oneOfEach(budgets: readonly Budget[]): ContractBudget[] {
  const byFile = new Map<string, ContractBudget>();
  for (const budget of budgets) {
    if (budget.by !== 'contract') continue;
    const known = byFile.get(budget.test);
    const names = new Set(known?.only.split('|')).add(budget.only);
    const seconds = (known?.seconds ?? 0) + budget.seconds;
    byFile.set(budget.test, { ...budget, only: [...names].join('|'), seconds });
  }
  return [...byFile.values()];
}

async function run(bench: Workbench, servers: ContractServers, job: Job): Promise<Result> {
  const verdict = await verdictOf(bench, servers, job).catch(voidOf);
  const { mutant } = job;
  const ok = mutant === undefined ? verdict.kind === 'survived' : isKilled(mutant, verdict);
  return { ...verdict, ...job, ok };
}

async function verdictOf(
  bench: Workbench,
  servers: ContractServers,
  { mutant, budget }: Job,
): Promise<Verdict> {
  if (budget.by === 'simulation' && mutant === undefined) {
    return await runSimulation(bench.unmodified, budget);
  }
  const isSimulated = budget.by === 'simulation' && mutant !== undefined;
  const folder = isSimulated ? await bench.plant(mutant) : await bench.plantSources(mutant);
  try {
    return budget.by === 'simulation'
      ? await runSimulation(folder, budget)
      : await servers.run(folder, budget);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A mutant that no longer applies is no proof of anything. */
function voidOf(error: unknown): Verdict {
  return { kind: 'void', needed: '-', details: String(error) };
}

function lineOf({ mutant, ok, kind, guarantee, needed, details }: Result): string {
  const name = mutant?.name ?? 'the product as it is';
  const found = guarantee ?? (kind === 'survived' ? 'nothing broke' : kind);
  const more = ok || details === '' ? '' : `\n${details}`;
  return `${ok ? 'ok  ' : 'FAIL'} ${name}: ${found} (${needed})${more}`;
}
