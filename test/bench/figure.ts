/**
 * A figure: Tidemark against a peer in the same run, as a ratio of medians over alternating rounds.
 *
 * This machine is noisy and so is yours: an absolute time says little, and a ratio says something
 * only when both sides met the same noise. So each round measures both, in an order that changes
 * from round to round, after one round of each that does not count. The spread is kept and shown.
 */

import type { Flavor } from '../../src/demo/data-centers.js';

/** A target that is no ratio: what ours may be at most, in the figure's unit. */
export type Limit = { readonly atMost: number } | { readonly atMostOverPeer: number };

export interface Comparison {
  /** As in the README's table. */
  readonly name: string;
  readonly peerName: string;
  readonly unit: 'ns' | 'us' | 'ms' | '1/s' | 'bytes' | 'MiB' | 'writes';
  readonly better: 'lower' | 'higher';
  /** The ratio ours / peer that is to be met: at most or at least, as `better` says. None for what a
   * design costs, which is told and not judged. */
  readonly target: number | Limit | 'none';
  /** One measurement of each, in `unit`. */
  readonly ours: () => Promise<number>;
  readonly peer: () => Promise<number>;
}

export interface Figure {
  readonly name: string;
  /** Of the database, where one is involved. */
  readonly flavor?: Flavor;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  readonly unit: string;
  readonly ratio: number;
  readonly target: string;
  readonly holds: boolean;
  /** Of the rounds' own ratios. */
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** Why there is no figure. */
  readonly failure?: string;
  /** Measured one by one, to be plotted; not in the JSON. */
  readonly samples?: Samples;
}

export interface Samples {
  readonly ours: readonly number[];
  readonly peer: readonly number[];
}

/** How often each side is measured: less often than planned when the time is over, but once. */
export class Rounds {
  constructor(
    readonly planned: number,
    private readonly endMs: number,
  ) {}

  /** Fewer rounds in the same time. */
  atMost(planned: number): Rounds {
    return new Rounds(Math.min(planned, this.planned), this.endMs);
  }

  hasMore(done: number): boolean {
    return done < this.planned && (done === 0 || performance.now() < this.endMs);
  }
}

/** In place of the figures of a suite that threw. */
export function failure(name: string, error: unknown): Figure {
  const none = Number.NaN;
  const values = { ours: none, peer: none, ratio: none, ratioMin: none, ratioMax: none };
  const message = error instanceof Error ? error.message : String(error);
  const words = { peerName: '', unit: '', target: '', failure: message };
  return { name, holds: false, ...values, ...words };
}

export async function compare(comparison: Comparison, rounds: Rounds): Promise<Figure> {
  for (const side of [comparison.ours, comparison.peer]) await side();
  const [ours, peer] = await alternate(comparison.ours, comparison.peer, rounds);
  return figureOf(comparison, ours, peer);
}

/** Measures both sides in each round, in an order that changes from round to round.
 * @returns what ours and what the peer brought, by round */
export async function alternate<T>(
  ours: () => Promise<T>,
  peer: () => Promise<T>,
  rounds: Rounds,
): Promise<[T[], T[]]> {
  const all: [T[], T[]] = [[], []];
  for (let round = 0; rounds.hasMore(round); round++) {
    if (round % 2 === 0) all[0].push(await ours());
    all[1].push(await peer());
    if (round % 2 === 1) all[0].push(await ours());
  }
  return all;
}

/** From measurements of both sides, round by round. */
export function figureOf(
  comparison: Omit<Comparison, 'ours' | 'peer'>,
  ours: readonly number[],
  peer: readonly number[],
): Figure {
  return judge(comparison, median(ours), median(peer), ratiosOf(ours, peer));
}

/** From single samples of both sides, round by round: a figure for each percentile, of all rounds
 * together; those of the single rounds are only its spread. */
export function percentileFigures(
  { name, ...rest }: Omit<Comparison, 'ours' | 'peer' | 'target'>,
  targets: readonly { readonly percent: number; readonly target: Comparison['target'] }[],
  ours: readonly (readonly number[])[],
  peer: readonly (readonly number[])[],
): Figure[] {
  const samples = { ours: ours.flat(), peer: peer.flat() };
  return targets.map(({ percent, target }) => {
    const of = (values: readonly number[]) => percentile(values, percent);
    const comparison = { ...rest, name: `${name} p${percent}`, target };
    const ratios = ratiosOf(ours.map(of), peer.map(of));
    return { ...judge(comparison, of(samples.ours), of(samples.peer), ratios), samples };
  });
}

function ratiosOf(ours: readonly number[], peer: readonly number[]): number[] {
  return ours.map((one, round) => one / (peer[round] ?? Number.NaN));
}

function judge(
  { name, peerName, unit, better, target }: Omit<Comparison, 'ours' | 'peer'>,
  ours: number,
  peer: number,
  ratios: readonly number[],
): Figure {
  const ratio = ours / peer;
  const [ratioMin, ratioMax] = [Math.min(...ratios), Math.max(...ratios)];
  const verdict = () => {
    if (target === 'none') return { target, holds: true };
    if (typeof target === 'number') {
      const holds = better === 'lower' ? ratio <= target : ratio >= target;
      return { target: `${better === 'lower' ? '<=' : '>='} ${target}`, holds };
    }
    if ('atMost' in target) {
      return { target: `<= ${target.atMost} ${unit}`, holds: ours <= target.atMost };
    }
    const { atMostOverPeer } = target;
    return { target: `<= +${atMostOverPeer} ${unit}`, holds: ours - peer <= atMostOverPeer };
  };
  return { name, ours, peer, peerName, unit, ratio, ...verdict(), ratioMin, ratioMax };
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** By the nearest rank. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** Three significant digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value >= 1000
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));
}
