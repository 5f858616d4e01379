/**
 * How latencies are distributed, as a picture: for each figure with samples, the share of writes that
 * were visible after so many ms. The axis of time is logarithmic.
 */
import { type Figure, percentile, short } from './figure.js';
import { nameOf } from './table.js';

const PANEL = { width: 420, height: 230, left: 46, right: 16, top: 34, bottom: 56 };
const PLOT = {
  width: PANEL.width - PANEL.left - PANEL.right,
  height: PANEL.height - PANEL.top - PANEL.bottom,
};
const COLORS = { ours: '#1f78d1', peer: '#d9652b' };
/** Readable on white and on black. */
const GREY = '#7d8590';
const SHARES = [0, 0.25, 0.5, 0.75, 1];
const TICKS_MS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

export function svgOf(figures: readonly Figure[]): string {
  const plotted = new Map(
    figures.filter(({ samples }) => samples !== undefined).map((one) => [one.samples, one]),
  );
  const panels = [...plotted.values()].map(panel);
  const rows = Math.ceil(panels.length / 2);
  const [width, height] = [2 * PANEL.width, Math.max(1, rows) * PANEL.height];
  const placed = panels.map((lines, index) => {
    const [x, y] = [(index % 2) * PANEL.width, Math.floor(index / 2) * PANEL.height];
    return `<g transform="translate(${x} ${y})">\n${lines}\n</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" fill="${GREY}">`,
    '<title>From a commit in data center A to the first answer with it in data center B</title>',
    ...placed,
    '</svg>\n',
  ].join('\n');
}

function panel(figure: Figure): string {
  const { samples = { ours: [], peer: [] }, peerName } = figure;
  const all = [...samples.ours, ...samples.peer];
  const [low, high] = [Math.min(...all) / 1.1, Math.max(...all) * 1.1];
  const x = (ms: number) => PANEL.left + (Math.log(ms / low) / Math.log(high / low)) * PLOT.width;
  const y = (share: number) => PANEL.top + (1 - share) * PLOT.height;
  const title = `${nameOf({ ...figure, name: figure.name.replace(/ p\d+$/, '') })}`;
  return [
    text(PANEL.left, 20, title, 'font-weight="bold"'),
    ...SHARES.map((share) => grid(PANEL.left, y(share), PANEL.width - PANEL.right, y(share))),
    ...SHARES.map((share) =>
      text(PANEL.left - 6, y(share) + 4, `${share * 100} %`, 'text-anchor="end"'),
    ),
    ...TICKS_MS.filter((ms) => ms >= low && ms <= high).flatMap((ms) => [
      grid(x(ms), PANEL.top, x(ms), y(0)),
      text(x(ms), y(0) + 15, `${ms} ms`, 'text-anchor="middle"'),
    ]),
    curve(samples.ours, COLORS.ours, x, y),
    curve(samples.peer, COLORS.peer, x, y),
    legend(PANEL.left, 'Tidemark', samples.ours, COLORS.ours),
    legend(PANEL.left + PLOT.width / 2, peerName, samples.peer, COLORS.peer),
  ].join('\n');
}

function curve(
  values: readonly number[],
  color: string,
  x: (ms: number) => number,
  y: (share: number) => number,
): string {
  const sorted = [...values].sort((one, other) => one - other);
  const points = sorted.map((ms, index) => {
    return `${x(ms).toFixed(1)},${y((index + 1) / sorted.length).toFixed(1)}`;
  });
  return `<polyline points="${points.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`;
}

function legend(x: number, name: string, values: readonly number[], color: string): string {
  const marks = `p50 ${short(percentile(values, 50))}, p99 ${short(percentile(values, 99))} ms`;
  const y = PANEL.height - 22;
  return [
    text(x, y, name.split(',')[0] ?? '', `fill="${color}" font-weight="bold"`),
    text(x, y + 14, marks, `fill="${color}"`),
  ].join('\n');
}

function grid(x1: number, y1: number, x2: number, y2: number): string {
  const at = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<path d="M${at[0]} ${at[1]}L${at[2]} ${at[3]}" stroke="${GREY}" stroke-opacity="0.3"/>`;
}

function text(x: number, y: number, content: string, more = ''): string {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${safe}</text>`;
}
