#!/usr/bin/env node
/** The command line of Tidemark: it names the commands, reads their settings and says what failed. */
import tab from '@bomb.sh/tab/commander';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { defaultOf, readSettings, settingsFor } from '../env.js';
import { InvalidOptionsError, TidemarkError } from '../errors.js';
import { redacted } from '../redaction.js';
import type { CommandName } from '../settings.js';
import { packageVersion } from '../version.js';
import { EXAMPLES, examplesOf } from './examples.js';

const DEFAULT_OUT = 'tidemark-migrations';

const program = new Command('tidemark')
  .description('Writes in data center A, served in data center B within a fraction of a second.')
  .version(packageVersion())
  .addHelpText('after', EXAMPLES)
  .exitOverride()
  .showSuggestionAfterError();

withSettings('migrate', 'bring the schema of data center A up to date')
  .option('--to <number>', 'bring it to this migration, down if need be', wholeNumber)
  .option('--dir <folder>', "also the folder's own migrations, such as `track` writes")
  .option('--dry-run', 'print the SQL that would run, and run nothing')
  .option('--json', 'print what was applied as JSON')
  .action(async ({ to, dir, dryRun, json, ...flags }) => {
    const { mysqlAUrl: url } = readSettings('migrate', process.env, flags);
    const { migrateCommand } = await import('./migrate.js');
    await migrateCommand({ url, to, dir, dryRun, json });
  });

withSettings('track', 'write the migration that makes a table of yours a collection')
  .argument('<table>', 'a table in the database of MYSQL_A_URL')
  .requiredOption(
    '--key <columns>',
    'the column of its keys, or several, separated by commas',
    names,
  )
  .requiredOption(
    '--value <columns>',
    'what is served: a column, or several as one JSON object',
    names,
  )
  .option('--collection <name>', "the collection's name in URLs; default the table's")
  .option('--version-column <name>', 'the column to add', 'version')
  .addOption(
    new Option('--algorithm <name>', 'how to add the column')
      .choices(['instant', 'inplace', 'copy'])
      .default('instant'),
  )
  .option('--out <folder>', 'where the migration goes', DEFAULT_OUT)
  .option('--dry-run', 'print the migration, and write nothing')
  .option('--json', 'print what was looked at, written or refused as JSON')
  .action(async (table, flags) => {
    const { mysqlAUrl: url } = readSettings('track', process.env, flags);
    const { trackCommand } = await import('./track.js');
    await trackCommand({ ...flags, url, table });
  });

withSettings('write', 'serve writes in data center A').action(async (flags) => {
  const settings = readSettings('write', process.env, flags);
  const { writeCommand } = await import('./write.js');
  await writeCommand(settings);
});

withSettings('read', 'serve reads in data center B').action(async (flags) => {
  const settings = readSettings('read', process.env, flags);
  const { readCommand } = await import('./read.js');
  await readCommand(settings);
});

withSettings('doctor', 'check both data centers and all between them; exit code 1 on a fault')
  .option('--json', 'print the findings as JSON')
  .action(async (flags) => {
    const settings = readSettings('doctor', process.env, flags);
    const { doctorCommand } = await import('./doctor.js');
    if (!(await doctorCommand({ settings, json: flags.json }))) process.exitCode = 1;
  });

withSettings('status', 'show the readers of data center B: how far, how fresh, from which tier')
  .option('--once', 'look once, also in a terminal')
  .option('--json', 'look once, and print it as JSON')
  .action(async (flags) => {
    const settings = readSettings('status', process.env, flags);
    const { statusCommand } = await import('./status.js');
    await statusCommand({ settings, json: flags.json, once: flags.once });
  });

withSettings(
  'verify',
  'compare Redis and each reader with MySQL-B, key by key; exit code 1 on a mismatch',
)
  .option('--json', 'print what was found as JSON')
  .action(async (flags) => {
    const settings = readSettings('verify', process.env, flags);
    const { verifyCommand } = await import('./verify.js');
    if (!(await verifyCommand({ settings, json: flags.json }))) process.exitCode = 1;
  });

withSettings('prune', 'take old changes out of the log in data center A, none that a reader needs')
  .option('--older-than-hours <hours>', 'those that are older', aboveZero)
  .option('--keep-versions <count>', 'all but the newest so many', aboveZeroWhole)
  .option('--force', 'also those that a running reader has not taken in yet')
  .option('--dry-run', 'say how many, and remove none')
  .option('--json', 'print what was done as JSON')
  .action(async ({ olderThanHours, keepVersions, force, dryRun, json, ...flags }) => {
    const settings = readSettings('prune', process.env, flags);
    const { pruneCommand } = await import('./prune.js');
    await pruneCommand({ settings, olderThanHours, keepVersions, force, dryRun, json });
  });

withSettings('rebase', 'make all readers start again with empty caches; asks first')
  .option('--yes', 'do not ask')
  .option('--json', 'print what was done as JSON')
  .action(async (flags) => {
    const settings = readSettings('rebase', process.env, flags);
    const { rebaseCommand } = await import('./rebase.js');
    const { yes, json } = flags;
    if (!(await rebaseCommand({ settings, yes, json }))) process.exitCode = 1;
  });

program
  .command('demo')
  .description('run both data centers on this machine: MySQL or MariaDB, Redis, replication')
  .addOption(new Option('--flavor <name>', 'the database').choices(['mysql', 'mariadb']))
  .option('--readers <count>', 'read instances', wholeNumber)
  .option('--json', 'print where everything is as one line of JSON, then stay quiet')
  .action(async (flags) => {
    const { demoCommand } = await import('./demo.js');
    await demoCommand(flags);
  });

tab(program, { completionCommandName: 'completion' });
for (const command of program.commands) {
  if (command.name() === 'complete') continue; // what the shells call
  if (command.name() === 'completion') {
    command.description('print the script that completes commands and flags in your shell');
  }
  command.addHelpText('after', () => examplesOf(command.name()));
}

try {
  await program.parseAsync();
} catch (error) {
  process.exit(exitCodeFor(error));
}

function withSettings(name: CommandName, description: string): Command {
  const command = program.command(name).description(description);
  for (const [, setting] of settingsFor(name)) {
    const usual = defaultOf(setting, name);
    const more = usual === undefined ? '' : `; default ${usual}`;
    const help = `${setting.help} (${setting.env}${more})`;
    const option = new Option(`--${setting.flag} <value>`, help);
    // For the completion only: `readSettings` checks it, wherever it comes from.
    if (setting.kind === 'choice') option.argChoices = [...setting.choices];
    command.addOption(option);
  }
  return command;
}

/** Says what failed, unless commander has done so. Usage is 2, the rest 1. */
function exitCodeFor(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const text = error instanceof TidemarkError ? error.message : redacted(stackOf(error));
  process.stderr.write(`tidemark: ${text}\n`);
  return error instanceof InvalidOptionsError ? 2 : 1;
}

/** Operating errors have a code and a message for people; a bug needs its stack. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? error.message : (error.stack ?? error.message);
}

function names(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

function aboveZero(text: string): number {
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('Expected a number above 0.');
}

function aboveZeroWhole(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number above 0.');
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}
