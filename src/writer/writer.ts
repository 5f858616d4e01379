/**
 * The writer of data center A: put, delete and batch, each in one transaction that also moves the
 * log, each answering the version at which its change is in the log.
 *
 * Invariant: locks are taken in one order, the rows in the order of their keys' UTF-8, then the
 * log's head. It is the order of a plain SQL statement too (it locks its row, and the trigger then
 * takes the head), so neither writers nor writers and one-row statements can deadlock. Deadlocks
 * with larger SQL transactions remain possible; the writer then tries again.
 *
 * A row inserted between our look at a key and our lock on the head would make the INSERT wait
 * for its owner while holding the head. So under the head absent keys are looked at again, and a
 * key that has appeared starts the transaction over. With the head held none can appear.
 *
 * Each write is read back before COMMIT: missing triggers, or a column that cuts, converts or
 * rearranges what it is given, make an error instead of a loss.
 */
import type { Pool } from 'mysql2/promise';
import { Counter, Histogram, Registry } from 'prom-client';
import { DEFAULT_MAX_VALUE_BYTES } from '../core/document.js';
import { etagOf } from '../core/entry.js';
import { DEFAULT_TABLE, type TableNames } from '../core/table.js';
import { SchemaError, TidemarkError } from '../errors.js';
import { openPool } from '../mysql/pool.js';
import { lockHead, readHead, type StoredRow, TrackedRows } from '../mysql/tracked-rows.js';
import { inTransaction, type Transaction } from '../mysql/transaction.js';
import { collision, explainWriteFault } from '../mysql/write-fault.js';
import {
  assertHolds,
  type Batch,
  type DeleteCondition,
  type PutCondition,
  planBatch,
  planDelete,
  planPut,
  type Value,
  type WritePlan,
} from './write-plan.js';

export interface WriterOptions {
  /** The database of data center A: a URL, or a pool that the caller closes. */
  readonly mysql: string | Pool;
  /** Names of the tracked table and its columns; what is left out has its default name. */
  readonly names?: Partial<TableNames>;
  readonly maxValueBytes?: number;
  /** The whole of one write, in ms, waits and repetitions included. */
  readonly timeoutMs?: number;
  /** Connections of a pool opened here. */
  readonly connectionLimit?: number;
  /** Where metrics go; a registry of the writer's own by default. */
  readonly registry?: Registry;
}

export const WRITER_DEFAULTS = Object.freeze({
  maxValueBytes: DEFAULT_MAX_VALUE_BYTES,
  timeoutMs: 12_000,
  connectionLimit: 10,
});

const LOCK_WAIT_TIMEOUT_SECONDS = 5;

export interface PutResult {
  readonly key: string;
  readonly version: number;
  /** Strong HTTP entity tag, quotes included. */
  readonly etag: string;
  /** False when it replaced a value. */
  readonly created: boolean;
}

export interface DeleteResult {
  readonly key: string;
  /** The version of the deletion; of the log's head when there was nothing to delete. */
  readonly version: number;
  readonly deleted: boolean;
}

interface Outcome {
  readonly version: number;
  readonly before: ReadonlyMap<string, StoredRow>;
}

type Operation = 'put' | 'delete' | 'batch';

export class Writer {
  readonly metrics: Registry;
  readonly names: TableNames;
  readonly maxValueBytes: number;
  readonly #timeoutMs: number;
  readonly #pool: Pool;
  readonly #closesPool: boolean;
  readonly #rows: TrackedRows;
  readonly #seconds: Histogram<'operation' | 'outcome'>;
  readonly #retries: Counter;
  #closing: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.names = Object.freeze({ ...DEFAULT_TABLE, ...withoutUndefined(options.names ?? {}) });
    this.#rows = new TrackedRows(this.names);
    this.maxValueBytes = options.maxValueBytes ?? WRITER_DEFAULTS.maxValueBytes;
    this.#timeoutMs = options.timeoutMs ?? WRITER_DEFAULTS.timeoutMs;
    this.metrics = options.registry ?? new Registry();
    this.#seconds = new Histogram({
      name: 'tidemark_write_seconds',
      help: 'Time of writes to data center A, by operation and outcome (ok or the error code)',
      labelNames: ['operation', 'outcome'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [this.metrics],
    });
    this.#retries = new Counter({
      name: 'tidemark_write_retries_total',
      help: 'Transactions tried again after a deadlock, a lock wait or a lost connection',
      registers: [this.metrics],
    });
    this.#closesPool = typeof options.mysql === 'string';
    this.#pool =
      typeof options.mysql === 'string'
        ? openPool(options.mysql, {
            connectionLimit: options.connectionLimit ?? WRITER_DEFAULTS.connectionLimit,
            lockWaitTimeoutSeconds: LOCK_WAIT_TIMEOUT_SECONDS,
          })
        : options.mysql;
  }

  /** The pool in use, for the maintenance that runs beside this writer. */
  get pool(): Pool {
    return this.#pool;
  }

  async put(key: string, value: Value, condition: PutCondition = {}): Promise<PutResult> {
    const plan = planPut(key, value, condition, this.maxValueBytes);
    const { version, before } = await this.#carryOut('put', plan);
    const bytes = plan.puts.get(key)?.bytes ?? new Uint8Array();
    const created = etagOfRow(before.get(key)) === undefined;
    return { key, version, etag: etagOf(version, bytes), created };
  }

  /** Deleting a key that does not exist is no error, unless a condition says that it must. */
  async delete(key: string, condition: DeleteCondition = {}): Promise<DeleteResult> {
    const { version, before } = await this.#carryOut('delete', planDelete(key, condition));
    return { key, version, deleted: before.has(key) };
  }

  /** All of it or nothing. Keys to delete that do not exist are passed over. */
  async batch(batch: Batch): Promise<{ readonly version: number }> {
    const { version } = await this.#carryOut('batch', planBatch(batch, this.maxValueBytes));
    return { version };
  }

  /** The head of the log, read now: proof that MySQL-A answers and has the tables.
   * @throws SchemaError, AccessDeniedError, UnavailableError */
  async head(): Promise<number> {
    return await this.#transact(async (transaction) => {
      await this.#rows.read(transaction, ['']);
      return await readHead(transaction);
    });
  }

  /** Closes the pool if it was opened here. */
  close(): Promise<void> {
    this.#closing ??= this.#closesPool ? this.#pool.end() : Promise.resolve();
    return this.#closing;
  }

  async #carryOut(operation: Operation, plan: WritePlan): Promise<Outcome> {
    const stopTimer = this.#seconds.startTimer({ operation });
    try {
      const outcome = await this.#transact((transaction) => this.#write(transaction, plan));
      stopTimer({ outcome: 'ok' });
      return outcome;
    } catch (error) {
      stopTimer({ outcome: error instanceof TidemarkError ? error.code : 'bug' });
      throw error;
    }
  }

  async #transact<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const options = { timeoutMs: this.#timeoutMs, onRetry: () => this.#retries.inc() };
    try {
      return await inTransaction(this.#pool, options, work);
    } catch (error) {
      throw explainWriteFault(error, this.names);
    }
  }

  async #write(transaction: Transaction, plan: WritePlan): Promise<Outcome> {
    const before = await this.#rows.lock(transaction, plan.keys);
    for (const key of plan.keys) {
      const row = before.get(key);
      assertHolds(plan.condition, row, etagOfRow(row));
    }
    const head = await lockHead(transaction);
    await this.#assertStillAbsent(transaction, plan, before);
    let changes = 0;
    for (const [key, { text }] of plan.puts) {
      if (before.has(key)) await this.#rows.update(transaction, key, text);
      else await this.#rows.insert(transaction, key, text);
      changes += 1;
    }
    for (const key of plan.deletes) {
      if (!before.has(key)) continue;
      await this.#rows.delete(transaction, key);
      changes += 1;
    }
    const version = changes === 0 ? head : await readHead(transaction);
    if (version < head + changes) throw triggersMissing(this.names);
    await this.#assertStored(transaction, plan, head);
    return { version, before };
  }

  async #assertStillAbsent(
    transaction: Transaction,
    { puts, keys }: WritePlan,
    before: ReadonlyMap<string, StoredRow>,
  ): Promise<void> {
    const absent = keys.filter((key) => !before.has(key));
    if (absent.length === 0) return;
    const now = await this.#rows.read(transaction, absent);
    if (absent.some((key) => now.has(key))) throw new KeyAppeared();
    if (now.size === 0) return;
    // A row was found, and it is none of those keys: the index takes it for one of them.
    const alike = await this.#rows.read(
      transaction,
      absent.filter((key) => puts.has(key)),
    );
    if (alike.size > 0) throw collision(this.names);
  }

  async #assertStored(transaction: Transaction, { puts }: WritePlan, head: number): Promise<void> {
    if (puts.size === 0) return;
    const after = await this.#rows.read(transaction, [...puts.keys()]);
    for (const [key, document] of puts) {
      const row = after.get(key);
      if (row !== undefined && row.version <= head) throw triggersMissing(this.names);
      if (row?.digest === document.digest) continue;
      throw new SchemaError(
        `Expected ${this.names.table} to store keys and values byte for byte, it changed one. ` +
          `Nothing was written. ${this.names.keyColumn} must be VARCHAR(255) and ` +
          `${this.names.valueColumn} LONGTEXT (not JSON), both in utf8mb4.`,
      );
    }
  }
}

/** Not an error of the caller: the transaction starts over, and finds the key. */
class KeyAppeared extends Error {
  readonly code = 'ER_CHECKREAD';
}

/** The tag that `etagOf` gives to the row's version and value. */
function etagOfRow(row: StoredRow | undefined): string | undefined {
  if (row === undefined || row.digest === null) return undefined;
  return `"${row.version}-${row.digest.slice(0, 16)}"`;
}

function triggersMissing({ table }: TableNames): SchemaError {
  return new SchemaError(
    `Expected the triggers of ${table} to write to the log, they did not. Nothing was written. ` +
      'Run `tidemark migrate`, and track the table if it is not `configs`.',
  );
}

function withoutUndefined(names: Partial<TableNames>): Partial<TableNames> {
  return Object.fromEntries(Object.entries(names).filter(([, name]) => name !== undefined));
}
