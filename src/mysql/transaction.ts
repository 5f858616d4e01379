/**
 * One transaction on MySQL-A, tried again while that is known to be harmless.
 *
 * Invariant: work is repeated only after a try that certainly wrote nothing: the server rolled it
 * back, or the connection broke before COMMIT was sent. A COMMIT that was sent and not answered is
 * never repeated, and never called a failure: it is an OutcomeUnknownError.
 *
 * READ COMMITTED, because REPEATABLE READ would lock the gaps around keys that do not exist yet.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool, PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { OutcomeUnknownError, UnavailableError } from '../errors.js';
import { mayRetry, wasRolledBack } from './write-fault.js';

export type SqlValue = string | number;

export interface Transaction {
  select(sql: string, values: readonly SqlValue[]): Promise<RowDataPacket[]>;
  change(sql: string, values: readonly SqlValue[]): Promise<ResultSetHeader>;
}

export interface TransactionOptions {
  /** For all tries together, waits for a connection included, in ms. */
  readonly timeoutMs: number;
  readonly onRetry: (error: unknown) => void;
}

const MAX_TRIES = 10;
const FIRST_DELAY_MS = 5;
const MAX_DELAY_MS = 250;

export async function inTransaction<T>(
  pool: Pool,
  options: TransactionOptions,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const deadline = new Deadline(options.timeoutMs);
  for (let tries = 1; ; tries += 1) {
    try {
      return await tryOnce(pool, deadline, work);
    } catch (error) {
      if (!mayRetry(error) || tries === MAX_TRIES || deadline.remainingMs === 0) throw error;
      options.onRetry(error);
      // Full jitter: two writers that met must not meet again in step.
      const upToMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** tries, deadline.remainingMs);
      await delay(Math.random() * upToMs);
    }
  }
}

async function tryOnce<T>(
  pool: Pool,
  deadline: Deadline,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const connection = await takeConnection(pool, deadline);
  let result: T;
  try {
    await deadline.race(connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED'));
    await deadline.race(connection.query('START TRANSACTION'));
    result = await work({
      select: async (sql, values) =>
        (await deadline.race(connection.execute<RowDataPacket[]>(sql, [...values])))[0],
      change: async (sql, values) =>
        (await deadline.race(connection.execute<ResultSetHeader>(sql, [...values])))[0],
    });
  } catch (error) {
    await undo(connection, deadline);
    throw error;
  }
  await commit(connection, deadline);
  return result;
}

async function takeConnection(pool: Pool, deadline: Deadline): Promise<PoolConnection> {
  const taken = pool.getConnection();
  try {
    return await deadline.race(taken);
  } catch (error) {
    taken.then(
      (late) => late.release(),
      () => {}, // the same error as above, or one that came too late to matter
    );
    throw error;
  }
}

async function undo(connection: PoolConnection, deadline: Deadline): Promise<void> {
  if (deadline.remainingMs === 0) return connection.destroy();
  try {
    await deadline.race(connection.query('ROLLBACK'));
    connection.release();
  } catch {
    connection.destroy(); // which makes the server roll back
  }
}

async function commit(connection: PoolConnection, deadline: Deadline): Promise<void> {
  try {
    await deadline.race(connection.query('COMMIT'));
  } catch (error) {
    connection.destroy();
    if (wasRolledBack(error)) throw error;
    throw new OutcomeUnknownError(
      'Expected MySQL-A to confirm the commit, the connection broke first. The write may or may ' +
        'not have happened: read the key in data center A before sending it again.',
      { cause: error },
    );
  }
  connection.release();
}

/** One span of time for many steps; a step that outlasts it is left behind. */
class Deadline {
  readonly #endsAtMs: number;

  constructor(private readonly timeoutMs: number) {
    this.#endsAtMs = performance.now() + timeoutMs;
  }

  get remainingMs(): number {
    return Math.max(0, this.#endsAtMs - performance.now());
  }

  race<T>(step: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = () =>
        reject(
          new UnavailableError(
            `Expected MySQL-A to answer within ${this.timeoutMs} ms, it did not. Check that it ` +
              'runs and can be reached (MYSQL_A_URL), and look for long transactions on it.',
          ),
        );
      const timer = setTimeout(late, this.remainingMs);
      step.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }
}
