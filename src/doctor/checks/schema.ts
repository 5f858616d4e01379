/** Checks of the migrations, the triggers and the tracked tables, in A and in B. */
import type { Collection } from '../../core/collection.js';
import { planMigration } from '../../core/migration-plan.js';
import { DEFAULT_TABLE, quoteIdentifier } from '../../core/table.js';
import { SchemaError } from '../../errors.js';
import type { Facts, KeyCollation, ServerFacts, TrackedFacts, Trigger } from '../facts.js';
import {
  type Check,
  check,
  checkEach,
  fault,
  ok,
  unknown,
  unseen,
  type Verdict,
  warning,
} from '../finding.js';
import { holdsGlobally } from '../grants.js';
import { isOn } from './servers.js';

const REPLICATED = 'Replication carries it from A: see "replication" and "filters"';
const AGAIN = 'tidemark migrate --to 2, then tidemark migrate';
const STALE = 'what changed meanwhile is stale until an audit of a reader finds it (AUDIT_CRON)';

export const SCHEMA_CHECKS: readonly Check[] = [
  check('MySQL-A', 'tables', ['a'], ({ a }) => judgeTables(a, 'tidemark migrate')),
  check('MySQL-A', 'migrations', ['a'], ({ a, migrations }) => judgeMigrations(a, migrations)),
  checkEach('MySQL-A', 'triggers', ['a'], ({ a, migrations }, collection) =>
    judgeTriggers(a, collection, migrations, fault),
  ),
  check('MySQL-A', 'trigger creation', ['a'], ({ a, migrations }) => judgeCreation(a, migrations)),
  checkEach('MySQL-A', 'key collation', ['a'], ({ a }, collection) =>
    judgeCollations(a, collection),
  ),
  checkEach('MySQL-A', 'cascades', ['a'], ({ a }, collection) => judgeCascades(a, collection)),
  check('MySQL-B', 'tables', ['b'], ({ b }) => judgeTables(b, REPLICATED)),
  check('MySQL-B', 'migrations', ['b'], ({ b, migrations }) => judgeMigrations(b, migrations)),
  checkEach('MySQL-B', 'triggers', ['b'], ({ b, migrations }, collection) =>
    judgeTriggers(b, collection, migrations, warning),
  ),
  checkEach('MySQL-B', 'key collation', ['b'], ({ a, b }, collection) =>
    judgeCollations(b, collection, a),
  ),
];

function judgeTables(server: ServerFacts, remedy: string): Verdict {
  const all = [...server.tables];
  const named = (access: string) =>
    all.filter(([, state]) => state.access === access).map(([name]) => name);
  const [missing, columns, denied] = [named('missing'), named('columns'), named('denied')];
  if (missing.length > 0) return fault(`${missing.join(', ')} missing`, remedy);
  if (columns.length > 0) {
    return fault(
      `${columns.join(', ')}: a column that Tidemark needs is missing`,
      `${remedy}; or correct COLLECTIONS (TABLE, KEY_COLUMN, VALUE_COLUMN, VERSION_COLUMN)`,
    );
  }
  if (denied.length > 0) {
    return unseen(
      `${denied.join(', ')} may not be read`,
      `SELECT ON ${quoteIdentifier(server.database)}.${quoteIdentifier(denied[0] ?? '')}`,
      server.account,
    );
  }
  const other = all.filter(([, { engine }]) => engine !== undefined && engine !== 'InnoDB');
  if (other.length > 0) {
    const [[name, { engine }] = ['', { engine: '' }]] = other;
    return fault(
      `${name} is in ${engine}, which has no transactions: its changes and the log can part`,
      `ALTER TABLE ${name} ENGINE = InnoDB`,
    );
  }
  if (server.log === undefined) {
    return fault(
      'config_stream has lost its one row: nothing can be written, and no reader starts',
      'In A: INSERT INTO config_stream (id, head, beat_at) SELECT 1, MAX(version), ' +
        'UTC_TIMESTAMP(6) FROM config_changes',
    );
  }
  return ok(all.map(([name]) => name).join(', '));
}

type Migrations = Facts['migrations'];

function judgeMigrations(server: ServerFacts, migrations: Migrations): Verdict {
  if ('lacking' in server.ledger) {
    return unseen('the ledger cannot be seen', server.ledger.lacking, server.account);
  }
  try {
    const { steps } = planMigration(migrations, server.ledger.value, migrations.length);
    const [first] = steps;
    if (first === undefined) return ok(`up to ${migrations.at(-1)?.name}, as in this program`);
    const names = steps.map(({ migration }) => migration.name).join(', ');
    const begun = first.statementsDone > 0 ? ', the first of them half applied' : '';
    return fault(
      `not applied: ${names}${begun}`,
      'tidemark migrate, with MYSQL_A_URL; replication carries it to B',
    );
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    return fault(
      error.message,
      'Install the tidemark that the database was migrated with, or newer',
    );
  }
}

const EVENTS = ['INSERT', 'UPDATE', 'DELETE'] as const;

/** Of `configs`: exactly the migration's. Of any other table: one for each event that writes the
 * log, and that regards what the collection names. Those of B run only after it has become the source,
 * so there it is a warning. */
function judgeTriggers(
  server: ServerFacts,
  collection: Collection,
  migrations: Migrations,
  bad: typeof fault,
): Verdict {
  const { table } = collection;
  const { triggers } = trackedIn(server, collection);
  if (server.tables.get(table)?.access === 'missing') return unknown('no table', 'See "tables"');
  if ('lacking' in triggers) {
    return unseen('they cannot be seen', triggers.lacking, server.account);
  }
  const found = new Map(
    triggers.value.filter(writesLog).map((trigger) => [trigger.event, trigger]),
  );
  const missing = EVENTS.filter((event) => !found.has(event));
  const isOurs = table === DEFAULT_TABLE.table;
  const again = `Apply the migration that tracks ${table} again (tidemark track)`;
  const remedy = isOurs ? `${AGAIN}; ${STALE}` : again;
  const later = bad === warning ? ' once B is the source' : '';
  if (missing.length > 0) {
    const events = missing.join(', ');
    return bad(`none for ${events}: readers are not told of such changes${later}`, remedy);
  }
  if (found.get('INSERT')?.timing === 'AFTER' && !triggers.value.some(givesVersion)) {
    return bad(
      `none gives a new row its version: it stays as the column's default${later}`,
      remedy,
    );
  }
  const expected = isOurs ? expectedBodies(migrations) : new Map<string, string>();
  const changed = EVENTS.filter((event) => {
    const body = expected.get(event);
    return body !== undefined && body !== plain(found.get(event)?.body ?? '');
  });
  if (changed.length > 0) {
    const names = changed.map((event) => found.get(event)?.name).join(', ');
    return bad(`${names}: not as the migration made it; the log may lack changes${later}`, remedy);
  }
  const passedOver = isOurs ? [] : passedOverBy(found.get('UPDATE'), collection);
  if (passedOver.length > 0) {
    return bad(
      `the one for UPDATE passes over changes of ${passedOver.join(', ')}: readers are not told${later}`,
      `Track ${table} again with these columns, or take them out of COLLECTIONS`,
    );
  }
  const whole = expected.size > 0 ? ', as the migration made them' : '';
  return ok(`for ${EVENTS.join(', ')}${whole}`);
}

const UNSEEN: TrackedFacts = {
  keyCollations: new Map(),
  triggers: { value: [] },
  cascades: { value: [] },
};

function trackedIn(server: ServerFacts, { table }: Collection): TrackedFacts {
  return server.tracked.get(table) ?? UNSEEN;
}

function givesVersion({ timing, event, body }: Trigger): boolean {
  return timing === 'BEFORE' && event === 'INSERT' && /\bfrom config_stream\b/i.test(plain(body));
}

/** Columns of which such a trigger does not ask whether they changed, if it asks that of any. */
function passedOverBy(trigger: Trigger | undefined, collection: Collection): string[] {
  const body = plain(trigger?.body ?? '');
  if (!body.includes('<=>')) return [];
  const columns = [...collection.keyColumns, ...collection.valueColumns];
  return columns.filter((column) => !body.includes(`OLD.${quoteIdentifier(column)}`));
}

function writesLog({ body }: Trigger): boolean {
  const text = plain(body);
  return /\bupdate\b.*config_stream/i.test(text) && /\binsert\b.*config_changes/i.test(text);
}

function expectedBodies(migrations: Migrations): Map<string, string> {
  const statements = migrations.flatMap(({ up }) => up.groups.flat());
  const matches = statements.map((sql) =>
    /^CREATE TRIGGER \S+ BEFORE (\w+) ON configs FOR EACH ROW\s+(.*)$/s.exec(sql),
  );
  return new Map(matches.flatMap((one) => (one ? [[one[1] ?? '', plain(one[2] ?? '')]] : [])));
}

/** Without comments, which clients drop, and with single spaces. */
function plain(sql: string): string {
  return sql
    .replaceAll(/--\s[^\n]*|\/\*(?!!).*?\*\//gs, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function judgeCreation(a: ServerFacts, migrations: Migrations): Verdict {
  const name = 'log_bin_trust_function_creators';
  if (isOn(a, name)) return ok(`${name} is on`);
  if (!isOn(a, 'log_bin')) return ok(`${name} is off, and not needed without a binary log`);
  if (holdsGlobally(a.grants, 'SUPER'))
    return ok(`${name} is off; this account needs none (SUPER)`);
  if (judgeMigrations(a, migrations).severity === 'ok') {
    return ok(`${name} is off, and needed again only for the moment of a migration with triggers`);
  }
  return fault(
    `${name} is off: this account cannot create the triggers (error 1419)`,
    `SET GLOBAL ${name} = 1 (or the parameter group), tidemark migrate, then set it back`,
  );
}

/** The worst verdict of all key columns. */
function judgeCollations(
  server: ServerFacts,
  collection: Collection,
  other?: ServerFacts | undefined,
): Verdict {
  const of = (one: ServerFacts, column: string) =>
    trackedIn(one, collection).keyCollations.get(column);
  const verdicts = collection.keyColumns.map((column) => {
    const name = `${collection.table}.${column}`;
    return judgeCollation(
      name,
      server.flavor,
      of(server, column),
      other && of(other, column)?.name,
    );
  });
  const bad = verdicts.find(({ severity }) => severity !== 'ok');
  return bad ?? verdicts[0] ?? unknown('no key column', 'See "tables"'); // there is one
}

function judgeCollation(
  name: string,
  flavor: ServerFacts['flavor'],
  collation: KeyCollation | undefined,
  ofA: string | undefined,
): Verdict {
  if (collation === undefined) return unknown(`no ${name} to be seen`, 'See "tables"');
  if (ofA !== undefined && ofA !== collation.name) {
    return warning(
      `${collation.name}, but ${ofA} in A: a change of one key can hit another row, or none`,
      `Make ${name} in B as it is in A: clone B anew, or ALTER it there`,
    );
  }
  const isExact = /(_bin|^binary)$/.test(collation.name);
  if (isExact && collation.noPad) return ok(`${collation.name}: byte for byte`);
  const equal = [...(isExact ? [] : ["'a' and 'A'"]), ...(collation.noPad ? [] : ["'a' and 'a '"])];
  const better = flavor === 'mysql' ? 'utf8mb4_0900_bin' : 'utf8mb4_nopad_bin';
  return warning(
    `${collation.name}: the table takes ${equal.join(', ')} for one key, readers do not; a read of ` +
      'the other spelling finds nothing, a write of it is refused (409)',
    `Use one spelling, or at a quiet hour give ${name} the collation ${better}`,
  );
}

function judgeCascades(server: ServerFacts, collection: Collection): Verdict {
  const { cascades } = trackedIn(server, collection);
  if ('lacking' in cascades) {
    return unseen('foreign keys cannot be seen', cascades.lacking, server.account);
  }
  const [first, ...more] = cascades.value;
  if (first === undefined) return ok(`none into ${collection.table}`);
  const others = more.length > 0 ? ` (and ${more.length} more)` : '';
  return fault(
    `${first.constraint} (${first.rules}, from ${first.parent})${others} changes rows without ` +
      'firing triggers: readers go on with the old ones until an audit finds it',
    `Make ${first.constraint} RESTRICT, and delete or change the rows themselves first`,
  );
}
