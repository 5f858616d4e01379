/**
 * A group: writes of different callers that share one transaction, and each keeps its own outcome.
 *
 * Invariant: the head of the log is locked before any row, and rows are locked only if that takes no
 * waiting. So a group waits for nobody while it keeps others waiting, cannot deadlock, and knows
 * under the head what is there: nobody else can add, change or remove a row of the table. A write
 * of a row that someone else has locked leaves the group (`busy`), and waits on its own: there the
 * rows are locked first, in the order of their keys' UTF-8, then the head, which is the order of a
 * plain SQL statement too. So neither writers nor writers and one-row statements can deadlock.
 * Deadlocks with larger SQL transactions remain possible there; it is then tried again.
 *
 * A row inserted between a lone write's look at a key and its lock on the head would make the
 * INSERT wait for its owner while holding the head. So under the head absent keys are looked at
 * again, and a key that has appeared starts that transaction over.
 *
 * What is written is read back before COMMIT: missing triggers, or a column that cuts, converts or
 * rearranges what it is given, make an error instead of a loss.
 */
import type { Document } from '../core/document.js';
import type { TableNames } from '../core/table.js';
import { PreconditionFailedError, SchemaError } from '../errors.js';
import { lockHead, readChanges, type StoredRow, type TrackedRows } from '../mysql/tracked-rows.js';
import type { Step, Transaction } from '../mysql/transaction.js';
import { collision } from '../mysql/write-fault.js';
import { assertHolds, etagOfRow, inKeyOrder, type WritePlan } from './write-plan.js';

/** What one write did. */
export interface Outcome {
  /** Of its last change; the head of the log when it changed nothing. */
  readonly version: number;
  /** Those rows of its keys that were there. */
  readonly before: ReadonlyMap<string, StoredRow>;
}

export type Verdict =
  | { readonly kind: 'done'; readonly outcome: Outcome }
  | { readonly kind: 'refused'; readonly error: PreconditionFailedError }
  /** Someone else has locked a row of it; nothing of it was written. */
  | { readonly kind: 'busy' };

export interface GroupOptions {
  readonly rows: TrackedRows;
  readonly names: TableNames;
  /** Whether to wait for rows that someone else has locked; only for a write on its own. */
  readonly waitsForRows: boolean;
}

/** Carries out `plans`, no two of which share a key, but for the COMMIT.
 * @returns a verdict for each of them, in their order */
export async function writeGroup(
  transaction: Transaction,
  plans: readonly WritePlan[],
  { rows, names, waitsForRows }: GroupOptions,
): Promise<Verdict[]> {
  const keys = inKeyOrder(plans.flatMap((plan) => plan.keys));
  const comparesTags = plans.some(({ condition }) => condition.ifMatch !== undefined);
  const columns = comparesTags ? 'digest' : 'no digest';
  const { head, before } = waitsForRows
    ? await lockRowsThenHead(transaction, rows.lock(keys, columns))
    : await lockHeadThenRows(transaction, rows.lockFree(keys, columns));
  const busy = await keysNotLocked(transaction, plans, keys, before, { rows, names });
  if (busy.size > 0 && waitsForRows) throw new KeyAppeared();
  const judged = plans.map((plan) => judge(plan, before, busy));
  const admitted = plans.filter((_, index) => judged[index] === undefined);
  const versions = await change(transaction, admitted, head, before, { rows, names });
  return plans.map((plan, index): Verdict => {
    const found = new Map<string, StoredRow>();
    let version: number | undefined;
    for (const key of plan.keys) {
      const row = before.get(key);
      if (row !== undefined) found.set(key, row);
      const changed = versions.get(key);
      if (changed !== undefined) version = Math.max(version ?? 0, changed);
    }
    const outcome = { version: version ?? head, before: found };
    return judged[index] ?? { kind: 'done', outcome };
  });
}

interface Locked {
  readonly head: number;
  readonly before: ReadonlyMap<string, StoredRow>;
}

async function lockHeadThenRows(
  transaction: Transaction,
  lockRows: Step<Locked['before']>,
): Promise<Locked> {
  const [head, before] = await transaction.run(lockHead(), lockRows);
  return { head, before };
}

async function lockRowsThenHead(
  transaction: Transaction,
  lockRows: Step<Locked['before']>,
): Promise<Locked> {
  const [before, head] = await transaction.run(lockRows, lockHead());
  return { head, before };
}

type Table = Pick<GroupOptions, 'rows' | 'names'>;

/** Those keys that have a row, and it is not ours: locked by someone else, or new. */
async function keysNotLocked(
  transaction: Transaction,
  plans: readonly WritePlan[],
  keys: readonly string[],
  before: ReadonlyMap<string, StoredRow>,
  { rows, names }: Table,
): Promise<ReadonlySet<string>> {
  const missing = keys.filter((key) => !before.has(key));
  if (missing.length === 0) return new Set();
  const [now] = await transaction.run(rows.read(missing, 'no digest'));
  const found = missing.filter((key) => now.has(key));
  if (now.size > found.length) {
    // A row was found, and it is none of those keys: the index takes it for one of them.
    const toPut = missing.filter((key) => !now.has(key) && plans.some(({ puts }) => puts.has(key)));
    const [alike] = await transaction.run(rows.read(toPut, 'no digest'));
    if (alike.size > 0) throw collision(names);
  }
  return new Set(found);
}

/** Why a write is not to be carried out; undefined when it is. */
function judge(
  { keys, condition }: WritePlan,
  before: ReadonlyMap<string, StoredRow>,
  busy: ReadonlySet<string>,
): Verdict | undefined {
  if (keys.some((key) => busy.has(key))) return { kind: 'busy' };
  try {
    for (const key of keys) {
      const row = before.get(key);
      assertHolds(condition, row, etagOfRow(row));
    }
    return undefined;
  } catch (error) {
    if (error instanceof PreconditionFailedError) return { kind: 'refused', error };
    throw error;
  }
}

/** Carries out what was admitted. @returns the version of each key that was changed */
async function change(
  transaction: Transaction,
  plans: readonly WritePlan[],
  head: number,
  before: ReadonlyMap<string, StoredRow>,
  { rows, names }: Table,
): Promise<ReadonlyMap<string, number>> {
  const inserts = new Map<string, Document>();
  const updates = new Map<string, Document>();
  const deletes: string[] = [];
  for (const plan of plans) {
    for (const [key, document] of plan.puts) {
      (before.has(key) ? updates : inserts).set(key, document);
    }
    for (const key of plan.deletes) if (before.has(key)) deletes.push(key);
  }
  if (inserts.size + updates.size + deletes.length === 0) return new Map();
  const [, , , after, changes] = await transaction.run(
    rows.insert(inserts),
    rows.update(updates),
    rows.delete(deletes),
    rows.read([...inserts.keys(), ...updates.keys()], 'digest'),
    ...(deletes.length > 0 ? [readChanges(head)] : []),
  );
  const versions = new Map<string, number>();
  for (const puts of [inserts, updates]) {
    for (const [key, document] of puts) {
      const row = after.get(key);
      if (row !== undefined && row.version <= head) throw triggersMissing(names);
      if (row?.digest !== document.digest) throw changedByTable(names);
      versions.set(key, row.version);
    }
  }
  for (const key of deletes) {
    const version = changes?.get(key);
    if (version === undefined) throw triggersMissing(names);
    versions.set(key, version);
  }
  return versions;
}

/** Not an error of the caller: the transaction starts over, and finds the key. */
class KeyAppeared extends Error {
  readonly code = 'ER_CHECKREAD';
}

function triggersMissing({ table }: TableNames): SchemaError {
  return new SchemaError(
    `Expected the triggers of ${table} to write to the log, they did not. Nothing was written. ` +
      'Run `tidemark migrate`, and track the table if it is not `configs`.',
  );
}

function changedByTable({ table, keyColumn, valueColumn }: TableNames): SchemaError {
  return new SchemaError(
    `Expected ${table} to store keys and values byte for byte, it changed one. Nothing was ` +
      `written. ${keyColumn} must be VARCHAR(255) and ${valueColumn} LONGTEXT (not JSON), both ` +
      'in utf8mb4.',
  );
}
