/** Figures as text: a line for each, an object for programs, and a Markdown table of all. */
import { cpus } from 'node:os';
import { type Figure, short } from './figure.js';

export function nameOf({ name, flavor }: Figure): string {
  return flavor === undefined ? name : `${name} (${flavor})`;
}

export function lineOf(figure: Figure): string {
  const { ours, peer, peerName, unit, ratio, ratioMin, ratioMax, target, holds } = figure;
  if (figure.failure !== undefined) return `FAILED  ${nameOf(figure)}: ${figure.failure}`;
  const verdict = target === 'none' ? 'costs ' : holds ? 'holds ' : 'MISSES';
  const spread = `${short(ratioMin)} to ${short(ratioMax)}`;
  return (
    `${verdict}  ${nameOf(figure)}: ${short(ours)} ${unit}, ${peerName} ` +
    `${short(peer)} ${unit}; ratio ${short(ratio)} (${spread}), target ${target}`
  );
}

export function jsonOf(figure: Figure): string {
  return JSON.stringify({ ...figure, name: nameOf(figure), samples: undefined });
}

/** One row for a figure on both databases, and under the table where it was made. */
export function tableOf(figures: readonly Figure[], command: string): string {
  const rows = new Map<string, Figure[]>();
  for (const figure of figures) {
    const row = [figure.name, peerOf(figure), figure.target].join('|');
    rows.set(row, [...(rows.get(row) ?? []), figure]);
  }
  const [cpu] = cpus();
  return [
    '| Figure | Against | Target | MySQL | MariaDB | Holds |',
    '| --- | --- | --- | --- | --- | --- |',
    ...[...rows.values()].map(rowOf),
    '',
    'Ours / theirs = ratio (smallest to largest of the rounds). ' +
      `${cpus().length} x ${cpu?.model ?? 'unknown processor'}, Node ${process.versions.node}, ` +
      `by \`${command}\`.`,
  ].join('\n');
}

function rowOf(row: readonly Figure[]): string {
  const [first] = row;
  if (first === undefined) return '';
  const cells = [
    first.name,
    peerOf(first),
    first.target,
    cellOf(row.find(({ flavor }) => flavor !== 'mariadb')),
    cellOf(row.find(({ flavor }) => flavor === 'mariadb')),
    holdsOf(row),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** What differs from run to run is no part of a peer's name. */
function peerOf({ peerName }: Figure): string {
  return peerName.replace(/, at least .*/, '');
}

function cellOf(figure: Figure | undefined): string {
  if (figure === undefined) return '';
  if (figure.failure !== undefined) return 'failed';
  const { ours, peer, unit, ratio, ratioMin, ratioMax } = figure;
  const spread = `${short(ratioMin)} to ${short(ratioMax)}`;
  return `${short(ours)} / ${short(peer)} ${unit} = ${short(ratio)} (${spread})`;
}

function holdsOf(row: readonly Figure[]): string {
  const holding = row.filter(({ holds }) => holds).length;
  if (row[0]?.target === 'none') return '';
  if (holding === row.length) return 'yes';
  return holding === 0 ? 'no' : `on ${row.find(({ holds }) => holds)?.flavor}`;
}
