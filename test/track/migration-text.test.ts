import { describe, expect, test } from 'vitest';
import { describeCollection } from '../../src/core/collection.js';
import { splitSql } from '../../src/core/sql-script.js';
import { migrationText, type TrackedTable } from '../../src/track/migration-text.js';

const value = {
  ...{ name: 'v', type: 'longtext', fullType: 'longtext', maxChars: 2 ** 32, isNullable: true },
  ...{ collation: 'utf8mb4_general_ci', isGenerated: false, changesByItself: false },
};

function textFor(table: string, more: Partial<TrackedTable> = {}) {
  const tracked = {
    collection: describeCollection({ name: 'c', table, key: 'k', value: 'v' }),
    ...{ valueColumns: [value], follows: undefined, algorithm: 'instant' as const },
    ...more,
  };
  return migrationText(1001, tracked, 'tidemark track');
}

describe('the migration that tracks a table', () => {
  test('is a column, four triggers and its own record; down takes them away', () => {
    const { name, up, down } = textFor('t');
    expect(name).toBe('1001_track_t');
    const starts = splitSql(up).map((statement) => statement.split(/\s+/, 3).join(' '));
    expect(starts).toEqual([
      'SET NAMES utf8mb4',
      'ALTER TABLE `t`',
      'CREATE TRIGGER `t_tidemark_version`',
      'CREATE TRIGGER `t_tidemark_insert`',
      'CREATE TRIGGER `t_tidemark_update`',
      'CREATE TRIGGER `t_tidemark_delete`',
      'INSERT INTO tidemark_migrations',
    ]);
    expect(splitSql(down)).toHaveLength(7);
    expect(up).toContain("GRANT SELECT ON `t` TO 'tidemark_reader'@'%';");
  });

  test('runs after the triggers that there are, and passes over what changes nothing', () => {
    const { up } = textFor('t', { follows: 'mine' });
    expect(up).toContain('BEFORE UPDATE\n  ON `t` FOR EACH ROW FOLLOWS `mine`\n');
    expect(up).toContain('AND CAST(NEW.`v` AS BINARY) <=> CAST(OLD.`v` AS BINARY) THEN');
    expect(up).toContain('SET NEW.`version` = OLD.`version`;');
  });

  test('takes each update for a change where the server sets a column after the triggers', () => {
    const { up } = textFor('t', { valueColumns: [{ ...value, changesByItself: true }] });
    expect(up).not.toContain('OLD.`version`');
  });

  test('adds the column as it is told to', () => {
    expect(textFor('t').up).toContain('ALGORITHM = INSTANT;');
    expect(textFor('t', { algorithm: 'inplace' }).up).toContain('ALGORITHM = INPLACE;');
  });

  test('has names that fit, and differ, for tables with long names', () => {
    const triggersOf = (table: string) =>
      textFor(table).up.match(/(?<=CREATE TRIGGER `)[^`]+/g) ?? [];
    const [one, other] = [triggersOf('x'.repeat(64)), triggersOf(`${'x'.repeat(63)}y`)];
    const all = [...one, ...other];
    expect(new Set(all).size).toBe(8);
    for (const name of all) expect(name.length).toBeLessThanOrEqual(64);
    expect(textFor('x'.repeat(64)).name).toHaveLength(64);
    expect(textFor('my odd/table').name).toBe('1001_track_my_odd_table');
  });
});
