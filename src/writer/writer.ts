/**
 * The writer of data center A: put, delete and batch. Writes that are under way at once share
 * transactions, which pays for the log once instead of once each (group.ts); each answers the
 * version at which its change is in the log, or its own error.
 */
import type { Pool } from 'mysql2/promise';
import { Counter, Gauge, Registry } from 'prom-client';
import { DEFAULT_MAX_VALUE_BYTES } from '../core/document.js';
import { etagOf } from '../core/entry.js';
import { DEFAULT_TABLE, type TableNames } from '../core/table.js';
import { TidemarkError } from '../errors.js';
import { MirroredHistogram } from '../metrics/mirrored-histogram.js';
import { mysqlCodeOf } from '../mysql/fault.js';
import { openPool } from '../mysql/pool.js';
import { readHead, TrackedRows } from '../mysql/tracked-rows.js';
import { Deadline, inTransaction, type Session } from '../mysql/transaction.js';
import { explainWriteFault } from '../mysql/write-fault.js';
import { Committer } from './committer.js';
import type { Outcome } from './group.js';
import type { HintSender } from './hint-sender.js';
import { PendingWrite } from './pending-write.js';
import {
  type Batch,
  type DeleteCondition,
  etagOfRow,
  type PutCondition,
  planBatch,
  planDelete,
  planPut,
  type Value,
  type WritePlan,
} from './write-plan.js';
import { WriteQueue } from './write-queue.js';

export interface WriterOptions {
  /** The database of data center A: a URL, or a pool that the caller closes. */
  readonly mysql: string | Pool;
  /** Names of the tracked table and its columns; what is left out has its default name. */
  readonly names?: Partial<TableNames>;
  readonly maxValueBytes?: number;
  /** The whole of one write, in ms, waits and repetitions included. */
  readonly timeoutMs?: number;
  /** Connections of a pool opened here. Up to 4 may wait for rows that others have locked. */
  readonly connectionLimit?: number;
  /** Most rows that writes of different callers change in one transaction; 1 keeps them apart. */
  readonly maxGroupRows?: number;
  /** Most writes that wait for their turn; one more is refused as unavailable. */
  readonly maxQueuedWrites?: number;
  /** Most bytes of values that wait for their turn. */
  readonly maxQueuedBytes?: number;
  /** Where metrics go; a registry of the writer's own by default. */
  readonly registry?: Registry;
  /** Is told of the version of each write that has happened. */
  readonly hints?: Pick<HintSender, 'send'>;
}

export const WRITER_DEFAULTS = Object.freeze({
  maxValueBytes: DEFAULT_MAX_VALUE_BYTES,
  timeoutMs: 12_000,
  connectionLimit: 10,
  maxGroupRows: 64,
  maxQueuedWrites: 1_000,
  maxQueuedBytes: 64 * 1024 * 1024,
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

const OPERATIONS = ['put', 'delete', 'batch'] as const;
type Operation = (typeof OPERATIONS)[number];

export class Writer {
  readonly metrics: Registry;
  readonly names: TableNames;
  readonly maxValueBytes: number;
  readonly #timeoutMs: number;
  readonly #pool: Pool;
  readonly #closesPool: boolean;
  readonly #session: Session;
  readonly #rows: TrackedRows;
  readonly #queue: WriteQueue;
  readonly #seconds: MirroredHistogram<'operation' | 'outcome'>;
  readonly #retries: Counter<'reason'>;
  readonly #hints: WriterOptions['hints'];
  #closing: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.names = Object.freeze({ ...DEFAULT_TABLE, ...withoutUndefined(options.names ?? {}) });
    this.#rows = new TrackedRows(this.names);
    this.maxValueBytes = options.maxValueBytes ?? WRITER_DEFAULTS.maxValueBytes;
    this.#timeoutMs = options.timeoutMs ?? WRITER_DEFAULTS.timeoutMs;
    this.metrics = options.registry ?? new Registry();
    this.#seconds = new MirroredHistogram({
      name: 'tidemark_write_seconds',
      help: 'Time of writes to data center A, by operation and outcome (ok or the error code)',
      labelNames: ['operation', 'outcome'],
      registers: [this.metrics],
    });
    for (const operation of OPERATIONS) this.#seconds.zero({ operation, outcome: 'ok' });
    this.#retries = new Counter({
      name: 'tidemark_write_retries_total',
      help: 'Transactions tried again, by the code of the fault',
      labelNames: ['reason'],
      registers: [this.metrics],
    });
    this.#hints = options.hints;
    this.#closesPool = typeof options.mysql === 'string';
    this.#pool =
      typeof options.mysql === 'string'
        ? openPool(options.mysql, {
            connectionLimit: options.connectionLimit ?? WRITER_DEFAULTS.connectionLimit,
            lockWaitTimeoutSeconds: LOCK_WAIT_TIMEOUT_SECONDS,
            isolation: 'READ COMMITTED',
            multipleStatements: true,
          })
        : options.mysql;
    // In text, a ? in a name would be taken for a value's place.
    const hasPlainNames = !Object.values(this.names).some((name) => name.includes('?'));
    this.#session = this.#closesPool && hasPlainNames ? 'own' : 'unknown';
    this.#queue = this.#openQueue(options);
  }

  #openQueue(options: WriterOptions): WriteQueue {
    const groupSize = new MirroredHistogram({
      name: 'tidemark_write_group_size',
      help: 'Writes that shared one transaction',
      buckets: [1, 2, 4, 8, 16, 32, 64],
      registers: [this.metrics],
    });
    const committer = new Committer({
      pool: this.#pool,
      session: this.#session,
      rows: this.#rows,
      names: this.names,
      onRetry: this.#onRetry,
      onCommit: (writes) => groupSize.record(writes),
    });
    const queue = new WriteQueue({
      commit: (group) => committer.commit(group),
      commitAlone: (write) => committer.commitAlone(write),
      maxGroupRows: options.maxGroupRows ?? WRITER_DEFAULTS.maxGroupRows,
      maxQueuedWrites: options.maxQueuedWrites ?? WRITER_DEFAULTS.maxQueuedWrites,
      maxQueuedBytes: options.maxQueuedBytes ?? WRITER_DEFAULTS.maxQueuedBytes,
    });
    new Gauge({
      name: 'tidemark_write_queue_length',
      help: 'Writes that wait for their turn',
      registers: [this.metrics],
      collect() {
        this.set(queue.length);
      },
    });
    return queue;
  }

  readonly #onRetry = (error: unknown): void => {
    this.#retries.inc({ reason: mysqlCodeOf(error) ?? 'unknown' });
  };

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
    const deadline = new Deadline(this.#timeoutMs);
    const options = { deadline, onRetry: this.#onRetry, session: this.#session };
    try {
      return await inTransaction(this.#pool, options, async (transaction) => {
        const [, head] = await transaction.run(this.#rows.read([''], 'digest'), readHead());
        return head;
      });
    } catch (error) {
      throw explainWriteFault(error, this.names);
    }
  }

  /** Takes no more writes, answers those that it has, and closes the pool if it was opened here. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#queue.close();
    if (this.#closesPool) await this.#pool.end();
  }

  async #carryOut(operation: Operation, plan: WritePlan): Promise<Outcome> {
    const startedAtMs = performance.now();
    const end = (outcome: string) =>
      this.#seconds.record((performance.now() - startedAtMs) / 1000, { operation, outcome });
    const write = new PendingWrite(plan, this.#timeoutMs);
    try {
      this.#queue.add(write);
    } catch (error) {
      write.reject(error);
    }
    try {
      const outcome = await write.outcome;
      end('ok');
      this.#hints?.send(outcome.version);
      return outcome;
    } catch (error) {
      end(error instanceof TidemarkError ? error.code : 'bug');
      throw error;
    }
  }
}

function withoutUndefined(names: Partial<TableNames>): Partial<TableNames> {
  return Object.fromEntries(Object.entries(names).filter(([, name]) => name !== undefined));
}
