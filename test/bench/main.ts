/**
 * `npm run bench [-- --only NAME] [--flavor F] [--json] [--quick]`: every claim of speed, measured.
 *
 * Plain output is a line per figure as it comes, then the latencies of propagation as plots and a
 * table of all; with --json one object per figure. The exit code says nothing about targets: a
 * figure that does not hold is printed so.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Flavor } from '../../src/demo/data-centers.js';
import { plots } from './distribution.js';
import { type Figure, short } from './figure.js';
import { Stage } from './stage.js';
import { suites } from './suites.js';

const HELP = `npm run bench [-- options]
  --only NAME     one figure or several, separated by commas: ${suites.map(({ name }) => name).join(', ')}
  --flavor F      mysql or mariadb; both by default where a database is involved
  --quick         fewer and shorter rounds: three minutes in all
  --json          one object per figure, a line each`;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    flavor: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const ROUNDS = { full: 7, quick: 3 };

async function main(): Promise<void> {
  if (flags.help) return console.log(HELP);
  const wanted = chosen(flags.only);
  const flavors: readonly Flavor[] = flavorsOf(flags.flavor);
  const figures: Figure[] = [];
  for (const flavor of flavors) {
    const here = wanted.filter(({ onEachFlavor }) => onEachFlavor || flavor === flavors[0]);
    if (here.length === 0) continue;
    const stage = await Stage.open(flavor);
    try {
      for (const suite of here) {
        const rounds = flags.quick ? ROUNDS.quick : ROUNDS.full;
        for (const figure of await suite.run(stage, rounds, flags.quick)) {
          const named = suite.onEachFlavor
            ? { ...figure, name: `${figure.name} (${flavor})` }
            : figure;
          figures.push(named);
          console.log(
            flags.json ? JSON.stringify({ ...named, samples: undefined }) : lineOf(named),
          );
        }
        await stage.clear();
      }
    } finally {
      await stage.stop();
    }
  }
  if (flags.json) return;
  console.log(plots(figures));
  console.log(table(figures));
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

function lineOf(figure: Figure): string {
  const { name, ours, peer, peerName, unit, ratio, ratioMin, ratioMax, target, holds } = figure;
  const spread = `${short(ratioMin)} to ${short(ratioMax)}`;
  return (
    `${holds ? 'holds' : 'MISSES'}  ${name}: ${short(ours)} ${unit}, ${peerName} ` +
    `${short(peer)} ${unit}; ratio ${short(ratio)} (${spread}), target ${target}`
  );
}

function table(figures: readonly Figure[]): string {
  const rows = figures.map(
    (one) =>
      `| ${one.name} | ${short(one.ours)} ${one.unit} | ${one.peerName}: ${short(one.peer)} ` +
      `${one.unit} | ${short(one.ratio)} (${short(one.ratioMin)} to ${short(one.ratioMax)}) | ` +
      `${one.target} | ${one.holds ? 'yes' : 'no'} |`,
  );
  const [cpu] = cpus();
  return [
    '',
    `${cpus().length} x ${cpu?.model ?? 'unknown processor'}, Node ${process.version}`,
    '| figure | Tidemark | peer | ratio | target | holds |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

await main();
