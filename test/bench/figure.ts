/**
 * A figure: Tidemark against a peer in the same run, as a ratio of medians over alternating rounds.
 *
 * This machine is noisy and so is yours: an absolute time says little, and a ratio says something
 * only when both sides met the same noise. So each round measures both, in an order that changes
 * from round to round, after one round of each that does not count. The spread is kept and shown.
 */

export interface Comparison {
  /** As in the README's table. */
  readonly name: string;
  readonly peerName: string;
  readonly unit: 'ns' | 'us' | 'ms' | '1/s' | 'MiB';
  readonly better: 'lower' | 'higher';
  /** The ratio ours / peer that is to be met: at most or at least, as `better` says. */
  readonly target: number;
  /** One measurement of each, in `unit`. */
  readonly ours: () => Promise<number>;
  readonly peer: () => Promise<number>;
}

export interface Figure {
  readonly name: string;
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
}

export async function compare(comparison: Comparison, rounds: number): Promise<Figure> {
  const sides = [comparison.ours, comparison.peer] as const;
  for (const side of sides) await side();
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      ours.push(await sides[0]());
      peer.push(await sides[1]());
    } else {
      peer.push(await sides[1]());
      ours.push(await sides[0]());
    }
  }
  return figureOf(comparison, ours, peer);
}

/** From measurements of both sides, round by round. */
export function figureOf(
  { name, peerName, unit, better, target }: Omit<Comparison, 'ours' | 'peer'>,
  ours: readonly number[],
  peer: readonly number[],
): Figure {
  const ratio = median(ours) / median(peer);
  const ratios = ours.map((one, round) => one / (peer[round] ?? Number.NaN));
  return {
    name,
    ours: median(ours),
    peer: median(peer),
    peerName,
    unit,
    ratio,
    target: `${better === 'lower' ? '<=' : '>='} ${target}`,
    holds: better === 'lower' ? ratio <= target : ratio >= target,
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
  };
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
