/** What a run found, for people and for programs. */
import type { RunOptions, RunResult } from './run.js';

export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The last line of `--json`. */
export interface Summary {
  readonly seed: number;
  readonly seconds: number;
  readonly flavor: string;
  readonly redis: string;
  readonly reads: number;
  readonly writes: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Including processes that ended by themselves. */
  readonly violations: number;
  readonly byGuarantee: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly staleMaxMs: number;
  readonly staleMaxUnflaggedMs: number;
  readonly unavailableMs: Spread;
  readonly convergenceMs: Spread;
  /** Of the instances that lived longest: growth in MiB per minute, greatest size in MiB. */
  readonly memory: Readonly<Record<string, { heapMiBPerMin: number; rssMaxMiB: number }>>;
  readonly head: number;
}

type Told = Pick<RunOptions, 'seed' | 'seconds' | 'flavor' | 'redis'>;

/** What is known of a run that ended before its verdict. */
export interface SoFar extends Pick<Summary, 'reads' | 'writes' | 'faults' | 'violations'> {
  readonly convergencesMs: readonly number[];
}

export function summaryOf(
  options: Told,
  { verdict, faults, convergencesMs, deaths }: RunResult,
): Summary {
  const { seed, seconds, flavor, redis } = options;
  const { reads, writes, byGuarantee, lost, head } = verdict;
  const warm = verdict.growth.filter(({ minutes }) => minutes >= LEAST_MINUTES);
  const { p50, p99, max } = verdict.unavailableMs;
  return {
    ...{ seed, seconds, flavor, redis, reads, writes, faults },
    ...{ violations: verdict.violations + deaths.length, byGuarantee, lost },
    staleMaxMs: Math.round(verdict.staleMaxMs),
    staleMaxUnflaggedMs: Math.round(verdict.staleMaxUnflaggedMs),
    unavailableMs: { p50: Math.round(p50), p99: Math.round(p99), max: Math.round(max) },
    convergenceMs: spread(convergencesMs),
    memory: Object.fromEntries(
      warm.map(({ instance, heapMiBPerMin, rssMaxMiB }) => [
        instance,
        { heapMiBPerMin, rssMaxMiB },
      ]),
    ),
    head,
  };
}

/** The last line of `--json` when there is no verdict. */
export function failureOf(
  { seed, seconds, flavor, redis }: Told,
  error: unknown,
  soFar?: SoFar,
): Partial<Summary> & { readonly failed: string } {
  const failed = String(error);
  if (soFar === undefined) return { seed, seconds, flavor, redis, failed };
  const { convergencesMs, ...found } = soFar;
  const converged = convergencesMs.length > 0 ? { convergenceMs: spread(convergencesMs) } : {};
  return { seed, seconds, flavor, redis, ...found, ...converged, failed };
}

/** An instance that lived less than that says nothing about growth. */
const LEAST_MINUTES = 2;

/** Violations of one guarantee that are told with all facts. */
const SHOWN_OF_EACH = 4;

/** The verdict in words, a line each. */
export function report(result: RunResult): string[] {
  const { verdict, faults, convergencesMs, deaths, statuses, misses } = result;
  const total = Object.values(faults).reduce((sum, count) => sum + count, 0);
  const converged = spread(convergencesMs);
  const lines: [string, string][] = [
    ['reads', `${verdict.reads} (${counted(verdict.tiers)})`],
    ['reads that failed', counted(verdict.errors) || 'none'],
    ['writes', `${verdict.writes}, the log ends at ${verdict.head}; HTTP: ${counted(statuses)}`],
    ['faults', `${total}: ${counted(faults)}`],
    ['entries of Redis judged', `${verdict.redisEntries}`],
    ['looks at them or the log that failed', counted(misses) || 'none'],
    ['oldest answer', `${Math.round(verdict.staleMaxMs)} ms`],
    ['oldest answer not marked stale', `${Math.round(verdict.staleMaxUnflaggedMs)} ms`],
    ['which was', JSON.stringify(verdict.oldestUnflagged)],
    ['a reader could not answer', inWords(verdict.unavailableMs)],
    ['all readers at the head after faults', inWords(converged)],
    ['memory of those that lived longest', memoryInWords(verdict.growth)],
    ['most loads in flight', `${verdict.fillsInFlightMax}`],
    ['entries compared by audits', `${verdict.audited}`],
    ['lost writes', `${verdict.lost}`],
    ['ended by themselves', deaths.join('\n') || 'none'],
    ['VIOLATIONS', `${verdict.violations} ${counted(verdict.byGuarantee)}`],
  ];
  const table = lines.map(([name, text]) => `${name.padEnd(38)}${text}`);
  const found = Object.keys(verdict.byGuarantee).flatMap((name) =>
    verdict.first
      .filter(({ guarantee }) => guarantee === name)
      .slice(0, SHOWN_OF_EACH)
      .flatMap(({ what, facts }) => [`${name}: ${what}`, `  ${JSON.stringify(facts)}`]),
  );
  return [...table, ...found];
}

export function spread(all: readonly number[]): Spread {
  const sorted = [...all].sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.ceil(sorted.length * share) - 1] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function inWords({ p50, p99, max }: Spread): string {
  return `p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms, at most ${Math.round(max)} ms`;
}

/** One instance of each place. */
function memoryInWords(growth: RunResult['verdict']['growth']): string {
  const longest = new Map<string, RunResult['verdict']['growth'][number]>();
  for (const one of growth) {
    const [place = ''] = one.instance.split('#');
    if (one.minutes >= (longest.get(place)?.minutes ?? 0)) longest.set(place, one);
  }
  const words = [...longest.values()].map(({ instance, minutes, heapMiBPerMin, rssMaxMiB }) => {
    const grew = minutes < LEAST_MINUTES ? '' : `, heap ${heapMiBPerMin} MiB a minute`;
    return `${instance} ${Math.round(rssMaxMiB)} MiB at most${grew}`;
  });
  return words.join('; ') || 'none';
}

function counted(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}
