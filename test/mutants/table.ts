/** The table of results. */
import type { Budget } from './mutant.js';
import type { Result } from './run.js';

const HEAD = ['name', 'what is wrong', 'caught by', 'guarantee named', 'needed', 'killed'];

export function tableOf(results: readonly Result[]): string {
  const rows = results.map(({ mutant, budget, ok, kind, guarantee, needed }) => [
    mutant?.name ?? '(the product as it is)',
    mutant?.wrong ?? 'nothing: it must survive the greatest budget',
    catcherOf(budget),
    guarantee ?? kind,
    needed,
    mutant === undefined ? (ok ? 'alive' : 'VOID') : ok ? 'yes' : 'NO',
  ]);
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const killed = results.filter(({ mutant, ok }) => mutant !== undefined && ok).length;
  const planted = results.filter(({ mutant }) => mutant !== undefined).length;
  return [line(HEAD), rule, ...rows.map(line), '', `${killed} of ${planted} killed`].join('\n');
}

function catcherOf(budget: Budget): string {
  if (budget.by === 'contract') return `${budget.test}, ${budget.seconds} s`;
  const but = budget.but === undefined ? '' : ` but ${JSON.stringify(budget.but)}`;
  const setting = budget.setting === undefined ? '' : ` of ${budget.setting}${but}`;
  return `simulation${setting}, ${budget.seeds} x ${budget.steps}`;
}
