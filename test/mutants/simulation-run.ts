/** One run of the simulation in a process of its own, ended when its time is over. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { SimulationBudget, Verdict } from './mutant.js';

export interface SimulationTask extends Omit<SimulationBudget, 'by'> {
  readonly firstSeed: number;
}

export interface SimulationOutcome {
  readonly kind: 'violation' | 'survived' | 'error';
  readonly text: string;
  /** How many seeds were run. */
  readonly seeds: number;
  readonly seed: number;
}

/** Over this a mutant that makes the simulation spin or hang is ended; the product as it is takes half
 * of it on a busy machine. */
const MAX_SECONDS = 900;

export async function runSimulation(folder: string, budget: SimulationBudget): Promise<Verdict> {
  const task: SimulationTask = { ...budget, firstSeed: 1 };
  const startMs = performance.now();
  const output = await childOutput(join(folder, 'test/mutants/simulation-child.js'), task);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const outcome = parse(output);
  if (outcome === undefined) {
    return { kind: 'error', needed: `${seconds} s`, details: output.slice(-2_000) };
  }
  const { kind, text, seeds, seed } = outcome;
  return {
    kind,
    ...(kind === 'violation' ? { guarantee: /^[^:\n]+/.exec(text)?.[0] ?? '' } : {}),
    needed: `${seeds} x ${budget.steps}, ${seconds} s`,
    details: kind === 'survived' ? '' : `seed ${seed}: ${text}`,
  };
}

function childOutput(file: string, task: SimulationTask): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file, JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), MAX_SECONDS * 1000);
    let output = '';
    const take = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-200_000);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve(signal === null ? output : `${output}\nended by ${signal} (${code})`);
    });
  });
}

function parse(output: string): SimulationOutcome | undefined {
  const line = output.split('\n').findLast((each) => each.startsWith('{"kind":'));
  return line === undefined ? undefined : JSON.parse(line);
}
