/**
 * The text of the demo's terminal view. Pure: what to show and the terminal's size come in, lines
 * come out, none longer than the terminal is wide (except the commands to copy, at 80 columns).
 */
import type { Colors } from 'picocolors/types.js';
import { cut, printable } from '../terminal-text.js';
import type { Latencies } from './latencies.js';
import type { ObservedChange, ReaderState, Served } from './propagation.js';
import type { Stage } from './stage.js';

export interface View {
  readonly head: number;
  readonly readers: readonly ReaderState[];
  readonly all: Latencies;
  readonly changes: readonly ObservedChange[];
  readonly problem: string | undefined;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const SAMPLE_KEY = 'checkout/log-levels/api';
const VERSION_COLUMNS = 9;
const SERVED_COLUMNS = 11;
const LEAST_KEY_COLUMNS = 20;

/** What the stage is, and what to try: printed once, above the view. */
export function introduction(
  { description, configs, sql, centers }: Stage,
  pageUrl: string,
  colors: Colors,
) {
  const { flavor, write, read } = description;
  const { dim, bold } = colors;
  const name = flavor === 'mysql' ? 'MySQL' : 'MariaDB';
  return [
    bold(`Open ${pageUrl}`),
    bold(`Tidemark demo: ${name} in A, its replica and Redis in B, ${count(configs)} configs`),
    '',
    'Type a value there, or try this in another terminal, and watch the change arrive:',
    dim('  # change a value in A'),
    `  curl -X PUT ${write.url}/v1/configs/${SAMPLE_KEY} \\`,
    `    -H 'Authorization: Bearer ${write.token}' -d '{"level":"debug"}'`,
    dim('  # read it in B'),
    `  curl -i ${read[0]?.url}/v1/configs/${SAMPLE_KEY}`,
    dim(`  # or change it as a DBA does, by plain SQL (sql-b opens the replica)`),
    `  ${sql.a} -e 'UPDATE configs`,
    `    SET config_value = JSON_SET(config_value, "$.level", "warn")`,
    `    WHERE config_key = "${SAMPLE_KEY}"'`,
    dim(`  # all servers' data and logs are in ${centers.folder}; Ctrl-C removes it`),
    '',
  ];
}

/** The part that is drawn again and again, in at most `rows`. */
export function liveScreen(view: View, { columns, rows }: Size, colors: Colors): string {
  const room = Math.min(columns, 120);
  const readers = readerLines(view, colors);
  const lines = [
    ...readers,
    '',
    ...(view.problem === undefined ? [] : [colors.red(cut(view.problem, room))]),
    ...changeLines(view, room, colors),
  ];
  return lines.slice(0, rows).join('\n');
}

/** One line for a change that all readers have served, for a log file. */
export function changeLine({ version, key, by, served }: ObservedChange, all: Latencies): string {
  const after = served.map((one) => shown(one).trim()).join(', ');
  const who = by === 'demo' ? '' : ' by you';
  return `version ${version}  ${printable(key)}${who}  served after ${after}  (${summary(all)})`;
}

export function summary(all: Latencies): string {
  return `p50 ${ms(all.percentileMs(0.5))}, p99 ${ms(all.percentileMs(0.99))} so far`;
}

function readerLines({ head, readers, all }: View, { bold, dim, red }: Colors): string[] {
  const row = (name: string, url: string, applied: string, figures: Latencies) =>
    `${name.padEnd(10)}${url.padEnd(25)}${applied.padStart(11)}` +
    `${ms(figures.percentileMs(0.5)).padStart(11)}${ms(figures.percentileMs(0.99)).padStart(11)}` +
    `${String(figures.count).padStart(9)}`;
  const heading = `${''.padEnd(10)}${'URL'.padEnd(25)}${`of ${head}`.padStart(11)}`;
  return [
    dim(`${heading}${'p50'.padStart(11)}${'p99'.padStart(11)}${'served'.padStart(9)}`),
    ...readers.map(({ url, running, applied, latencies }, index) => {
      const line = row(
        `reader ${index + 1}`,
        url,
        running ? `${applied ?? '-'}` : 'gone',
        latencies,
      );
      return running ? line : red(line);
    }),
    bold(row('all', '', '', all)),
  ];
}

/** A line for each change, with a column for each reader, or for the quickest and the slowest. */
function changeLines({ changes, readers }: View, room: number, colors: Colors): string[] {
  const columnsFor = Math.floor((room - VERSION_COLUMNS - LEAST_KEY_COLUMNS) / SERVED_COLUMNS);
  const fits = readers.length <= columnsFor;
  const names = fits ? readers.map((_, index) => `reader ${index + 1}`) : ['quickest', 'slowest'];
  const keyRoom = room - VERSION_COLUMNS - names.length * SERVED_COLUMNS;
  const heading =
    `${'version'.padEnd(VERSION_COLUMNS)}${'key'.padEnd(keyRoom)}` +
    names.map((name) => name.padStart(SERVED_COLUMNS)).join('');
  return [
    colors.dim(heading),
    ...changes.map(({ version, key, by, served }) => {
      const name = cut(by === 'demo' ? key : `(you) ${key}`, keyRoom - 1).padEnd(keyRoom);
      const times = (fits ? served : quickestAndSlowest(served)).map((one) => {
        const text = shown(one).padStart(SERVED_COLUMNS);
        if (typeof one === 'number') return colors.green(text);
        return one === 'late' ? colors.red(text) : colors.dim(text);
      });
      const start = String(version).padEnd(VERSION_COLUMNS);
      return `${start}${by === 'demo' ? name : colors.cyan(name)}${times.join('')}`;
    }),
  ];
}

function quickestAndSlowest(served: readonly Served[]): Served[] {
  const times = served.filter((one) => typeof one === 'number');
  const rest = served.find((one) => one === 'waiting') ?? served.find((one) => one === 'late');
  if (times.length === 0) return [rest ?? 'gone', rest ?? 'gone'];
  return [Math.min(...times), rest ?? Math.max(...times)];
}

function shown(served: Served): string {
  if (typeof served === 'number') return ms(served);
  return { waiting: '...', late: 'not served', gone: 'gone' }[served];
}

function ms(value: number | undefined): string {
  return value === undefined ? '-' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
