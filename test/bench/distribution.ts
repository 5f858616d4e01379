/** How latencies are distributed, as two lines of blocks on one logarithmic axis. */
import { type Figure, percentile, type Samples, short } from './figure.js';

const COLUMNS = 60;
const BLOCKS = ' ▁▂▃▄▅▆▇█';

/** A plot of each figure that has samples; a p50 and a p99 of the same samples share one. */
export function plots(figures: readonly Figure[]): string {
  const bySamples = new Map<Samples, Figure>();
  for (const figure of figures) {
    const { samples } = figure;
    if (samples !== undefined && !bySamples.has(samples)) bySamples.set(samples, figure);
  }
  return [...bySamples.values()].map(plot).join('\n');
}

function plot({ name, peerName, unit, samples = { ours: [], peer: [] } }: Figure): string {
  const [low, high] = range(samples);
  const axis = `${short(low)} ${unit}`.padEnd(COLUMNS - short(high).length - unit.length - 1);
  const names = ['Tidemark', peerName];
  const width = Math.max(...names.map((one) => one.length));
  const lines = [samples.ours, samples.peer].map((values, side) => {
    const label = (names[side] ?? '').padEnd(width);
    const marks = `p50 ${short(percentile(values, 50))}, p99 ${short(percentile(values, 99))}`;
    return `  ${label}  |${blocks(values, low, high)}|  ${marks} ${unit}`;
  });
  const foot = `  ${' '.repeat(width)}   ${axis}${short(high)} ${unit}`;
  return [
    `\n${name.replace(/ p\d+/, '')}: latencies, each column a slice of time`,
    ...lines,
    foot,
  ].join('\n');
}

function range({ ours, peer }: Samples): [low: number, high: number] {
  const all = [...ours, ...peer];
  return [Math.min(...all), Math.max(...all)];
}

function blocks(values: readonly number[], low: number, high: number): string {
  const counts = Array.from({ length: COLUMNS }, () => 0);
  const scale = COLUMNS / Math.log(high / low || 1);
  for (const value of values) {
    const column = Math.min(COLUMNS - 1, Math.floor(Math.log(value / low) * scale));
    counts[column] = (counts[column] ?? 0) + 1;
  }
  const most = Math.max(...counts);
  return counts
    .map((count) => BLOCKS[Math.ceil((count / most) * (BLOCKS.length - 1))] ?? ' ')
    .join('');
}
