/**
 * The readers of a table as a table of text. Pure: what is known and the terminal's size come in,
 * lines come out, none longer than the terminal is wide, nor more than it has rows.
 */
import type { Colors } from 'picocolors/types.js';
import type { Announcement } from '../core/announcement.js';
import { cut } from '../terminal-text.js';

export interface FleetView {
  readonly table: string;
  /** The head of MySQL-B; null when it was not asked. */
  readonly head: number | null;
  readonly readers: readonly Announcement[];
  /** Why the view is not what it should be. */
  readonly problem?: string | undefined;
  readonly nowMs: number;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly text: (reader: Announcement, view: FleetView) => string;
}

const MOST_COLUMNS = 160;
const LEAST_NAME = 12;

const COLUMNS: readonly Column[] = [
  { title: 'applied', width: 10, text: ({ applied }) => String(applied) },
  { title: 'lag', width: 7, text: (reader, { head }) => String(lagOf(reader, head)) },
  { title: 'age', width: 8, text: ({ stalenessMs }) => duration(stalenessMs) },
  { title: 'local', width: 7, text: ({ reads }) => share(reads.local, reads) },
  { title: 'redis', width: 7, text: ({ reads }) => share(reads.redis, reads) },
  { title: 'mysql', width: 7, text: ({ reads }) => share(reads.mysql, reads) },
  { title: 'state', width: 9, text: stateOf },
];
/** As far as there is room for them, in this order. */
const WIDE_COLUMNS: readonly Column[] = [
  { title: 'generation', width: 14, text: ({ generation }) => generation?.slice(-12) ?? '-' },
  { title: 'version', width: 9, text: ({ software }) => software },
  {
    title: 'up',
    width: 8,
    text: ({ startedAt }, { nowMs }) => duration(nowMs - Date.parse(startedAt)),
  },
];

/** How many changes of MySQL-B's log a reader has not taken in. */
export function lagOf({ applied, head }: Announcement, headB: number | null): number {
  return Math.max(0, (headB ?? head) - applied);
}

/** One below the other, each with its part of the rows. */
export function statusScreens(
  views: readonly FleetView[],
  { columns, rows }: Size,
  colors: Colors,
): string {
  const part = Math.max(1, Math.floor((rows + 1) / views.length) - 1); // and a line between them
  const size = { columns, rows: views.length === 1 ? rows : part };
  const lines = views
    .map((view) => statusScreen(view, size, colors))
    .join('\n\n')
    .split('\n');
  return lines.slice(0, rows).join('\n');
}

export function statusScreen(view: FleetView, { columns, rows }: Size, colors: Colors): string {
  const room = Math.min(columns, MOST_COLUMNS);
  const shown = [...COLUMNS];
  for (const column of WIDE_COLUMNS) {
    if (widthOf([...shown, column]) + LEAST_NAME * 2 <= room) shown.push(column);
  }
  const nameRoom = Math.max(LEAST_NAME, room - widthOf(shown));
  const { table, head, readers, problem } = view;
  const where = head === null ? '' : `, MySQL-B at version ${head}`;
  const count = `${readers.length} reader${readers.length === 1 ? '' : 's'}`;
  const top = [
    colors.bold(cut(`${count} of ${table}${where}`, room)),
    ...(problem === undefined ? [] : [colors.red(cut(problem, room))]),
  ];
  if (readers.length === 0)
    return [...top, 'none has announced itself in Redis'].slice(0, rows).join('\n');
  const heading = [
    'reader'.padEnd(nameRoom),
    ...shown.map(({ title, width }) => title.padStart(width)),
  ];
  const lines = readers.map((reader) => lineOf(reader, view, shown, nameRoom, colors));
  const space = Math.max(1, rows - top.length - 1);
  const left = lines.length - space + 1;
  const listed = lines.length <= space ? lines : [...lines.slice(0, space - 1), `and ${left} more`];
  return [...top, colors.dim(heading.join('')), ...listed].slice(0, rows).join('\n');
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width, 0);
}

function lineOf(
  reader: Announcement,
  view: FleetView,
  columns: readonly Column[],
  nameRoom: number,
  { yellow }: Colors,
): string {
  const name = cut(`${reader.host}:${reader.pid}`, nameRoom - 1).padEnd(nameRoom);
  const cells = columns.map((column) => {
    return cut(column.text(reader, view), column.width - 1).padStart(column.width);
  });
  const line = `${name}${cells.join('')}`;
  return reader.ready && !reader.stale ? line : yellow(line);
}

function stateOf({ ready, stale }: Announcement): string {
  if (!ready) return 'starting';
  return stale ? 'stale' : 'ready';
}

function share(part: number, { local, redis, mysql }: Announcement['reads']): string {
  const all = local + redis + mysql;
  return all === 0 ? '-' : `${((100 * part) / all).toFixed(part === all ? 0 : 1)}%`;
}

function duration(ms: number | null): string {
  if (ms === null || Number.isNaN(ms)) return '-';
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1_000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3_600
    ? `${Math.round(seconds / 3_600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}
