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
import { within } from '../within.js';
import { hangUp } from './pool.js';
import { mayRetry, wasRolledBack } from './write-fault.js';

export type SqlValue = string | number;

export interface Statement {
  /** Each ? in it is one of the values; there is no other ?. */
  readonly sql: string;
  readonly values: readonly SqlValue[];
}

/** Rows of a SELECT, or what a change did. */
export type Result = RowDataPacket[] | ResultSetHeader;

/** Statements, and what their results say. */
export interface Step<T> {
  readonly statements: readonly Statement[];
  answer(results: readonly Result[]): T;
}

type Answers<Steps extends readonly Step<unknown>[]> = {
  [Index in keyof Steps]: Steps[Index] extends Step<infer T> ? T : never;
};

export interface Transaction {
  /** Carries out the steps in order, in as few round trips as the connection allows. */
  run<const Steps extends readonly Step<unknown>[]>(...steps: Steps): Promise<Answers<Steps>>;
}

export interface TransactionOptions {
  /** For all tries together, waits for a connection included. */
  readonly deadline: Deadline;
  readonly onRetry: (error: unknown) => void;
  /** What is known of the pool's sessions; nothing of a pool that the caller made. */
  readonly session: Session;
}

/** `own`: from openPool with READ COMMITTED and several statements in one round trip, where the
 * character set and sql_mode are such that mysql2's escaping of values is right. */
export type Session = 'own' | 'unknown';

const MAX_TRIES = 10;
const FIRST_DELAY_MS = 5;
const MAX_DELAY_MS = 250;

export async function inTransaction<T>(
  pool: Pool,
  options: TransactionOptions,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const { deadline } = options;
  for (let tries = 1; ; tries += 1) {
    try {
      return await tryOnce(pool, options, work);
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
  { deadline, session }: TransactionOptions,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const connection = await takeConnection(pool, deadline);
  let result: T;
  try {
    result = await work(new RunningTransaction(connection, deadline, session));
  } catch (error) {
    await undo(connection, deadline);
    throw error;
  }
  await commit(connection, deadline);
  return result;
}

/** Larger statements are not sent as text, which escaping makes larger still. */
const MAX_TEXT_CHARS = 256 * 1024;
const ISOLATION = { sql: 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', values: [] };
const START = { sql: 'START TRANSACTION', values: [] };

class RunningTransaction implements Transaction {
  /** Sent together with the first statements. */
  #opening: Statement[];

  constructor(
    private readonly connection: PoolConnection,
    private readonly deadline: Deadline,
    private readonly session: Session,
  ) {
    this.#opening = session === 'own' ? [START] : [ISOLATION, START];
  }

  async run<const Steps extends readonly Step<unknown>[]>(
    ...steps: Steps
  ): Promise<Answers<Steps>> {
    const opening = this.#opening.splice(0);
    const results = await this.#send([...opening, ...steps.flatMap((step) => step.statements)]);
    let next = opening.length;
    const answers = steps.map((step) => {
      const start = next;
      next += step.statements.length;
      return step.answer(results.slice(start, next));
    });
    return answers as Answers<Steps>; // one answer per step, in their order
  }

  async #send(statements: readonly Statement[]): Promise<Result[]> {
    const results: Result[] = [];
    let together: Statement[] = [];
    let chars = 0;
    const flush = async () => {
      if (together.length > 0) results.push(...(await this.#sendTogether(together)));
      together = [];
      chars = 0;
    };
    for (const statement of statements) {
      const more = charsOf(statement);
      if (this.session === 'unknown' || more > MAX_TEXT_CHARS) {
        await flush();
        results.push(await this.#sendOne(statement));
        continue;
      }
      if (chars + more > MAX_TEXT_CHARS) await flush();
      together.push(statement);
      chars += more;
    }
    await flush();
    return results;
  }

  /** As one text, into which mysql2 puts the values, escaped. */
  async #sendTogether(statements: readonly Statement[]): Promise<Result[]> {
    const sql = statements.map((one) => one.sql).join(';\n');
    const values = statements.flatMap((one) => one.values);
    const [results] = await this.deadline.race(
      this.connection.query<RowDataPacket[][]>(sql, values),
    );
    // Only the results of many statements are nested.
    return statements.length === 1 ? [results as Result] : results;
  }

  /** Prepared, with bound values: right in any session. */
  async #sendOne({ sql, values }: Statement): Promise<Result> {
    const hasValues = values.length > 0; // START TRANSACTION has none, and cannot be prepared
    const sending = hasValues
      ? this.connection.execute<RowDataPacket[]>(sql, [...values])
      : this.connection.query<RowDataPacket[]>(sql);
    return (await this.deadline.race(sending))[0];
  }
}

function charsOf({ sql, values }: Statement): number {
  let chars = sql.length;
  for (const value of values) chars += typeof value === 'string' ? value.length : 16;
  return chars;
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
  if (deadline.remainingMs === 0) return hangUp(connection);
  try {
    await deadline.race(connection.query('ROLLBACK'));
    connection.release();
  } catch {
    hangUp(connection); // which makes the server roll back
  }
}

async function commit(connection: PoolConnection, deadline: Deadline): Promise<void> {
  try {
    await deadline.race(connection.query('COMMIT'));
  } catch (error) {
    hangUp(connection);
    if (wasRolledBack(error)) throw error;
    throw outcomeUnknown(error);
  }
  connection.release();
}

/** @param cause what came instead of the answer to COMMIT */
export function outcomeUnknown(cause?: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(
    'Expected MySQL-A to confirm the commit, the connection broke first. The write may or may ' +
      'not have happened: read the key in data center A before sending it again.',
    { cause },
  );
}

/** One span of time for many steps; a step that outlasts it is left behind. */
export class Deadline {
  readonly #endsAtMs: number;

  constructor(private readonly timeoutMs: number) {
    this.#endsAtMs = performance.now() + timeoutMs;
  }

  get remainingMs(): number {
    return Math.max(0, this.#endsAtMs - performance.now());
  }

  /** What to say to whoever waited until then, when COMMIT was not sent. */
  get lateError(): UnavailableError {
    return new UnavailableError(
      `Expected MySQL-A to answer within ${this.timeoutMs} ms, it did not. Check that it ` +
        'runs and can be reached (MYSQL_A_URL), and look for long transactions on it.',
    );
  }

  race<T>(step: Promise<T>): Promise<T> {
    return within(step, this.remainingMs, () => this.lateError);
  }
}
