/**
 * A collection: a tracked table under a name. Several tables are several collections over one log.
 *
 * The name is a segment of URLs; the log and Redis know the table only, so a table is in one
 * collection. One value column is served as it is stored, several are served as one JSON object.
 */
import { InvalidOptionsError } from '../errors.js';
import { DEFAULT_TABLE, identifierFault, type TableNames } from './table.js';

export interface Collection {
  /** In URLs and metrics. */
  readonly name: string;
  readonly table: string;
  /** In the order in which a key names them. */
  readonly keyColumns: readonly string[];
  readonly valueColumns: readonly string[];
  readonly versionColumn: string;
}

/** A collection as a service describes it. */
export interface CollectionOptions {
  /** Default: the table's name. */
  readonly name?: string;
  readonly table: string;
  /** A column, or several: then a key is their texts with `/` between them. */
  readonly key: string | readonly string[];
  /** A column, served as it is stored, or several, served as one JSON object. */
  readonly value: string | readonly string[];
  /** Default: `version`. */
  readonly versionColumn?: string;
}

export const DEFAULT_NAME = 'configs';

const NAME = /^[A-Za-z0-9][\w-]{0,63}$/;
/** What else stands, or may come to stand, behind /v1/. */
const RESERVED = [
  ...['watch', 'status', 'batch', 'hint', 'readers', 'collections'],
  ...['openapi', 'health', 'metrics', 'page', 'live', 'admin'],
];

/** The collection of one key column and one value column.
 * @throws InvalidOptionsError */
export function collectionOf(names: TableNames, name = DEFAULT_NAME): Collection {
  const { table, keyColumn, valueColumn, versionColumn } = names;
  return checked({
    ...{ name, table, versionColumn },
    ...{ keyColumns: [keyColumn], valueColumns: [valueColumn] },
  });
}

export const DEFAULT_COLLECTION: Collection = Object.freeze(collectionOf(DEFAULT_TABLE));

/** @throws InvalidOptionsError naming every fault */
export function describeCollection(options: CollectionOptions): Collection {
  const { table, key, value, name = table, versionColumn = DEFAULT_TABLE.versionColumn } = options;
  const [keyColumns, valueColumns] = [key, value].map((one) =>
    typeof one === 'string' ? [one] : one,
  );
  return checked({
    ...{ name, table, versionColumn },
    ...{ keyColumns: keyColumns ?? [], valueColumns: valueColumns ?? [] },
  });
}

function checked(collection: Collection): Collection {
  const faults = collectionFaults(collection);
  if (faults.length > 0) throw new InvalidOptionsError(faults);
  return collection;
}

/** Why `name` cannot be the name of a collection, or undefined when it can. */
export function collectionNameFault(name: string): string | undefined {
  if (!NAME.test(name)) {
    return (
      `Expected a collection's name of 1 to 64 letters, digits, _ and -, got ${JSON.stringify(name)}. ` +
      'Give the collection a name of its own'
    );
  }
  if (!RESERVED.includes(name.toLowerCase())) return undefined;
  return `Expected another name than ${name}: /v1/${name} is a path of Tidemark's own`;
}

/** What is wrong with a collection, one line per fault. */
export function collectionFaults(collection: Collection): string[] {
  const { name, table, keyColumns, valueColumns, versionColumn } = collection;
  const faults: string[] = [];
  const nameFault = collectionNameFault(name);
  if (nameFault !== undefined) faults.push(nameFault);
  for (const one of [table, ...keyColumns, ...valueColumns, versionColumn]) {
    const fault = identifierFault(one);
    if (fault !== undefined) faults.push(`${name}: ${fault}`);
  }
  if (keyColumns.length === 0) faults.push(`${name}: Expected at least one key column, got none`);
  if (valueColumns.length === 0)
    faults.push(`${name}: Expected at least one value column, got none`);
  for (const columns of [keyColumns, valueColumns]) {
    const twice = repeated(columns.map((column) => column.toLowerCase()));
    if (twice !== undefined) faults.push(`${name}: Expected each column once, got ${twice} twice`);
  }
  if ([...keyColumns, ...valueColumns].includes(versionColumn)) {
    faults.push(
      `${name}: Expected a version column beside key and value, got ${versionColumn} as both`,
    );
  }
  return faults;
}

/** @throws InvalidOptionsError when there is none, or a name or a table is there twice */
export function assertDistinct(collections: readonly Collection[]): void {
  const faults: string[] = [];
  if (collections.length === 0) faults.push('Expected at least one collection, got none');
  const name = repeated(collections.map((one) => one.name.toLowerCase()));
  if (name !== undefined) faults.push(`Expected each collection's name once, got ${name} twice`);
  const table = repeated(collections.map((one) => one.table));
  if (table !== undefined)
    faults.push(`Expected each table in one collection, got ${table} in two`);
  if (faults.length > 0) throw new InvalidOptionsError(faults);
}

function repeated(texts: readonly string[]): string | undefined {
  return texts.find((text, index) => texts.indexOf(text) < index);
}
