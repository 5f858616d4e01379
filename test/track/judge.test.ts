/** What is refused, and what is warned of, table by table; real servers say the same in integration. */
import { describe, expect, test } from 'vitest';
import type { ColumnFacts, TableFacts } from '../../src/mysql/table-facts.js';
import { judge, type Wish } from '../../src/track/judge.js';

function column(name: string, fullType: string, more: Partial<ColumnFacts> = {}): ColumnFacts {
  const [type = ''] = fullType.split(/[( ]/);
  const chars = /char\((\d+)\)/.exec(fullType)?.[1];
  const isText = chars !== undefined || /text$/.test(type);
  return {
    ...{ name, type, fullType },
    maxChars: chars === undefined ? undefined : Number(chars),
    collation: isText ? 'utf8mb4_0900_bin' : undefined,
    ...{ isNullable: false, isGenerated: false, changesByItself: false },
    ...more,
  };
}

function table(more: Partial<TableFacts> = {}): TableFacts {
  return {
    ...{ flavor: 'mysql', database: 'app', table: 'settings', kind: 'BASE TABLE' },
    ...{ engine: 'InnoDB', rowFormat: 'DYNAMIC', partitions: 0, hasFulltext: false },
    columns: [
      column('id', 'int unsigned'),
      column('name', 'varchar(64)'),
      column('value', 'longtext', { isNullable: true }),
    ],
    uniqueKeys: [{ name: 'PRIMARY', columns: ['id'] }],
    ...{ triggers: [], cascades: [] },
    ...more,
  };
}

const WISH: Wish = {
  ...{ table: 'settings', key: ['id'], value: ['value'] },
  ...{ versionColumn: 'version', algorithm: 'instant' },
};

const refusals = (facts: Partial<TableFacts>, wish: Partial<Wish> = {}) =>
  judge(table(facts), { ...WISH, ...wish }).refusals.map((one) => `${one.reason} ${one.remedy}`);
const warnings = (facts: Partial<TableFacts>, wish: Partial<Wish> = {}) =>
  judge(table(facts), { ...WISH, ...wish }).warnings;

const withKey = (fullType: string, more: Partial<ColumnFacts> = {}): Partial<TableFacts> => ({
  columns: [column('id', fullType, more), column('value', 'longtext')],
});
const withValue = (fullType: string, more: Partial<ColumnFacts> = {}): Partial<TableFacts> => ({
  columns: [column('id', 'int'), column('value', fullType, more)],
});
const TRIGGER = { name: 'mine', timing: 'BEFORE', event: 'UPDATE', body: 'SET NEW.value = 1' };

describe('a table', () => {
  test('with an integer key is tracked as it is, under its name or another', () => {
    const judged = judge(table(), { ...WISH, key: ['ID'], value: ['name', 'value'] });
    expect(judged).toMatchObject({ refusals: [], warnings: [] });
    expect(judged.collection).toEqual({
      ...{ name: 'settings', table: 'settings', versionColumn: 'version' },
      ...{ keyColumns: ['id'], valueColumns: ['name', 'value'] },
    });
    expect(judge(table(), { ...WISH, collection: 'app' }).collection.name).toBe('app');
  });

  test.each<[RegExp, Partial<TableFacts>, Partial<Wish>?]>([
    [/Expected a table settings in app, got none, or one that this account/, { kind: undefined }],
    [/got config_changes, which is Tidemark's own/, { table: 'config_changes' }],
    [/got settings, a view, .* Track the tables that it is made of/, { kind: 'VIEW' }],
    [/got settings, a system versioned/, { kind: 'SYSTEM VERSIONED' }],
    [/got MyISAM, .* ALTER TABLE `settings` ENGINE = InnoDB/, { engine: 'MyISAM' }],
    [
      /got settings with the trigger mine.*take its migration down first/,
      { triggers: [{ ...TRIGGER, body: 'INSERT INTO config_changes ...' }] },
    ],
    [/Expected a column nope in settings, got id, name, value/, {}, { key: ['nope'] }],
    [/Expected a column nope in settings/, {}, { value: ['value', 'nope'] }],
    [
      /got fk \(ON DELETE CASCADE, from users\): .* Make fk RESTRICT/,
      {
        cascades: [{ constraint: 'fk', parent: 'users', rules: 'ON DELETE CASCADE' }],
      },
    ],
    [/got float, which has no one text for one value/, withKey('float')],
    [/got datetime/, withKey('datetime')],
    [/got varbinary\(16\)/, withKey('varbinary(16)')],
    [/got json/, withKey('json')],
    [/Expected id without ZEROFILL/, withKey('int(5) unsigned zerofill')],
    [/Expected id to be NOT NULL.*MODIFY it NOT NULL/, withKey('int', { isNullable: true })],
    [
      /got a generated column.*Use the columns that it is made of/,
      withKey('int', { isGenerated: true }),
    ],
    [/unique index on name, got PRIMARY \(id\): .*ADD UNIQUE \(`name`\)/, {}, { key: ['name'] }],
    [/unique index on id, got none/, { uniqueKeys: [] }],
    [
      /at most 768 characters, which is what the log holds, got columns for 769/,
      withKey('varchar(769)'),
    ],
    [/Expected value to be JSON, text or a number, got longblob/, withValue('longblob')],
    [/got bit\(8\)/, withValue('bit(8)')],
    [/got geometry/, withValue('geometry')],
    [/Expected to add a column name, got a table that has one/, {}, { versionColumn: 'name' }],
    [/Pass --algorithm inplace/, { rowFormat: 'COMPRESSED' }],
    [/got one with a FULLTEXT index.*Pass --algorithm copy/, { hasFulltext: true }],
    [/FULLTEXT.*--algorithm inplace/, { flavor: 'mariadb', hasFulltext: true }],
    [/by ALGORITHM = INPLACE.*FULLTEXT/, { hasFulltext: true }, { algorithm: 'inplace' }],
    [/Expected another name than status: .*Pass --collection NAME/, {}, { collection: 'status' }],
    [/got "my settings".*Pass --collection NAME/, { table: 'my settings' }],
    [/Expected each column once, got value twice\. Name each/, {}, { value: ['value', 'value'] }],
    [/without a space at its end\. Pass --version-column/, {}, { versionColumn: 'v ' }],
  ])('is refused: %s', (text, facts, wish) => {
    const said = refusals(facts, wish);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(text);
    expect(said[0]).toMatch(/^(\w+: )?Expected .*\.$/s);
  });

  test('is told all that is wrong with it at once', () => {
    const facts = { ...withKey('float', { isNullable: true }), uniqueKeys: [] };
    expect(refusals(facts)).toHaveLength(3);
  });

  test.each<[string, Partial<TableFacts>, Partial<Wish>?]>([
    ['a unique index on some of the key columns', {}, { key: ['id', 'name'] }],
    [
      'a compressed table that may be rebuilt',
      { rowFormat: 'COMPRESSED' },
      { algorithm: 'inplace' },
    ],
    [
      'FULLTEXT on MariaDB, if it may be rebuilt',
      { flavor: 'mariadb', hasFulltext: true },
      { algorithm: 'inplace' },
    ],
    ['a JSON value', withValue('json')],
    ['a number', withValue('decimal(10,2)')],
    ['a key of 768 characters', withKey('varchar(768)')],
  ])('may have %s', (_, facts, wish) => {
    expect(refusals(facts, wish)).toEqual([]);
  });

  test.each<[RegExp, Partial<TableFacts>]>([
    [
      /utf8mb4_general_ci: .*'a' and 'A'/,
      withKey('varchar(9)', { collation: 'utf8mb4_general_ci' }),
    ],
    [/utf8mb4_bin: .*'a' and 'a '/, withKey('varchar(9)', { collation: 'utf8mb4_bin' })],
    [/keys may have 300 characters; those of more than 255/, withKey('varchar(300)')],
    [/mine run before Tidemark's trigger/, { triggers: [TRIGGER] }],
    [/^value: set by the server after triggers/, withValue('int', { isGenerated: true })],
    [/^value: set by the server after triggers/, withValue('timestamp', { changesByItself: true })],
    [/settings has partitions/, { partitions: 4 }],
  ])('is warned of: %s', (text, facts) => {
    expect(warnings(facts)).toEqual([expect.stringMatching(text)]);
    expect(refusals(facts)).toEqual([]);
  });

  test('with triggers of other events is not warned of', () => {
    expect(warnings({ triggers: [{ ...TRIGGER, event: 'INSERT' }] })).toEqual([]);
  });
});
