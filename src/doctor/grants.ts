/**
 * What an account may do, from `SHOW GRANTS`. Pure. The lines themselves are never shown: MariaDB
 * puts hashes of passwords into them.
 */
import { isLike } from './like.js';

export interface Grant {
  /** Upper case; `ALL PRIVILEGES` as it is. Those of single columns are left out. */
  readonly privileges: readonly string[];
  /** `*`, or a pattern: `%` and `_` stand for others unless escaped. */
  readonly database: string;
  /** `*`, or a table. */
  readonly table: string;
}

export type Grants = readonly Grant[];

const ALL = 'ALL PRIVILEGES';
const NAME = '(?:\\*|`(?:[^`]|``)*`)';
const GRANT = new RegExp(`^GRANT (.+?) ON (?:TABLE )?(${NAME})\\.(${NAME}) TO `);

/** Roles are no privileges; those they bring are lines of their own while they are active. */
export function parseGrants(lines: readonly string[]): Grant[] {
  return lines.flatMap((line) => {
    const [, list = '', database = '', table = ''] = GRANT.exec(line) ?? [];
    const privileges = list
      .replaceAll(/\w+ \([^)]*\)/g, '') // of columns
      .split(',')
      .map((one) => one.trim().toUpperCase())
      .filter((one) => one !== '' && one !== 'USAGE');
    return privileges.length === 0
      ? []
      : [{ privileges, database: unquoted(database), table: unquoted(table) }];
  });
}

/** Whether `privilege` is held on a table, or on the whole database or server. */
export function holds(grants: Grants, privilege: string, database: string, table: string): boolean {
  return grants.some(
    (grant) =>
      (grant.privileges.includes(privilege) || grant.privileges.includes(ALL)) &&
      (grant.database === '*' || isLike(grant.database, database)) &&
      (grant.table === '*' || grant.table === table),
  );
}

/** Whether one of `privileges` is held on the whole server. */
export function holdsGlobally(grants: Grants, ...privileges: string[]): boolean {
  return grants.some(
    (grant) =>
      grant.database === '*' &&
      [...privileges, ALL].some((privilege) => grant.privileges.includes(privilege)),
  );
}

/** Rights that show something to the doctor and change nothing. */
const SEEING = new Set([
  'REPLICATION CLIENT',
  'BINLOG MONITOR',
  'SLAVE MONITOR',
  'REPLICA MONITOR',
  'TRIGGER',
  'SHOW VIEW',
]);

/** What goes beyond SELECT on `tables` of `database`, such as `INSERT on app.*`. */
export function excessOf(grants: Grants, database: string, tables: readonly string[]): string[] {
  return grants.flatMap((grant) => {
    const isOurs =
      grant.database !== '*' && isLike(grant.database, database) && tables.includes(grant.table);
    const excess = grant.privileges.filter(
      (one) => !SEEING.has(one) && !(one === 'SELECT' && isOurs),
    );
    const few = excess.length > 4 ? [...excess.slice(0, 3), `${excess.length - 3} more`] : excess;
    return few.length === 0 ? [] : [`${few.join(', ')} on ${grant.database}.${grant.table}`];
  });
}

function unquoted(name: string): string {
  return name.startsWith('`') ? name.slice(1, -1).replaceAll('``', '`') : name;
}
