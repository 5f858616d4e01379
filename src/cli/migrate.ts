/** `tidemark migrate`: applies the migrations to data center A and says what it did. */
import type { Step } from '../core/migration-plan.js';
import { explainMysqlFault, mysqlCodeOf } from '../mysql/fault.js';
import { migrate } from '../mysql/migrate.js';
import { openPool } from '../mysql/pool.js';

export interface MigrateCommandOptions {
  /** MYSQL_A_URL. */
  readonly url: string;
  readonly to?: number | undefined;
  /** A folder of the system's own migrations. */
  readonly dir?: string | undefined;
  readonly dryRun?: boolean | undefined;
  readonly json?: boolean | undefined;
  /** Takes a line without its end. */
  readonly print?: (line: string) => void;
}

export async function migrateCommand(options: MigrateCommandOptions): Promise<void> {
  const { url, to, dir, dryRun = false, json = false } = options;
  const { print = (line: string) => process.stdout.write(`${line}\n`) } = options;
  const pool = openPool(url, { connectionLimit: 1 });
  try {
    const connection = await pool.getConnection();
    const { steps, recognised } = await migrate(connection, {
      ...(to === undefined ? {} : { to }),
      ...(dir === undefined ? {} : { dir }),
      dryRun,
      ...(json ? {} : { onStatement: dryRun ? sqlPrinter(print) : progressPrinter(print) }),
    });
    if (json) {
      const named = (direction: Step['direction']) =>
        steps.filter((step) => step.direction === direction).map(({ name }) => name);
      print(JSON.stringify({ dryRun, applied: named('up'), takenDown: named('down'), recognised }));
      return;
    }
    for (const name of recognised) print(`${dryRun ? '-- ' : ''}${name}: was applied by hand`);
    if (steps.length === 0)
      print(`${dryRun ? '-- ' : ''}Nothing to do: the database is up to date.`);
    else if (!dryRun) print('Done.');
  } catch (error) {
    if (mysqlCodeOf(error) === undefined) throw error;
    throw explainMysqlFault(error, 'MySQL in data center A (MYSQL_A_URL)');
  } finally {
    await pool.end();
  }
}

/** Prints SQL that the plain client can run. */
function sqlPrinter(print: (line: string) => void): (step: Step, sql: string) => void {
  const heading = headings(print, '-- ');
  return (step, sql) => {
    heading(step);
    print(sql.includes(';') ? `DELIMITER //\n${sql}//\nDELIMITER ;` : `${sql};`);
  };
}

function progressPrinter(print: (line: string) => void): (step: Step) => void {
  return headings(print, '');
}

function headings(print: (line: string) => void, prefix: string): (step: Step) => void {
  let last = '';
  return ({ migration, direction }) => {
    const heading = `${direction === 'up' ? 'Applying' : 'Taking down'} ${migration.name}`;
    if (heading !== last) print(`${prefix}${heading}`);
    last = heading;
  };
}
