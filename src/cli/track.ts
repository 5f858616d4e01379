/** `tidemark track`: writes the migration that tracks a table, and says what is to be done with it. */
import { formatCollection } from '../core/collections-text.js';
import { explainMysqlFault, mysqlCodeOf } from '../mysql/fault.js';
import { openPool } from '../mysql/pool.js';
import type { Algorithm } from '../track/judge.js';
import { grantText } from '../track/migration-text.js';
import { refusedJson, trackedJson } from '../track/report-json.js';
import { planTracking, type Tracked, UntrackableError, writeMigration } from '../track/track.js';

export interface TrackCommandOptions {
  /** MYSQL_A_URL. */
  readonly url: string;
  readonly table: string;
  readonly key: readonly string[];
  readonly value: readonly string[];
  readonly collection?: string | undefined;
  readonly versionColumn: string;
  readonly algorithm: Algorithm;
  /** The folder for the migration. */
  readonly out: string;
  /** Prints the migration instead of writing it. */
  readonly dryRun?: boolean | undefined;
  readonly json?: boolean | undefined;
  /** Takes a line without its end. */
  readonly print?: (line: string) => void;
}

/** @throws UntrackableError with each reason, after it was printed when it is to be JSON */
export async function trackCommand(options: TrackCommandOptions): Promise<void> {
  const { url, out, dryRun = false, json = false } = options;
  const { print = (line: string) => process.stdout.write(`${line}\n`) } = options;
  const pool = openPool(url, { connectionLimit: 1 });
  try {
    const connection = await pool.getConnection();
    const tracked = await planTracking(connection, options, out, commandOf(options));
    const files = dryRun ? [] : await writeMigration(out, tracked.migration);
    if (json) {
      print(trackedJson(tracked, files, out));
      return;
    }
    if (dryRun) printFiles(tracked, print);
    for (const path of files) print(`Wrote ${path}`);
    report(tracked, out, dryRun ? (line) => print(`-- ${line}`.trimEnd()) : print);
  } catch (error) {
    if (json && error instanceof UntrackableError) print(refusedJson(error));
    if (mysqlCodeOf(error) === undefined || !isOfServer(error)) throw error;
    throw explainMysqlFault(error, 'MySQL in data center A (MYSQL_A_URL)');
  } finally {
    await pool.end();
  }
}

/** Errors of files have a code, too. */
function isOfServer(error: unknown): boolean {
  return error instanceof Error && !('syscall' in error && 'path' in error);
}

function printFiles({ migration }: Tracked, print: (line: string) => void): void {
  print(migration.up);
  print(`-- ${migration.name}.down.sql`);
  for (const line of migration.down.trimEnd().split('\n')) print(`-- ${line}`);
  print('');
}

function report(tracked: Tracked, out: string, print: (line: string) => void): void {
  const { collection, judgement } = tracked;
  const { name, table, keyColumns, valueColumns } = collection;
  const several = valueColumns.length > 1 ? ', as one JSON object' : ', as it is stored';
  print(`${table} becomes the collection ${name}:`);
  print(`  key    ${keyColumns.join(' / ')}`);
  print(`  value  ${valueColumns.join(', ')}${several}`);
  for (const warning of judgement.warnings) print(`Warning: ${warning}`);
  print('');
  print('Next, in data center A:');
  print(`  tidemark migrate --dir ${out}`);
  print(`  ${grantText(collection)}`);
  print('Then, for the apps, after what COLLECTIONS has (`configs` is the table of TABLE):');
  print(`  COLLECTIONS='configs; ${formatCollection(collection)}'`);
}

/** Without the URL, which holds a password. */
function commandOf(options: TrackCommandOptions): string {
  const { table, key, value, collection, versionColumn, algorithm } = options;
  const flags = [
    `--key ${key.join(',')} --value ${value.join(',')}`,
    ...(collection === undefined ? [] : [`--collection ${collection}`]),
    ...(versionColumn === 'version' ? [] : [`--version-column ${versionColumn}`]),
    ...(algorithm === 'instant' ? [] : [`--algorithm ${algorithm}`]),
  ];
  return `tidemark track ${table} ${flags.join(' ')}`;
}
