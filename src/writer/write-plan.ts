/**
 * What one write is to do, checked before a connection is taken: keys that can be keys, values that
 * are JSON, no key twice, conditions that make sense. Pure; the writer carries it out.
 */
import { Document } from '../core/document.js';
import { etagFrom } from '../core/entry.js';
import { assertKey } from '../core/key.js';
import { InvalidOptionsError, PreconditionFailedError } from '../errors.js';
import type { StoredRow } from '../mysql/tracked-rows.js';
import { InvalidBatchError } from './write-errors.js';

/** JSON text, as a string or as its UTF-8 bytes. */
export type Value = string | Uint8Array;

export interface PutCondition {
  /** Entity tags, quotes included, one of which must be the row's; `*` is any row's. */
  readonly ifMatch?: string | readonly string[];
  /** The row's version must be this. */
  readonly ifVersion?: number;
  /** There must be no such key. */
  readonly ifAbsent?: boolean;
}

export type DeleteCondition = Omit<PutCondition, 'ifAbsent'>;

export interface Batch {
  readonly put?: ReadonlyMap<string, Value> | Readonly<Record<string, Value>>;
  readonly delete?: Iterable<string>;
}

export interface WritePlan {
  readonly puts: ReadonlyMap<string, Document>;
  readonly deletes: ReadonlySet<string>;
  /** All keys, in the one order in which every writer takes its locks: that of their UTF-8. */
  readonly keys: readonly string[];
  readonly condition: PutCondition;
}

export function planPut(
  key: string,
  value: Value,
  condition: PutCondition,
  maxValueBytes: number,
): WritePlan {
  assertKey(key);
  assertCondition(condition);
  const puts = new Map([[key, Document.from(value, maxValueBytes)]]);
  return { puts, deletes: new Set(), keys: [key], condition };
}

export function planDelete(key: string, condition: DeleteCondition): WritePlan {
  assertKey(key);
  assertCondition(condition);
  return { puts: new Map(), deletes: new Set([key]), keys: [key], condition };
}

export function planBatch(batch: Batch, maxValueBytes: number): WritePlan {
  const put = batch.put ?? {};
  const entries = put instanceof Map ? put.entries() : Object.entries(put);
  const puts = new Map<string, Document>();
  for (const [key, value] of entries) {
    assertKey(key);
    puts.set(key, Document.from(value, maxValueBytes));
  }
  const deletes = new Set<string>();
  for (const key of batch.delete ?? []) {
    assertKey(key);
    if (puts.has(key) || deletes.has(key)) {
      throw new InvalidBatchError(
        'Expected each key of a batch once, got one in both put and delete, or twice in delete.',
      );
    }
    deletes.add(key);
  }
  if (puts.size + deletes.size === 0) {
    throw new InvalidBatchError('Expected a batch with at least one key in put or delete.');
  }
  return { puts, deletes, keys: inKeyOrder([...puts.keys(), ...deletes]), condition: {} };
}

/** In the order of their UTF-8. */
export function inKeyOrder(keys: readonly string[]): readonly string[] {
  if (keys.length < 2) return keys;
  return keys
    .map((key) => ({ key, bytes: Buffer.from(key) }))
    .sort((one, other) => Buffer.compare(one.bytes, other.bytes))
    .map(({ key }) => key);
}

export function etagOfRow(row: StoredRow | undefined): string | undefined {
  if (row === undefined || row.digest === null) return undefined;
  return etagFrom(row.version, row.digest);
}

function assertCondition({ ifMatch, ifVersion, ifAbsent }: PutCondition): void {
  if (ifVersion !== undefined && !(Number.isSafeInteger(ifVersion) && ifVersion >= 0)) {
    throw new InvalidOptionsError([
      `Expected ifVersion to be an integer from 0 to 2^53 - 1, got ${ifVersion}`,
    ]);
  }
  if (ifAbsent === true && (ifMatch !== undefined || ifVersion !== undefined)) {
    throw new InvalidOptionsError(['Expected ifAbsent alone, got ifMatch or ifVersion with it']);
  }
}

/** @param row the row as it is locked; undefined when there is none
 * @param etag the row's entity tag; undefined when there is no value
 * @throws PreconditionFailedError when the condition does not hold */
export function assertHolds(
  condition: PutCondition,
  row: StoredRow | undefined,
  etag: string | undefined,
): void {
  const { ifMatch, ifVersion, ifAbsent } = condition;
  const got = etag === undefined ? 'no such key' : `version ${row?.version}`;
  if (ifAbsent === true && etag !== undefined) {
    throw new PreconditionFailedError(`Expected no such key, got ${got}. Nothing was written.`);
  }
  if (ifVersion !== undefined && (etag === undefined || row?.version !== ifVersion)) {
    throw new PreconditionFailedError(
      `Expected version ${ifVersion}, got ${got}. Nothing was written; read the key again.`,
    );
  }
  if (ifMatch === undefined) return;
  const tags = typeof ifMatch === 'string' ? [ifMatch] : ifMatch;
  if (etag === undefined || !(tags.includes('*') || tags.includes(etag))) {
    throw new PreconditionFailedError(
      `Expected the entity tag that was sent, got ${got}. Nothing was written; read the key again.`,
    );
  }
}
