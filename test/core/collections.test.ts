import { describe, expect, test } from 'vitest';
import {
  assertDistinct,
  type Collection,
  DEFAULT_COLLECTION,
  describeCollection,
} from '../../src/core/collection.js';
import { formatCollection, parseCollections } from '../../src/core/collections-text.js';
import { InvalidOptionsError } from '../../src/errors.js';

const settings: Collection = {
  name: 'settings',
  table: 'app_settings',
  keyColumns: ['id'],
  valueColumns: ['name', 'value'],
  versionColumn: 'version',
};
const odd: Collection = {
  name: 'odd-1',
  table: 'odd; (table)',
  keyColumns: ['a `b`', 'é'],
  valueColumns: ['c'],
  versionColumn: 'tidemark version',
};

describe('collections as a text', () => {
  test.each([
    ['settings=app_settings(id: name, value)', [settings]],
    [' settings = app_settings ( id :name,value ) ; ', [settings]],
    ['configs; settings=app_settings(id:name,value)', [DEFAULT_COLLECTION, settings]],
    ['configs(config_key: config_value: version)', [DEFAULT_COLLECTION]],
    ['odd-1=`odd; (table)`(`a ``b```, é: c: `tidemark version`)', [odd]],
    ['', [DEFAULT_COLLECTION]],
  ])('%j is read', (text, collections) => {
    expect(parseCollections(text)).toEqual(collections);
  });

  test('`configs` alone is the table of TABLE and its columns', () => {
    const names = { table: 't', keyColumn: 'k', valueColumn: 'v', versionColumn: 'n' };
    const [configs] = parseCollections('configs', names);
    expect(configs).toEqual({
      ...{ name: 'configs', table: 't', versionColumn: 'n' },
      ...{ keyColumns: ['k'], valueColumns: ['v'] },
    });
  });

  test.each([DEFAULT_COLLECTION, settings, odd])('$name is written so that it is read', (one) => {
    expect(parseCollections(formatCollection(one))).toEqual([one]);
  });

  test.each([
    ['settings', 'Expected "(" at character 9, got its end'],
    ['settings=', 'Expected a table at character 10, got its end'],
    ['settings=t', 'Expected "(" at character 11, got its end'],
    ['settings=t(id)', 'Expected ":" at character 14, got ")"'],
    ['settings=t(id:)', 'Expected a value column at character 15, got ")"'],
    ['settings=t(:v)', 'Expected a key column at character 12, got ":"'],
    ['settings=t(k:v) flags=u(k:v)', 'Expected ";" at character 17, got "flags"'],
    ['settings=t(k:v', 'Expected ")" at character 15, got its end'],
    ['a=t(k:"v")', 'Expected a value column at character 7, got "\\""'],
    ['a=t(k:v); a=u(k:v)', "Expected each collection's name once, got a twice"],
    ['a=t(k:v); b=t(k:v)', 'Expected each table in one collection, got t in two'],
    ['watch=t(k:v)', 'Expected another name than watch: /v1/watch is a path of'],
    [';', 'Expected a name at character 1, got ";"'],
    [' ', 'Expected at least one collection, got none'],
  ])('%j is refused, and it says where', (text, fault) => {
    expect(() => parseCollections(text)).toThrow(fault);
  });
});

describe('a collection', () => {
  const t = { table: 't', key: 'k', value: 'v' };

  test('has the name of its table unless it has one of its own', () => {
    expect(describeCollection(t).name).toBe('t');
    expect(describeCollection({ ...t, name: 'n', key: ['a', 'b'] })).toMatchObject({
      name: 'n',
      keyColumns: ['a', 'b'],
    });
  });

  test.each([
    [{ ...t, name: 'a/b' }, /name of 1 to 64 letters, digits, _ and -, got "a\/b"/],
    [{ ...t, table: 'my table' }, /Give the collection a name of its own/],
    [{ ...t, name: 'Status' }, /Expected another name than Status/],
    [{ ...t, key: [] }, /at least one key column/],
    [{ ...t, value: [] }, /at least one value column/],
    [{ ...t, key: ['a', 'A'] }, /Expected each column once, got a twice/],
    [{ ...t, value: ['version'] }, /Expected a version column beside key and value/],
    [{ ...t, key: 'a.b' }, /Expected a plain name, got a dot/],
  ])('%j is none', (options, fault) => {
    expect(() => describeCollection(options)).toThrow(fault);
    expect(() => describeCollection(options)).toThrow(InvalidOptionsError);
  });

  test('is told apart from the others by name and by table', () => {
    const [one, other] = [describeCollection(t), describeCollection({ ...t, table: 'u' })];
    expect(() => assertDistinct([one, other])).not.toThrow();
    expect(() => assertDistinct([])).toThrow('at least one collection');
    expect(() => assertDistinct([one, { ...other, name: 'T' }])).toThrow('got t twice');
  });
});
