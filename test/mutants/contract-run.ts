/**
 * Tests on real servers as what finds a mutant: for SQL and connections, which no simulation shows.
 * The servers start once, with the first such mutant; each run is a Vitest in the mutant's folder.
 */
import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { type ProvidedDataCenters, prepared } from '../support/global-setup.js';
import type { ContractBudget, Verdict } from './mutant.js';

const FLAVOR = 'mariadb';

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly title: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

export class ContractServers {
  #centers: Promise<DataCenters> | undefined;
  #provided: Promise<ProvidedDataCenters> | undefined;

  /** Runs the tests of `budget` in `folder`, which holds the product's and the tests' sources. */
  async run(folder: string, budget: ContractBudget): Promise<Verdict> {
    this.#centers ??= startDataCenters({ flavor: FLAVOR });
    this.#provided ??= this.#centers.then(prepared);
    const servers = [await this.#provided];
    const report = join(folder, 'report.json');
    await rm(report, { force: true });
    const startMs = performance.now();
    const output = await vitest(folder, budget, report, JSON.stringify(servers));
    const needed = `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
    const text = await readFile(report, 'utf8').catch(() => undefined);
    if (text === undefined) return { kind: 'error', needed, details: output.slice(-2_000) };
    return judge(JSON.parse(text), needed);
  }

  async stop(): Promise<void> {
    await (await this.#centers)?.stop();
  }
}

function judge({ testResults }: Report, needed: string): Verdict {
  const tests = testResults.flatMap((file) => file.assertionResults);
  const failed = tests.find(({ status }) => status === 'failed');
  if (failed !== undefined) {
    const details = failed.failureMessages.join('\n').slice(0, 1_000);
    return { kind: 'violation', guarantee: failed.title, needed, details };
  }
  const passed = tests.filter(({ status }) => status === 'passed').length;
  if (passed > 0) return { kind: 'survived', needed, details: '' };
  const details = testResults.map(({ message }) => message).join('\n');
  return { kind: 'error', needed, details: `Expected a test to run, got none.\n${details}` };
}

function vitest(
  folder: string,
  { test, only, seconds }: ContractBudget,
  report: string,
  servers: string,
): Promise<string> {
  const vitestFile = join(folder, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=json', `--outputFile=${report}`];
  const where = ['--root', folder, '--config', 'test/mutants/contract.config.ts'];
  const args = [vitestFile, 'run', test, '-t', only, '--bail=1', ...where, ...reporters];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, TIDEMARK_MUTANTS_SERVERS: servers, CI: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
    let output = '';
    const take = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('close', () => {
      clearTimeout(timer);
      resolve(output);
    });
  });
}
