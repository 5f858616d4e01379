/**
 * The SQL that tracks a table, and that which stops it: pure text, for the plain client and for
 * `tidemark migrate` alike.
 *
 * A row that is inserted gets its version before, from the head that it locks, and is logged after:
 * only then is an AUTO_INCREMENT key known, and nothing is logged of what INSERT IGNORE leaves out.
 * The row's version may so be lower than that in the log, but both are of one transaction, and no
 * snapshot shows the one without the other.
 * An update is judged when all other BEFORE triggers have run, byte for byte: what changes nothing
 * that is tracked takes no version.
 */
import { createHash } from 'node:crypto';
import type { Collection } from '../core/collection.js';
import { keyTextSql, literal, MAX_ROW_KEY_CHARS } from '../core/row-key.js';
import { MAX_IDENTIFIER_CHARS, quoteIdentifier } from '../core/table.js';
import type { ColumnFacts } from '../mysql/table-facts.js';
import type { Algorithm } from './judge.js';

export interface TrackedTable {
  readonly collection: Collection;
  readonly valueColumns: readonly ColumnFacts[];
  /** The BEFORE UPDATE trigger that runs last. */
  readonly follows: string | undefined;
  readonly algorithm: Algorithm;
}

export interface MigrationText {
  readonly name: string;
  readonly up: string;
  readonly down: string;
}

const MAX_NAME_CHARS = 64; // of tidemark_migrations

/** @param command how it was made, for its reader */
export function migrationText(
  number: number,
  tracked: TrackedTable,
  command: string,
): MigrationText {
  const { table } = tracked.collection;
  const slug = `${number}_track_${table.replaceAll(/[^A-Za-z0-9_]/g, '_')}`;
  const name = slug.slice(0, MAX_NAME_CHARS);
  return { name, up: upText(name, tracked, command), down: downText(name, tracked) };
}

/** What a reader needs, beside the rights on the log. */
export function grantText({ table }: Collection): string {
  return `GRANT SELECT ON ${quoteIdentifier(table)} TO 'tidemark_reader'@'%';`;
}

function upText(name: string, tracked: TrackedTable, command: string): string {
  const { collection, algorithm } = tracked;
  const { table, versionColumn } = collection;
  return `-- ${name}: tracks ${table} as the collection ${collection.name}.
--
-- Made by: ${command}
-- Apply in data center A, with the plain client (\`mysql DATABASE < ${name}.sql\`)
-- or with \`tidemark migrate --dir\` and this folder. Replication carries it to data center B.
-- Locks: ${LOCKS[algorithm]},
-- and waits for open transactions that use it (set lock_wait_timeout before, on a busy table).
-- With the binary log on, creating triggers needs log_bin_trust_function_creators = 1 or SUPER.
-- The triggers run with the rights of the account that applies this file: use one that stays.
-- Readers need: ${grantText(collection)}

SET NAMES utf8mb4;

ALTER TABLE ${quoteIdentifier(table)} ADD COLUMN ${quoteIdentifier(versionColumn)}
  BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'tidemark: position in the log; set by trigger',
  ALGORITHM = ${algorithm.toUpperCase()};

DELIMITER //

${triggersOf(tracked)
  .map((trigger) => `${trigger}//`)
  .join('\n\n')}

DELIMITER ;

INSERT INTO tidemark_migrations (name, applied_at) VALUES ('${name}', UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE applied_at = UTC_TIMESTAMP(6);
`;
}

const LOCKS: Readonly<Record<Algorithm, string>> = {
  instant: 'a metadata lock on the table for a moment; the column is added without a copy',
  inplace: 'rebuilds the table in place, with a metadata lock at its start and end',
  copy: 'copies the table, which takes no writes meanwhile',
};

function downText(name: string, { collection }: TrackedTable): string {
  const { table, versionColumn } = collection;
  const drops = KINDS.map((kind) => `DROP TRIGGER IF EXISTS ${triggerName(table, kind)};`);
  return `-- Undo ${name}: stops tracking ${table}; its readers learn of no change after this.
SET NAMES utf8mb4;
${drops.join('\n')}
ALTER TABLE ${quoteIdentifier(table)} DROP COLUMN ${quoteIdentifier(versionColumn)};
DELETE FROM tidemark_migrations WHERE name = '${name}';
`;
}

const KINDS = ['version', 'insert', 'update', 'delete'] as const;

/** In backticks. Names of triggers belong to the database. */
function triggerName(table: string, kind: (typeof KINDS)[number]): string {
  const end = `_tidemark_${kind}`;
  if (table.length + end.length <= MAX_IDENTIFIER_CHARS) return quoteIdentifier(table + end);
  const mark = createHash('sha256').update(table).digest('hex').slice(0, 8);
  const start = table.slice(0, MAX_IDENTIFIER_CHARS - end.length - mark.length - 1).trimEnd();
  return quoteIdentifier(`${start}_${mark}${end}`);
}

function triggersOf(tracked: TrackedTable): string[] {
  const { collection, follows } = tracked;
  const version = `NEW.${quoteIdentifier(collection.versionColumn)}`;
  const order = follows === undefined ? '' : ` FOLLOWS ${quoteIdentifier(follows)}`;
  const trigger = (kind: (typeof KINDS)[number], when: string, body: readonly string[]) =>
    `CREATE TRIGGER ${triggerName(collection.table, kind)} ${when}
  ON ${quoteIdentifier(collection.table)} FOR EACH ROW${kind === 'update' ? order : ''}
BEGIN
${indented(body).join('\n')}
END`;
  return [
    trigger('version', 'BEFORE INSERT', [
      'DECLARE next_version BIGINT UNSIGNED;',
      'SELECT head + 1 INTO next_version FROM config_stream WHERE id = 1 FOR UPDATE;',
      ...orSignal('next_version IS NULL'),
      `SET ${version} = next_version;`,
    ]),
    trigger('insert', 'AFTER INSERT', logged(collection, 'NEW', 'insert')),
    trigger('update', 'BEFORE UPDATE', updateBody(tracked, version)),
    trigger('delete', 'AFTER DELETE', logged(collection, 'OLD', 'delete')),
  ];
}

function updateBody(tracked: TrackedTable, version: string): string[] {
  const { collection } = tracked;
  const taken = [...logged(collection, 'NEW', 'update'), `SET ${version} = LAST_INSERT_ID();`];
  const same = sameRow(tracked);
  return [
    '-- A renamed key is two changes: the old key is gone, the new one has come.',
    `IF NOT (${sameKey(collection)}) THEN`,
    ...indented(logged(collection, 'OLD', 'delete')),
    'END IF;',
    ...(same === undefined
      ? taken
      : [
          `IF ${same.join('\n    AND ')} THEN`,
          `  SET ${version} = OLD.${quoteIdentifier(collection.versionColumn)};`,
          'ELSE',
          ...indented(taken),
          'END IF;',
        ]),
  ];
}

/** A change of the row takes the next version. */
function logged(collection: Collection, of: 'NEW' | 'OLD', op: string): string[] {
  const text = keyTextSql(collection, of);
  // Escapes may make a key longer than the log's column; nobody can ask for one that is so long.
  const key = collection.keyColumns.length > 1 ? `LEFT(${text}, ${MAX_ROW_KEY_CHARS})` : text;
  return [
    'UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;',
    ...orSignal('ROW_COUNT() = 0'),
    'INSERT INTO config_changes (version, table_name, row_key, op, changed_at)',
    `VALUES (LAST_INSERT_ID(), ${literal(collection.table)}, ${key}, '${op}', UTC_TIMESTAMP(6));`,
  ];
}

function orSignal(condition: string): string[] {
  return [
    `IF ${condition} THEN`,
    "  SIGNAL SQLSTATE '45000'",
    "    SET MESSAGE_TEXT = 'tidemark: config_stream has lost its row (id = 1)';",
    'END IF;',
  ];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function sameKey(collection: Collection): string {
  const [before, after] = [keyTextSql(collection, 'OLD'), keyTextSql(collection, 'NEW')];
  return `CAST(${after} AS BINARY) = CAST(${before} AS BINARY)`;
}

/** Undefined when a trigger cannot tell: of columns that the server sets later. */
function sameRow({ collection, valueColumns }: TrackedTable): string[] | undefined {
  if (valueColumns.some((one) => one.isGenerated || one.changesByItself)) return undefined;
  const values = valueColumns.map(
    (column) => `${bytesOf(column, 'NEW')} <=> ${bytesOf(column, 'OLD')}`,
  );
  return [sameKey(collection), ...values];
}

/** What is compared: bytes, where a collation or JSON may call equal what is served as it is. */
function bytesOf({ name, type, collation }: ColumnFacts, of: 'NEW' | 'OLD'): string {
  const column = `${of}.${quoteIdentifier(name)}`;
  if (type === 'json') return `CAST(CONVERT(${column} USING utf8mb4) AS BINARY)`;
  return collation === undefined ? column : `CAST(${column} AS BINARY)`;
}
