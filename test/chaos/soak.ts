/**
 * `npm run soak`: chaos for a long time, on each database with each kind of Redis, a few runs at a
 * time, each in a process of its own. Ends with a table in Markdown. Exit status: 1 when a guarantee
 * was violated, 2 when a run itself failed and none was.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { STEADY_READER } from './fault.js';
import type { Summary } from './report.js';

interface Flags {
  readonly minutes: number;
  readonly parallel: number;
  readonly seed: number;
  readonly flavors: string[];
  readonly redis: string[];
  readonly faultsPerMinute: number;
  readonly readsPerSecond: number;
  readonly json?: boolean;
}

interface Job {
  readonly seed: number;
  readonly flavor: string;
  readonly redis: string;
}

interface Done extends Job {
  readonly status: number | null;
  /** Undefined when the run failed. */
  readonly summary: Summary | undefined;
  readonly lastLines: readonly string[];
}

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const LAST_LINES = 40;

const flags = new Command('soak')
  .description('Runs chaos on every database with every kind of Redis, and sums up.')
  .option('--minutes <number>', 'of each run', positive, 30)
  .option('--parallel <number>', 'how many runs at a time', positive, 3)
  .option('--seed <number>', 'of the first run; the others count on', positive, randomSeed())
  .option('--flavors <names>', 'separated by commas', list, ['mysql', 'mariadb'])
  .option('--redis <kinds>', 'separated by commas', list, ['standalone', 'sentinel', 'cluster'])
  .option('--faults-per-minute <number>', 'how many to aim at', positive, 60)
  .option('--reads-per-second <number>', 'of the embedded readers of each run', positive, 1_500)
  .option('--json', 'ends with one line of JSON: a list of what each run said')
  .parse()
  .opts<Flags>();

const running = new Set<ChildProcess>();
const logs = mkdtempSync(join(tmpdir(), 'tidemark-soak-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    jobs.length = 0;
    for (const child of running) child.kill(signal);
  });
}

const jobs: Job[] = flags.flavors
  .flatMap((flavor) => flags.redis.map((redis) => ({ flavor, redis })))
  .map((what, index) => ({ ...what, seed: flags.seed + index }));
const results: Done[] = [];
say(`All that the runs say is in ${logs}.`);
await Promise.all(Array.from({ length: flags.parallel }, work));
for (const line of table(results)) say(line);
for (const done of results) if (done.status !== 0) tellFailure(done);
if (flags.json) say(JSON.stringify(results.map(({ summary, ...done }) => summary ?? done)));
if (results.some(({ status }) => status !== 0 && status !== 1)) process.exitCode = 2;
if (results.some(({ status }) => status === 1)) process.exitCode = 1;

async function work(): Promise<void> {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    say(`seed ${job.seed}: ${job.flavor}, Redis ${job.redis}, ${flags.minutes} minutes`);
    const done = await runOne(job);
    results.push(done);
    const verdict =
      done.summary === undefined ? 'the run failed' : `${done.summary.violations} violations`;
    say(`seed ${job.seed}: ended with ${done.status}, ${verdict}`);
  }
}

async function runOne(job: Job): Promise<Done> {
  const args = [
    ...['--seed', String(job.seed), '--seconds', String(flags.minutes * 60), '--json'],
    ...['--flavor', job.flavor, '--redis', job.redis],
    ...['--faults-per-minute', String(flags.faultsPerMinute)],
    ...['--reads-per-second', String(flags.readsPerSecond)],
  ];
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const log = createWriteStream(join(logs, `${job.seed}-${job.flavor}-${job.redis}.log`));
  const lastLines: string[] = [];
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`);
      lastLines.push(line);
      if (lastLines.length > LAST_LINES) lastLines.shift();
    });
  }
  const status = await ended;
  running.delete(child);
  log.end();
  return { ...job, status, summary: summaryIn(lastLines.at(-1)), lastLines };
}

function summaryIn(line = ''): Summary | undefined {
  if (!line.startsWith('{')) return undefined;
  const said = JSON.parse(line) as Summary | { failed: string }; // the last line of `chaos --json`
  return 'failed' in said ? undefined : said;
}

function table(all: readonly Done[]): string[] {
  const columns = [
    ...['database', 'Redis', 'seed', 'reads', 'writes', 'faults', 'violations', 'lost'],
    ...['oldest not marked stale', 'no answer p50 / p99 / max', 'converged p50 / p99 / max'],
    ...['heap MiB/min of the reader that lives on', 'rss MiB, most'],
  ];
  const rows = all.map(({ flavor, redis, seed, summary }) => {
    if (summary === undefined) return [flavor, redis, `${seed}`, 'the run failed'];
    const { unavailableMs: gone, convergenceMs: converged, memory } = summary;
    const memories = Object.values(memory);
    const steady = memory[`${STEADY_READER}#1`];
    return [
      ...[flavor, redis, `${seed}`, `${summary.reads}`, `${summary.writes}`],
      ...[`${total(summary.faults)}`, `${summary.violations}`, `${summary.lost}`],
      ...[`${summary.staleMaxUnflaggedMs} ms`, `${gone.p50} / ${gone.p99} / ${gone.max} ms`],
      `${converged.p50} / ${converged.p99} / ${converged.max} ms`,
      `${steady?.heapMiBPerMin ?? '-'}`,
      `${most(memories.map(({ rssMaxMiB }) => rssMaxMiB))}`,
    ];
  });
  const kinds: Record<string, number> = {};
  for (const { summary } of all) {
    for (const [name, count] of Object.entries(summary?.faults ?? {})) {
      kinds[name] = (kinds[name] ?? 0) + count;
    }
  }
  const byKind = Object.entries(kinds)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `| ${name} | ${count} |`);
  return [
    ...['', markdown(columns), markdown(columns.map(() => '---')), ...rows.map(markdown)],
    ...['', `| fault | of ${total(kinds)} |`, '| --- | --- |', ...byKind, ''],
  ];
}

function tellFailure({ seed, flavor, redis, status, lastLines }: Done): void {
  say(`\nseed ${seed} (${flavor}, ${redis}) ended with ${status}:`);
  for (const line of lastLines) say(`  ${line}`);
}

function markdown(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function most(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : Math.max(...numbers);
}

function positive(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number above 0.');
}

function list(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

function randomSeed(): number {
  return Math.floor(Math.random() * 1e6);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
