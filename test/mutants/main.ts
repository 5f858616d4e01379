/** `npm run mutants`: plants each bug in a copy of the product and sees it found. */
import { Command, InvalidArgumentError } from 'commander';
import { mutants } from './mutants.js';
import { runAll } from './run.js';
import { tableOf } from './table.js';

const program = new Command()
  .name('npm run mutants --')
  .description(
    'Plants each bug in a copy of the product, and exits 1 unless the simulation (or, where said, ' +
      'a test by name) finds every one within its budget and names the guarantee broken.',
  )
  .option('--only <names...>', 'only these mutants')
  .option('--json', 'the results as JSON')
  .option('--jobs <count>', 'runs at once', wholeNumber, 2)
  .parse();
const options = program.opts<{ only?: string[]; json?: boolean; jobs: number }>();

const chosen = mutants.filter(({ name }) => options.only?.includes(name) ?? true);
const unknown = options.only?.filter((name) => !mutants.some((one) => one.name === name)) ?? [];
if (unknown.length > 0) program.error(`Expected names of mutants, got ${unknown.join(', ')}.`);

const tell = options.json ? () => undefined : (line: string) => console.log(line);
const results = await runAll(chosen, options.jobs, tell);
if (options.json) console.log(JSON.stringify(results, undefined, 2));
else console.log(tableOf(results));
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;

function wholeNumber(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number from 1 to 99.');
}
