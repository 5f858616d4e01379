/** The two charts, drawn by uPlot in the colors of the style sheet. Each has a text beside it. */
import { clock, shortSpan, span } from './format.js';

const { uPlot } = globalThis; // of uplot.js, which was loaded before
const LEAST_MS = 1;
const LEAST_BARS = 7;
const LEAST_RANGE_MS = 60_000;

/** A chart as wide as its element, drawn anew when the scheme of colors changes. */
class Chart {
  #element;
  #optionsFor;
  #chart;
  #data;

  constructor(element, optionsFor) {
    this.#element = element;
    this.#optionsFor = optionsFor;
    new ResizeObserver(() => this.#chart?.setSize(this.#size())).observe(element);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#chart?.destroy();
      this.#chart = undefined;
      if (this.#data !== undefined) this.draw(this.#data);
    });
  }

  draw(data) {
    this.#data = data;
    if (this.#chart === undefined) {
      const options = { ...this.#optionsFor(colors()), ...this.#size() };
      this.#chart = new uPlot(options, data, this.#element);
    } else {
      this.#chart.setData(data);
    }
  }

  #size() {
    const { clientWidth, clientHeight } = this.#element;
    return { width: clientWidth, height: clientHeight };
  }
}

function colors() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    p50: of('--accent'),
    p99: of('--second'),
    max: of('--third'),
    axis: of('--muted'),
    grid: of('--line'),
  };
}

const STILL = {
  legend: { show: false },
  cursor: { show: false },
  select: { show: false },
  padding: [12, 28, 0, 0],
};

function axis({ axis: stroke, grid }, more) {
  const line = { stroke: grid, width: 1 };
  return { stroke, grid: line, ticks: { ...line, size: 4 }, font: '12px system-ui', ...more };
}

/** p50, p99 and the slowest of each stretch of time, on a logarithmic scale. */
export function timeChart(element) {
  let range = [0, 1];
  const line = (stroke, dash) => ({ stroke, dash, width: 2, points: { size: 5 } });
  const chart = new Chart(element, (color) => ({
    ...STILL,
    scales: {
      x: { range: () => range },
      y: { distr: 3, range: (_chart, _least, most) => [LEAST_MS, topOf(most)] },
    },
    axes: [
      axis(color, {
        size: 28,
        space: 76,
        values: (_chart, splits, _axis, _space, step) =>
          splits.map((seconds) => clock(seconds * 1_000).slice(0, step < 60 ? 8 : 5)),
      }),
      axis(color, {
        size: 58,
        splits: (self) => decades(self.scales.y.max),
        values: (_chart, splits) => splits.map((ms) => shortSpan(ms)),
      }),
    ],
    series: [{}, line(color.max, [2, 4]), line(color.p99, [8, 4]), line(color.p50)],
  }));
  return ({ nowMs, latency }, minutes) => {
    const { slots, slotMs } = latency;
    const firstMs = Math.min(slots[0]?.startMs ?? nowMs, nowMs - LEAST_RANGE_MS);
    range = [Math.max(firstMs, nowMs - minutes * 60_000) / 1_000, nowMs / 1_000];
    const of = (name) => slots.map((slot) => Math.max(LEAST_MS, slot[name]));
    const times = slots.map(({ startMs }) => Math.min(startMs + slotMs / 2, nowMs) / 1_000);
    chart.draw([times, of('maxMs'), of('p99Ms'), of('p50Ms')]);
    describe(element, latency, 'How long changes took over the last 10 minutes');
  };
}

function topOf(most) {
  return Math.max(100, 10 ** Math.ceil(Math.log10(Math.max(most ?? 1, 1) * 1.05)));
}

function decades(most) {
  const ends = [];
  for (let ms = LEAST_MS; ms <= most; ms *= 10) ends.push(ms);
  return ends;
}

/** How many changes took how long. */
export function barChart(element) {
  let labels = [];
  const chart = new Chart(element, (color) => ({
    ...STILL,
    scales: {
      x: { time: false, range: () => [-0.5, labels.length - 0.5] },
      y: { range: (_chart, _least, most) => [0, Math.max(4, (most ?? 0) * 1.1)] },
    },
    axes: [
      axis(color, {
        size: 28,
        grid: { show: false },
        splits: () => labels.map((_, at) => at),
        values: (self, splits) => splits.map((at) => (isShown(self, at) ? labels[at] : '')),
      }),
      axis(color, {
        size: 44,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7],
      }),
    ],
    series: [
      {},
      {
        stroke: color.p50,
        fill: color.p50,
        width: 0,
        paths: uPlot.paths.bars({ size: [0.85, 64] }),
        points: { show: false },
      },
    ],
  }));
  const isShown = (self, at) =>
    (labels.length - 1 - at) % Math.ceil((labels.length * 46) / self.width) === 0;
  return ({ latency }) => {
    const bars = shownBars(latency);
    labels = bars.map(({ endMs }) => (endMs === undefined ? 'more' : shortSpan(endMs)));
    chart.draw([bars.map((_, at) => at), bars.map((bar) => bar.count)]);
    describe(element, latency, 'Distribution of how long changes took');
  };
}

/** Those with changes and one on either side, and no fewer than fill the width. */
function shownBars({ bars, barEndsMs }) {
  const filled = bars.flatMap((changes, at) => (changes > 0 ? [at] : []));
  let first = Math.max(0, (filled[0] ?? 1) - 1);
  const last = Math.min(
    bars.length - 1,
    Math.max((filled.at(-1) ?? 0) + 1, first + LEAST_BARS - 1),
  );
  first = Math.max(0, Math.min(first, last - LEAST_BARS + 1));
  return bars.slice(first, last + 1).map((changes, at) => {
    return { count: changes, endMs: barEndsMs[first + at] };
  });
}

function describe(element, { count, p50Ms, p99Ms, maxMs }, title) {
  const figures = `p50 ${span(p50Ms)}, p99 ${span(p99Ms)}, slowest ${span(maxMs)}`;
  const text = count === 0 ? 'no change in this time' : `${count} changes, ${figures}`;
  element.setAttribute('aria-label', `${title}: ${text}. The same as tables is below.`);
  if (count === 0) element.dataset.empty = 'No change in the last 10 minutes';
  else delete element.dataset.empty;
}
