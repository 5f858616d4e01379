/** Checks of one database server by itself, for MySQL-A and MySQL-B. */
import type { Collection } from '../../core/collection.js';
import { quoteIdentifier } from '../../core/table.js';
import type { DoctorSettings, ServerFacts, SourceFacts } from '../facts.js';
import { type Check, check, fault, ok, unseen, type Verdict, warning } from '../finding.js';
import { excessOf, holds, holdsGlobally } from '../grants.js';
import { CHANGES, STREAM } from '../server.js';

const OLDEST = { mysql: [8, 0, 17], mariadb: [10, 6, 0] } as const;

/** Of an account's grants that go too far. */
const MOST_SHOWN = 3;

export const SERVER_CHECKS: readonly Check[] = [
  check('MySQL-A', 'version', ['a'], ({ a }) => judgeVersion(a)),
  check('MySQL-A', 'read-only', ['a'], ({ a }) => judgeSourceWritable(a)),
  check('MySQL-A', 'binary log', ['a'], ({ a }) => judgeBinaryLog(a, a.binlogFilters)),
  check('MySQL-A', 'privileges', ['a'], ({ a, settings }) => judgeWriterRights(a, settings)),
  check('MySQL-B', 'version', ['b'], ({ b }) => judgeVersion(b)),
  check('MySQL-B', 'read-only', ['b'], ({ b }) => judgeReplicaReadOnly(b)),
  check('MySQL-B', 'privileges', ['b'], ({ b, settings }) => judgeReaderRights(b, settings)),
];

export function isOn(server: ServerFacts, variable: string): boolean {
  return !/^(OFF|0|NO|)$/i.test(server.variables.get(variable) ?? '');
}

function judgeVersion({ flavor, version }: ServerFacts): Verdict {
  const oldest = OLDEST[flavor];
  const parts = version.split(/[.-]/).map(Number);
  const at = oldest.findIndex((part, index) => parts[index] !== part);
  const product = flavor === 'mysql' ? 'MySQL' : 'MariaDB';
  if (at === -1 || (parts[at] ?? 0) > (oldest[at] ?? 0)) {
    return ok(version.includes(product) ? version : `${product} ${version}`);
  }
  return fault(
    `${product} ${version} is too old: its SQL and its collations are not those that are needed`,
    `Upgrade to ${product} ${oldest.join('.')} or newer, the replica first`,
  );
}

function judgeSourceWritable(a: ServerFacts): Verdict {
  if (!isOn(a, 'read_only')) return ok('off: this server takes writes');
  return fault(
    'read_only is on: this is a replica, or a source that takes no writes',
    'Let MYSQL_A_URL name the source; if this is it: SET GLOBAL read_only = OFF',
  );
}

function judgeBinaryLog(a: ServerFacts, filters: SourceFacts['binlogFilters']): Verdict {
  if (!isOn(a, 'log_bin')) {
    return fault('off: nothing is replicated', 'Restart the server with log_bin = binlog');
  }
  const format = a.variables.get('binlog_format') ?? 'ROW';
  if (format !== 'ROW') {
    return fault(
      `binlog_format is ${format}: statements run the triggers again on the replica, with versions ` +
        'of their own',
      "SET GLOBAL binlog_format = 'ROW', the same in the server's configuration, then reconnect " +
        'all clients',
    );
  }
  if ('lacking' in filters) {
    return unseen(
      'on, by row; filters (binlog_do_db, binlog_ignore_db) cannot be seen',
      filters.lacking,
      a.account,
    );
  }
  const { doDb, ignoreDb } = filters.value;
  const isIn = (list: string) => list.split(',').some((one) => one.trim() === a.database);
  if ((doDb !== '' && !isIn(doDb)) || isIn(ignoreDb)) {
    const name = doDb === '' ? 'binlog_ignore_db' : 'binlog_do_db';
    return fault(
      `${name} keeps the database ${a.database} out: nothing of it is replicated`,
      `Take ${a.database} out of ${name} in the server's configuration, restart it, clone MySQL-B anew`,
    );
  }
  return ok('on, by row');
}

/** What a write app does, per table. */
function writerRights(collections: readonly Collection[]): [table: string, privileges: string[]][] {
  return [
    ...collections.map(({ table }): [string, string[]] => [
      table,
      ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    ]),
    [STREAM, ['SELECT', 'UPDATE']],
    [CHANGES, ['SELECT', 'DELETE']],
  ];
}

function judgeWriterRights(a: ServerFacts, { collections }: DoctorSettings): Verdict {
  const missing = writerRights(collections).flatMap(([table, privileges]) => {
    const lacking = privileges.filter((one) => !holds(a.grants, one, a.database, table));
    return lacking.length === 0 ? [] : [grantOf(a, lacking, table)];
  });
  if (missing.length > 0) {
    return warning(
      'this account is not enough for a write app, if it is meant for one',
      missing.join('; '),
    );
  }
  if (holdsGlobally(a.grants, 'SUPER', 'INSERT', 'DROP', 'CREATE USER')) {
    return warning(
      'this account has rights on the whole server; a write app needs them on a few tables',
      'Give the write app an account of its own: README, "Apply the migrations", Privileges',
    );
  }
  return ok('enough for a write app');
}

function grantOf({ account, database }: ServerFacts, privileges: readonly string[], table: string) {
  return `GRANT ${privileges.join(', ')} ON ${quoteIdentifier(database)}.${quoteIdentifier(table)} TO ${account}`;
}

function judgeReplicaReadOnly(b: ServerFacts): Verdict {
  const super_ = b.flavor === 'mysql';
  if (!isOn(b, 'read_only')) {
    return fault(
      'read_only is off: a write made here takes a version that A will give away, too, and then ' +
        'replication stops',
      `SET ${super_ ? 'PERSIST super_read_only' : 'GLOBAL read_only'} = ON` +
        `${super_ ? '' : ", and read_only = ON in the server's configuration"}`,
    );
  }
  if (super_ && !isOn(b, 'super_read_only')) {
    return warning(
      'read_only is on, but super_read_only is off: administrators can write here by accident',
      'SET PERSIST super_read_only = ON',
    );
  }
  return ok(super_ ? 'on, for administrators too' : 'on');
}

function judgeReaderRights(b: ServerFacts, { collections }: DoctorSettings): Verdict {
  const tables = [STREAM, CHANGES, ...collections.map(({ table }) => table)];
  const denied = tables.filter((name) => b.tables.get(name)?.access === 'denied');
  if (denied.length > 0) {
    return fault(
      `${b.account} may not read ${denied.join(', ')}: readers with this account cannot work`,
      `In A: ${denied.map((table) => grantOf(b, ['SELECT'], table)).join('; ')}`,
    );
  }
  const excess = excessOf(b.grants, b.database, [...tables, 'tidemark_migrations']);
  if (excess.length > 0) {
    const more =
      excess.length > MOST_SHOWN ? `; and ${excess.length - MOST_SHOWN} more grants` : '';
    const shown = `${excess.slice(0, MOST_SHOWN).join('; ')}${more}`;
    return warning(
      `more than SELECT on ${tables.length} tables, which is all that a reader needs: ${shown}`,
      'Give readers an account of their own, with migrations/grant_reader.sql',
    );
  }
  return ok(`SELECT on the ${tables.length} tables, and nothing that changes any`);
}
