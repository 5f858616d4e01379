/**
 * `npm run bench [-- --only NAME] [--flavor F] [--quick] [--json | --markdown] [--svg FILE]`: every
 * claim of speed, measured.
 *
 * Plain output is a line per figure as it comes, then the latencies of propagation as plots and a
 * table of all. The exit code says nothing about targets, a figure that does not hold is printed so;
 * it is 1 when one could not be measured.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Flavor } from '../../src/demo/data-centers.js';
import { plots } from './distribution.js';
import type { Figure } from './figure.js';
import { run } from './runner.js';
import { suites } from './suites.js';
import { svgOf } from './svg.js';
import { jsonOf, lineOf, tableOf } from './table.js';

const HELP = `npm run bench [-- options]
  --only NAME     one figure or several, separated by commas: ${suites.map(({ name }) => name).join(', ')}
  --flavor F      mysql or mariadb; both by default where a database is involved
  --quick         fewer and shorter rounds: three minutes in all
  --json          one object per figure, a line each
  --markdown      the table only, as in the README; the figures as they come go to stderr
  --svg FILE      also writes the latencies of propagation as a picture`;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    flavor: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    svg: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  if (flags.help) return console.log(HELP);
  const plan = { suites: chosen(flags.only), flavors: flavorsOf(flags.flavor), quick: flags.quick };
  const figures: Figure[] = [];
  await run(plan, (figure) => {
    figures.push(figure);
    if (flags.json) console.log(jsonOf(figure));
    else if (flags.markdown) console.error(lineOf(figure));
    else console.log(lineOf(figure));
  });
  if (flags.svg !== undefined) await writeFile(flags.svg, svgOf(figures));
  if (!flags.json) {
    if (!flags.markdown) console.log(`${plots(figures)}\n`);
    console.log(tableOf(figures, flags.quick ? 'npm run bench -- --quick' : 'npm run bench'));
  }
  // What a suite that was given up still has open must not keep the process.
  process.exit(figures.some(({ failure }) => failure !== undefined) ? 1 : 0);
}

function chosen(only: string | undefined) {
  if (only === undefined) return suites;
  return only.split(',').map((name) => {
    const suite = suites.find((one) => one.name === name);
    if (suite !== undefined) return suite;
    return fail(`Expected --only of ${suites.map((one) => one.name).join(', ')}, got ${name}`);
  });
}

function flavorsOf(flavor: string | undefined): readonly Flavor[] {
  if (flavor === undefined) return ['mysql', 'mariadb'];
  if (flavor === 'mysql' || flavor === 'mariadb') return [flavor];
  return fail(`Expected --flavor mysql or mariadb, got ${flavor}`);
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

await main();
