#!/usr/bin/env node
/** The command line of Tidemark: it names the commands, reads their settings and says what failed. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { defaultOf, readSettings, settingsFor } from '../env.js';
import { InvalidOptionsError, TidemarkError } from '../errors.js';
import type { CommandName } from '../settings.js';
import { packageVersion } from '../version.js';

const EXAMPLES = `
Examples:
  $ tidemark demo                       both data centers on this machine, to try it
  $ MYSQL_A_URL=mysql://root:secret@db-a/app tidemark migrate --dry-run
  $ MYSQL_A_URL=mysql://app:secret@db-a/app tidemark write --port 8080
  $ MYSQL_B_URL=mysql://reader:secret@db-b/app REDIS_URL=redis://cache-b tidemark read
  $ tidemark doctor                     what is wrong, with all three URLs in the environment

Every flag of a command can be set in the environment. Prefer that for URLs and tokens: flags
show in the list of processes.`;

const program = new Command('tidemark')
  .description('Writes in data center A, served in data center B within a fraction of a second.')
  .version(packageVersion())
  .addHelpText('after', EXAMPLES)
  .exitOverride()
  .showSuggestionAfterError();

withSettings('migrate', 'bring the schema of data center A up to date')
  .option('--to <number>', 'bring it to this migration, down if need be', wholeNumber)
  .option('--dry-run', 'print the SQL that would run, and run nothing')
  .action(async (flags) => {
    const { mysqlAUrl: url } = readSettings('migrate', process.env, flags);
    const { migrateCommand } = await import('./migrate.js');
    await migrateCommand({ url, to: flags.to, dryRun: flags.dryRun });
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
    command.option(`--${setting.flag} <value>`, `${setting.help} (${setting.env}${more})`);
  }
  return command;
}

/** Says what failed, unless commander has done so. Usage is 2, the rest 1. */
function exitCodeFor(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const text = error instanceof TidemarkError ? error.message : stackOf(error);
  process.stderr.write(`tidemark: ${text}\n`);
  return error instanceof InvalidOptionsError ? 2 : 1;
}

/** Operating errors have a code and a message for people; a bug needs its stack. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? error.message : (error.stack ?? error.message);
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number.');
}
