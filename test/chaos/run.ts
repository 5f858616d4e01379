/**
 * One run: the stage, its load, its faults by schedule, and the checker that is told all of it.
 * In the end all faults are undone, and every place must say the same as A.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atExit } from '../../src/demo/exit.js';
import type { Flavor } from '../../src/demo/server-kind.js';
import { Checker, type Verdict } from './checker.js';
import type { RedisKind } from './fault.js';
import { convergence, FaultRunner, NotConvergedError } from './fault-runner.js';
import { FAULTS, faultsNamed } from './faults.js';
import { STALE_AFTER_MS } from './make-readers.js';
import { nowMs } from './now.js';
import { Observers } from './observers.js';
import type { SoFar } from './report.js';
import { type Planned, schedule } from './schedule.js';
import { settle } from './settle.js';
import { Stage } from './stage.js';

export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly flavor: Flavor;
  readonly redis: RedisKind;
  readonly faultsPerMinute: number;
  readonly readsPerSecond: number;
  /** Only these kinds of faults. */
  readonly faults?: readonly string[] | undefined;
  /** The folder stays. */
  readonly keep?: boolean;
  /** A planted bug, to see that it is found. */
  readonly lying?: boolean;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly verdict: Verdict;
  readonly faults: Readonly<Record<string, number>>;
  readonly convergencesMs: readonly number[];
  /** Processes of Tidemark that ended by themselves, and their last words. */
  readonly deaths: readonly string[];
  readonly statuses: Readonly<Record<string, number>>;
  /** Looks at the log and at Redis that failed, by reason. */
  readonly misses: Readonly<Record<string, number>>;
}

const SLACK_MS = 500;
const PROGRESS_MS = 10_000;

export function plan(options: Omit<RunOptions, 'signal' | 'say'>): Planned[] {
  const faults = options.faults === undefined ? FAULTS : faultsNamed(options.faults);
  return schedule({ ...options, faults });
}

/** @throws Error when the run itself failed, which says nothing about Tidemark; NotConvergedError,
 * which does */
export async function run(options: RunOptions): Promise<RunResult> {
  const { say, signal, seconds } = options;
  const planned = plan(options);
  const checker = new Checker({ staleAfterMs: STALE_AFTER_MS, slackMs: SLACK_MS });
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-chaos-'));
  const removeNow = () => rmSync(folder, { recursive: true, force: true });
  const forget = options.keep ? () => {} : atExit(removeNow);
  let stage: Stage | undefined;
  let observers: Observers | undefined;
  let runner: FaultRunner | undefined;
  try {
    say(`Starting ${options.flavor} and Redis (${options.redis}) in ${folder}`);
    stage = await Stage.start({ ...options, folder, checker });
    observers = new Observers(stage, checker);
    observers.start();
    await convergence(stage, signal);
    stage.workload.start();
    const faultRunner = new FaultRunner({
      ...{ stage, signal, say, seconds },
      faults: FAULTS,
      planned,
    });
    runner = faultRunner;
    const progress = setInterval(() => say(progressOf(checker, faultRunner)), PROGRESS_MS);
    try {
      await faultRunner.run();
      await idle(options, faultRunner, signal);
    } finally {
      clearInterval(progress);
    }
    say('Everything is whole again: asking every place for every key');
    await settle(stage, observers, checker, signal);
    const verdict = checker.finish();
    const deaths = deathsOn(stage);
    const { convergencesMs, counts: faults } = runner;
    const statuses = Object.fromEntries(stage.workload.http.statuses);
    return { verdict, faults, convergencesMs, deaths, statuses, misses: observers.misses };
  } catch (error) {
    if (error instanceof NotConvergedError) error.soFar = soFarOf(checker, stage, runner);
    throw error;
  } finally {
    await observers?.stop();
    await stage?.stop();
    if (!options.keep) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    forget();
  }
}

function deathsOn({ readers, writeApps }: Stage): string[] {
  return [...readers, ...writeApps].flatMap((place) => place.deaths);
}

/** Of a run in which a reader is stuck, which is one violation more. */
function soFarOf(checker: Checker, stage?: Stage, runner?: FaultRunner): SoFar {
  const { reads, writes, violationCount } = checker;
  const violations = violationCount + (stage === undefined ? 0 : deathsOn(stage).length) + 1;
  const { counts: faults = {}, convergencesMs = [] } = runner ?? {};
  return { reads, writes, faults, violations, convergencesMs };
}

/** A schedule without faults, or one that ended early, still has its load. */
async function idle({ seconds }: RunOptions, runner: FaultRunner, signal: AbortSignal) {
  const leftMs = runner.startedMs + seconds * 1_000 - nowMs();
  if (leftMs > 0) await delay(leftMs, undefined, { signal }).catch(() => undefined); // settled next
}

function progressOf(checker: Checker, runner: FaultRunner): string {
  const faults = Object.values(runner.counts).reduce((sum, count) => sum + count, 0);
  const active = runner.activeNames.join(', ') || 'none';
  return (
    `-- ${checker.reads} reads, ${checker.writes} writes, ${faults} faults (now: ${active}), ` +
    `${checker.violationCount} violations, ${checker.suspectCount} in doubt, ` +
    `${checker.waiting} waiting, head ${checker.head}`
  );
}
