/** The doctor's findings as text for a terminal, or as JSON. Pure. */
import type { Colors } from 'picocolors/types.js';
import type { Finding, Place, Severity } from './finding.js';

export type Counts = Readonly<Record<Severity, number>>;

const PLACES: readonly Place[] = ['MySQL-A', 'MySQL-B', 'A to B', 'Redis'];
const WORDS: Readonly<Record<Severity, string>> = {
  ok: 'ok',
  unknown: 'unknown',
  warning: 'warning',
  fault: 'FAULT',
};
const WORD_COLUMNS = 9;
const LEAST_COLUMNS = 40;

export function countsOf(findings: readonly Finding[]): Counts {
  const counts = { ok: 0, unknown: 0, warning: 0, fault: 0 };
  for (const { severity } of findings) counts[severity] += 1;
  return counts;
}

/** `sound`: there is no fault. */
export function reportJson(findings: readonly Finding[]): string {
  const counts = countsOf(findings);
  return JSON.stringify({ sound: counts.fault === 0, counts, findings }, null, 2);
}

/** Lines no longer than `columns`, unless a single word is. */
export function reportText(findings: readonly Finding[], columns: number, colors: Colors): string {
  const checkColumns = 2 + Math.max(...findings.map(({ check }) => check.length));
  const lines = PLACES.flatMap((place) => {
    const here = findings.filter((finding) => finding.place === place);
    if (here.length === 0) return [];
    return [
      colors.bold(place),
      ...here.flatMap((finding) => linesOf(finding, checkColumns, columns, colors)),
      '',
    ];
  });
  return [...lines, summary(countsOf(findings), colors)].join('\n');
}

function linesOf(finding: Finding, checkColumns: number, columns: number, colors: Colors) {
  const { severity, check, host, collection, remedy } = finding;
  const cause = [host, collection, finding.cause].filter((part) => part !== undefined).join(': ');
  const indent = 2 + WORD_COLUMNS + checkColumns;
  const room = Math.max(LEAST_COLUMNS, columns - indent);
  const paint = {
    ok: colors.green,
    unknown: colors.cyan,
    warning: colors.yellow,
    fault: colors.red,
  };
  const word = paint[severity](WORDS[severity].padEnd(WORD_COLUMNS));
  const [first = '', ...more] = wrapped(cause, room);
  const margin = ' '.repeat(indent);
  const remedies = remedy === undefined ? [] : wrapped(`-> ${remedy}`, room);
  return [
    `  ${word}${check.padEnd(checkColumns)}${first}`,
    ...more.map((line) => `${margin}${line}`),
    ...remedies.map((line, index) => `${margin}${index > 0 ? '   ' : ''}${line}`),
  ];
}

function wrapped(text: string, room: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= room - 3) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}

function summary(counts: Counts, colors: Colors): string {
  const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  const text = [
    plural(counts.fault, 'fault'),
    plural(counts.warning, 'warning'),
    `${counts.unknown} unknown`,
    `${counts.ok} ok`,
  ].join(', ');
  return counts.fault > 0 ? colors.red(text) : colors.green(text);
}
