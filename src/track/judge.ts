/**
 * Whether a table can be tracked: pure, from what the server says of it.
 *
 * A refusal is of a table whose changes would be missed, whose rows could not be told apart, or that
 * its own migration would not fit; it says why, and what to do. What is merely hazardous is a warning.
 */
import { type Collection, collectionFaults } from '../core/collection.js';
import { MAX_KEY_CHARS } from '../core/key.js';
import { MAX_ROW_KEY_CHARS } from '../core/row-key.js';
import { identifierFault, quoteIdentifier } from '../core/table.js';
import type { ColumnFacts, TableFacts } from '../mysql/table-facts.js';

export interface Wish {
  readonly table: string;
  readonly key: readonly string[];
  readonly value: readonly string[];
  /** Default: the table's name. */
  readonly collection?: string | undefined;
  readonly versionColumn: string;
  readonly algorithm: Algorithm;
}

/** How the version column is added. */
export type Algorithm = 'instant' | 'inplace' | 'copy';

/** Why a table is not tracked as it is, in sentences. */
export interface Refusal {
  /** What was expected, what was got, and why it matters. */
  readonly reason: string;
  /** What to do about it. */
  readonly remedy: string;
}

export interface Judgement {
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly string[];
  readonly collection: Collection;
  readonly keyColumns: readonly ColumnFacts[];
  readonly valueColumns: readonly ColumnFacts[];
}

const INTEGERS = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint'];
const TEXT_KEYS = ['char', 'varchar'];
const BYTES = /blob$|binary$|^bit$|^vector$|geom|^point$|linestring$|polygon$|^multipoint$/;
const OTHER_VERSION_COLUMN =
  'Pass --version-column with a name that is free, such as tidemark_version.';
const OWN_TABLES = ['config_stream', 'config_changes', 'tidemark_migrations'];

export function judge(facts: TableFacts, wish: Wish): Judgement {
  const [keyColumns, valueColumns] = [found(facts, wish.key), found(facts, wish.value)];
  const collection: Collection = {
    name: wish.collection ?? facts.table,
    table: facts.table,
    keyColumns: keyColumns.map(({ name }) => name),
    valueColumns: valueColumns.map(({ name }) => name),
    versionColumn: wish.versionColumn,
  };
  const verdicts = { collection, keyColumns, valueColumns };
  const [whole] = tableRefusals(facts);
  if (whole !== undefined) return { ...verdicts, refusals: [whole], warnings: [] };
  return {
    ...verdicts,
    refusals: [
      ...missingColumns(facts, wish),
      ...(missingColumns(facts, wish).length > 0 ? [] : nameRefusals(collection, wish)),
      ...changeRefusals(facts),
      ...keyColumns.flatMap((column) => keyColumnRefusals(facts, column)),
      ...uniqueRefusals(facts, keyColumns),
      ...lengthRefusals(keyColumns),
      ...valueColumns.flatMap(valueRefusals),
      ...versionRefusals(facts, wish),
    ],
    warnings: warningsOf(facts, keyColumns, valueColumns),
  };
}

/** The columns of these names that there are, as they are spelled. */
function found(facts: TableFacts, names: readonly string[]): ColumnFacts[] {
  return names.flatMap((name) => columnOf(facts, name) ?? []);
}

function columnOf({ columns }: TableFacts, name: string): ColumnFacts | undefined {
  return columns.find((column) => column.name.toLowerCase() === name.toLowerCase());
}

/** Why nothing of the table needs to be looked at. */
function tableRefusals({ table, kind, database, engine, triggers }: TableFacts): Refusal[] {
  const refusals: Refusal[] = [];
  if (kind === undefined) {
    refusals.push({
      reason:
        `Expected a table ${table} in ${database}, got none, or one that this account may not see ` +
        '(temporary tables are seen by their own session only).',
      remedy: 'Correct the name or the grants.',
    });
  } else if (OWN_TABLES.includes(table.toLowerCase())) {
    refusals.push({
      reason: `Expected a table of yours, got ${table}, which is Tidemark's own.`,
      remedy: 'Name the table that has the settings.',
    });
  } else if (kind !== 'BASE TABLE') {
    refusals.push({
      reason:
        `Expected a plain table, got ${table}, a ${kind.toLowerCase()}, which has no triggers that ` +
        'see each change.',
      remedy: 'Track the tables that it is made of.',
    });
  } else if (engine !== 'InnoDB') {
    refusals.push({
      reason:
        `Expected ${table} in InnoDB, got ${engine}, whose changes are not in one transaction with ` +
        'the log: the two can part.',
      remedy: `ALTER TABLE ${quoteIdentifier(table)} ENGINE = InnoDB.`,
    });
  } else if (triggers.some(({ body }) => /\bconfig_changes\b/i.test(body))) {
    const [first] = triggers.filter(({ body }) => /\bconfig_changes\b/i.test(body));
    refusals.push({
      reason: `Expected a table that is not tracked yet, got ${table} with the trigger ${first?.name}.`,
      remedy: 'To track other columns, take its migration down first (`tidemark migrate --to`).',
    });
  }
  return refusals;
}

function missingColumns(facts: TableFacts, wish: Wish): Refusal[] {
  const there = facts.columns.map(({ name }) => name).join(', ');
  return [...wish.key, ...wish.value]
    .filter((name) => columnOf(facts, name) === undefined)
    .map((name) => ({
      reason: `Expected a column ${name} in ${facts.table}, got ${there}.`,
      remedy: 'Correct the name.',
    }));
}

function nameRefusals(collection: Collection, { versionColumn }: Wish): Refusal[] {
  const odd = identifierFault(versionColumn);
  if (odd !== undefined) return [{ reason: `${odd}.`, remedy: OTHER_VERSION_COLUMN }];
  return collectionFaults(collection).map((fault) => ({
    reason: `${fault}.`,
    remedy: nameRemedy(fault),
  }));
}

function nameRemedy(fault: string): string {
  if (/collection's name|\/v1\//.test(fault)) return 'Pass --collection NAME.';
  if (fault.endsWith('twice')) return 'Name each column once in --key and once in --value.';
  if (fault.endsWith('as both')) return OTHER_VERSION_COLUMN;
  return 'Rename it in the database: COLLECTIONS cannot hold such a name.';
}

/** Changes that no trigger sees. */
function changeRefusals({ table, cascades }: TableFacts): Refusal[] {
  return cascades.map(({ constraint, rules, parent }) => ({
    reason:
      `Expected no foreign key that changes rows of ${table} by itself, got ${constraint} (${rules}, ` +
      `from ${parent}): the server fires no trigger for that, and readers would go on with the old ` +
      'rows.',
    remedy: `Make ${constraint} RESTRICT, and delete or change the rows of ${table} themselves first.`,
  }));
}

function keyColumnRefusals({ table }: TableFacts, column: ColumnFacts): Refusal[] {
  const { name, type, fullType } = column;
  const refusals: Refusal[] = [];
  if (!INTEGERS.includes(type) && !TEXT_KEYS.includes(type)) {
    refusals.push({
      reason:
        `Expected ${name} to be an integer, CHAR or VARCHAR as a key, got ${fullType}, which has no ` +
        'one text for one value.',
      remedy: 'Use another unique column, or add a VARCHAR that names the row.',
    });
  }
  if (fullType.includes('zerofill')) {
    refusals.push({
      reason: `Expected ${name} without ZEROFILL, got ${fullType}: its text depends on its display width.`,
      remedy: `ALTER TABLE ${quoteIdentifier(table)} MODIFY it without ZEROFILL.`,
    });
  }
  if (column.isNullable) {
    refusals.push({
      reason: `Expected ${name} to be NOT NULL, got a column that may be NULL: such rows have no key.`,
      remedy: `ALTER TABLE ${quoteIdentifier(table)} MODIFY it NOT NULL.`,
    });
  }
  if (column.isGenerated) {
    refusals.push({
      reason:
        `Expected ${name} to be stored as it was written, got a generated column, whose new value a ` +
        'BEFORE trigger cannot rely on.',
      remedy: 'Use the columns that it is made of as the key.',
    });
  }
  return refusals;
}

function uniqueRefusals({ table, uniqueKeys }: TableFacts, key: readonly ColumnFacts[]): Refusal[] {
  const names = key.map(({ name }) => name);
  if (names.length === 0) return [];
  const isUnique = uniqueKeys.some(({ columns }) => columns.every((one) => names.includes(one)));
  if (isUnique) return [];
  const there = uniqueKeys.map(({ name, columns }) => `${name} (${columns.join(', ')})`).join(', ');
  return [
    {
      reason:
        `Expected a primary key or a unique index on ${names.join(', ')}, got ${there || 'none'}: ` +
        'one key could be two rows.',
      remedy:
        'Pass --key with the columns of one of these, or add one: ALTER TABLE ' +
        `${quoteIdentifier(table)} ADD UNIQUE (${names.map(quoteIdentifier).join(', ')}).`,
    },
  ];
}

/** The most characters of a key, but for the escapes of several parts. */
function maxChars(key: readonly ColumnFacts[]): number {
  const LONGEST_INTEGER = 20;
  const separators = Math.max(0, key.length - 1);
  return key.reduce((sum, column) => sum + (column.maxChars ?? LONGEST_INTEGER), separators);
}

function lengthRefusals(key: readonly ColumnFacts[]): Refusal[] {
  const chars = maxChars(key);
  if (chars <= MAX_ROW_KEY_CHARS) return [];
  return [
    {
      reason:
        `Expected keys of at most ${MAX_ROW_KEY_CHARS} characters, which is what the log holds, got ` +
        `columns for ${chars}.`,
      remedy: 'Use a shorter unique column, or make these shorter.',
    },
  ];
}

function valueRefusals({ name, fullType, type }: ColumnFacts): Refusal[] {
  if (!BYTES.test(type)) return [];
  return [
    {
      reason:
        `Expected ${name} to be JSON, text or a number, got ${fullType}: bytes are no text, and are ` +
        'not served.',
      remedy: 'Leave it out of --value, or change it to JSON or LONGTEXT.',
    },
  ];
}

function versionRefusals(facts: TableFacts, { versionColumn, algorithm }: Wish): Refusal[] {
  const refusals: Refusal[] = [];
  const column = columnOf(facts, versionColumn);
  if (column !== undefined) {
    refusals.push({
      reason:
        `Expected to add a column ${versionColumn}, got a table that has one with a meaning of its ` +
        'own.',
      remedy: OTHER_VERSION_COLUMN,
    });
  }
  const obstacle = obstacleOf(facts);
  if (obstacle?.algorithms.includes(algorithm) === false) {
    const [least] = obstacle.algorithms;
    refusals.push({
      reason:
        `Expected a table that takes a new column by ALGORITHM = ${algorithm.toUpperCase()}, got one ` +
        `with ${obstacle.cause}.`,
      remedy:
        `Pass --algorithm ${least}, and apply the migration at a quiet hour: it ` +
        `${least === 'copy' ? 'copies the table, which takes no writes meanwhile' : 'rebuilds the table'}.`,
    });
  }
  return refusals;
}

/** What keeps a column from being added at once, and what does it all the same. */
function obstacleOf({ rowFormat, hasFulltext, flavor }: TableFacts) {
  const obstacle = (cause: string, ...algorithms: Algorithm[]) => ({ cause, algorithms });
  if (hasFulltext && flavor === 'mysql') return obstacle('a FULLTEXT index', 'copy');
  if (hasFulltext) return obstacle('a FULLTEXT index', 'inplace', 'copy');
  if (rowFormat === 'COMPRESSED') return obstacle('ROW_FORMAT = COMPRESSED', 'inplace', 'copy');
  return undefined;
}

function warningsOf(
  facts: TableFacts,
  key: readonly ColumnFacts[],
  value: readonly ColumnFacts[],
): string[] {
  const { table, partitions, triggers } = facts;
  const warnings: string[] = [];
  for (const { name, collation } of key) {
    if (collation === undefined || /(_0900_bin|_nopad_bin|^binary)$/.test(collation)) continue;
    const alike = /_bin$/.test(collation) ? "'a' and 'a '" : "such as 'a' and 'A'";
    warnings.push(
      `${name} has the collation ${collation}: the table takes ${alike} for one key, readers do ` +
        'not. A key is read as it is spelled in its row.',
    );
  }
  if (maxChars(key) > MAX_KEY_CHARS) {
    warnings.push(
      `keys may have ${maxChars(key)} characters; those of more than ${MAX_KEY_CHARS}, in which a ` +
        '% or / of one of several parts counts for three, cannot be read.',
    );
  }
  const others = triggers.filter(({ timing, event }) => timing === 'BEFORE' && event === 'UPDATE');
  if (others.length > 0) {
    warnings.push(
      `${others.map(({ name }) => name).join(', ')} run before Tidemark's trigger, which so sees ` +
        `what they make of a row. Whoever adds a BEFORE UPDATE trigger later lets it run first, too ` +
        '(PRECEDES).',
    );
  }
  const unsure = value.filter((column) => column.isGenerated || column.changesByItself);
  if (unsure.length > 0) {
    const names = unsure.map(({ name }) => name).join(', ');
    warnings.push(
      `${names}: set by the server after triggers have run, so each UPDATE of a row counts as a ` +
        'change of it. Leave it out of --value if nobody reads it.',
    );
  }
  if (partitions > 0) {
    warnings.push(
      `${table} has partitions: dropping, truncating or exchanging one fires no trigger, as ` +
        'TRUNCATE does not. Delete the rows instead, or refresh readers afterwards.',
    );
  }
  return warnings;
}
