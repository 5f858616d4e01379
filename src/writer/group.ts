/**
 * A group: writes of different callers that share one transaction, and each keeps its own outcome.
 *
 * Invariant: the head of the log is locked before any row, and rows are locked only if that takes no
 * waiting. So a group waits for nobody while it keeps others waiting, cannot deadlock, and knows
 * under the head what is there: nobody else can add, change or remove a row of the table. A group
 * that meets a row which someone else has locked ends (`RowsBusy`), and the write of that row waits
 * on its own: there the rows are locked first, in the order of their keys' UTF-8, then the head,
 * which is the order of a plain SQL statement too. So neither writers nor writers and one-row
 * statements can deadlock. Deadlocks with larger SQL transactions remain possible there; it is then
 * tried again.
 *
 * NOWAIT, not SKIP LOCKED: MariaDB carries SKIP LOCKED out by a wait that it takes back at once, and
 * whoever looks for deadlocks in between finds one.
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
import {
  lockHead,
  type RowColumns,
  readChanges,
  type StoredRow,
  type TrackedRows,
} from '../mysql/tracked-rows.js';
import type { Step, Transaction } from '../mysql/transaction.js';
import { isLocked } from '../mysql/write-fault.js';
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
  | { readonly kind: 'refused'; readonly error: PreconditionFailedError };

export interface GroupOptions {
  readonly rows: TrackedRows;
  readonly names: TableNames;
  /** Whether to wait for rows that someone else has locked; only for a write on its own. */
  readonly waitsForRows: boolean;
}

/** Carries out `plans`, no two of which share a key, but for the COMMIT.
 * @returns a verdict for each of them, in their order
 * @throws RowsBusy unless it waits for rows */
export async function writeGroup(
  transaction: Transaction,
  plans: readonly WritePlan[],
  { rows, names, waitsForRows }: GroupOptions,
): Promise<Verdict[]> {
  const keys = inKeyOrder(plans.flatMap((plan) => plan.keys));
  const comparesTags = plans.some(({ condition }) => condition.ifMatch !== undefined);
  const columns = comparesTags || rows.mayPassOver ? 'digest' : 'no digest';
  const { head, before } = waitsForRows
    ? await lockRowsThenHead(transaction, rows, keys, columns)
    : await lockHeadThenRows(transaction, rows.lockAtOnce(keys, columns));
  const judged = plans.map((plan) => judge(plan, before));
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
  try {
    const [head, before] = await transaction.run(lockHead(), lockRows);
    return { head, before };
  } catch (error) {
    throw isLocked(error) ? new RowsBusy() : error;
  }
}

async function lockRowsThenHead(
  transaction: Transaction,
  rows: TrackedRows,
  keys: readonly string[],
  columns: RowColumns,
): Promise<Locked> {
  const [before, head] = await transaction.run(rows.lock(keys, columns), lockHead());
  const absent = keys.filter((key) => !before.has(key));
  if (absent.length > 0) {
    const [now] = await transaction.run(rows.read(absent, 'no digest'));
    // Also one that the index takes for an absent key. Those from before are locked.
    for (const key of now.keys()) if (!before.has(key)) throw new KeyAppeared();
  }
  return { head, before };
}

type Table = Pick<GroupOptions, 'rows' | 'names'>;

/** Why a write is not to be carried out; undefined when it is. */
function judge(
  { keys, condition }: WritePlan,
  before: ReadonlyMap<string, StoredRow>,
): Verdict | undefined {
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
      const isUnlogged = row !== undefined && row.version <= head;
      if (isUnlogged) assertPassedOver(before.get(key), document, { rows, names });
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

/** The row has no new version, which is right only if the write changed nothing and its table is
 * one whose triggers pass that over. */
function assertPassedOver(
  before: StoredRow | undefined,
  document: Document,
  { rows, names }: Table,
): void {
  if (before === undefined) throw triggersMissing(names);
  if (!rows.mayPassOver) {
    rows.mayPassOver = true;
    throw new ValuesUnseen();
  }
  if (before.digest !== document.digest) throw triggersMissing(names);
}

/** A row of the group is locked by someone else. Nothing was written. */
export class RowsBusy extends Error {}

/** Not an error of the caller: the transaction starts over, and finds the key. */
class KeyAppeared extends Error {
  readonly code = 'ER_CHECKREAD';
}

/** Not an error of the caller: the transaction starts over, and looks at values before it changes
 * them. */
class ValuesUnseen extends Error {
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
