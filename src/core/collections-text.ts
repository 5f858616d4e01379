/**
 * Collections as a text, for a setting: `settings=app_settings(id: name, value); flags(scope, name:
 * json)`. Each is NAME=TABLE(KEY COLUMNS: VALUE COLUMNS), with `: VERSION COLUMN` at the end when that
 * is not `version`; without NAME= the table's name is the collection's. Names with other characters
 * than letters, digits, _, - and $ stand in backticks. `configs` alone is the table of TABLE,
 * KEY_COLUMN, VALUE_COLUMN and VERSION_COLUMN.
 */
import { InvalidOptionsError } from '../errors.js';
import {
  assertDistinct,
  type Collection,
  collectionOf,
  DEFAULT_NAME,
  describeCollection,
} from './collection.js';
import { DEFAULT_TABLE, type TableNames } from './table.js';

export const COLLECTIONS_SHAPE = 'name=table(key: value); name=table(key, key: value, value)';

const TOKEN = /\s*(?:([\w$\-\u0080-\uffff]+)|`((?:[^`]|``)+)`|([=(),:;]))/y;
const PLAIN = /^[\w$\-\u0080-\uffff]+$/;

interface Token {
  readonly kind: 'name' | 'mark' | 'end';
  readonly text: string;
  /** Where it begins, from 1. */
  readonly at: number;
}

/** @param text '' for the table of `names` alone
 * @param names what `configs` alone stands for
 * @throws InvalidOptionsError saying what was expected where */
export function parseCollections(text: string, names: TableNames = DEFAULT_TABLE): Collection[] {
  const usual = collectionOf(names);
  if (text === '') return [usual];
  const tokens = new Tokens(text);
  const collections: Collection[] = [];
  while (tokens.peek().kind !== 'end') {
    collections.push(parseOne(tokens, usual));
    if (tokens.peek().kind !== 'end') tokens.take(';');
  }
  assertDistinct(collections);
  return collections;
}

function parseOne(tokens: Tokens, usual: Collection): Collection {
  const first = tokens.name('a name');
  const next = tokens.peek().text;
  if (first === DEFAULT_NAME && next !== '=' && next !== '(') return usual;
  if (next === '=') tokens.take('=');
  const table = next === '=' ? tokens.name('a table') : first;
  tokens.take('(');
  const key = columns(tokens, 'a key column');
  tokens.take(':');
  const value = columns(tokens, 'a value column');
  let versionColumn = DEFAULT_TABLE.versionColumn;
  if (tokens.peek().text === ':') {
    tokens.take(':');
    versionColumn = tokens.name('the version column');
  }
  tokens.take(')');
  return describeCollection({ name: first, table, key, value, versionColumn });
}

function columns(tokens: Tokens, what: string): string[] {
  const names = [tokens.name(what)];
  while (tokens.peek().text === ',') {
    tokens.take(',');
    names.push(tokens.name(what));
  }
  return names;
}

class Tokens {
  readonly #text: string;
  #at = 0;
  #next: Token | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  peek(): Token {
    this.#next ??= this.#read();
    return this.#next;
  }

  take(mark: string): void {
    const token = this.peek();
    if (token.kind !== 'mark' || token.text !== mark) throw this.#fault(`"${mark}"`);
    this.#next = undefined;
  }

  name(what: string): string {
    const token = this.peek();
    if (token.kind !== 'name') throw this.#fault(what);
    this.#next = undefined;
    return token.text;
  }

  #read(): Token {
    TOKEN.lastIndex = this.#at;
    const [all, plain, quoted, mark] = TOKEN.exec(this.#text) ?? [];
    const at = this.#text.length - this.#text.slice(this.#at).trimStart().length + 1;
    if (all === undefined) {
      const rest = this.#text.slice(at - 1);
      return { kind: rest === '' ? 'end' : 'mark', text: rest.slice(0, 1), at };
    }
    this.#at = TOKEN.lastIndex;
    if (mark !== undefined) return { kind: 'mark', text: mark, at };
    return { kind: 'name', text: plain ?? quoted?.replaceAll('``', '`') ?? '', at };
  }

  #fault(expected: string): InvalidOptionsError {
    const { kind, text, at } = this.peek();
    const got = kind === 'end' ? 'its end' : JSON.stringify(text);
    return new InvalidOptionsError([
      `Expected ${expected} at character ${at}, got ${got}; the shape is ${COLLECTIONS_SHAPE}`,
    ]);
  }
}

/** What {@link parseCollections} reads. */
export function formatCollection(collection: Collection): string {
  const { name, table, keyColumns, valueColumns, versionColumn } = collection;
  const start = name === table ? quoted(table) : `${quoted(name)}=${quoted(table)}`;
  const version = versionColumn === DEFAULT_TABLE.versionColumn ? '' : `: ${quoted(versionColumn)}`;
  return `${start}(${list(keyColumns)}: ${list(valueColumns)}${version})`;
}

function list(names: readonly string[]): string {
  return names.map(quoted).join(', ');
}

function quoted(name: string): string {
  return PLAIN.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
}
