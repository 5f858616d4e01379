/**
 * Carries groups of writes out and answers each write in them.
 *
 * Invariant: no write fails because of another. What the server refuses without saying whose fault
 * it is is tried again in halves, until the one at fault is alone with its error; so is a group that
 * met a row which someone else has locked. A group that met its fault wrote nothing: the transaction
 * was rolled back, and its versions with it.
 */
import type { Pool } from 'mysql2/promise';
import type { TableNames } from '../core/table.js';
import { OutcomeUnknownError } from '../errors.js';
import type { TrackedRows } from '../mysql/tracked-rows.js';
import { inTransaction, type Session } from '../mysql/transaction.js';
import { explainWriteFault, mayBeOfOneWrite } from '../mysql/write-fault.js';
import { RowsBusy, type Verdict, writeGroup } from './group.js';
import type { PendingWrite } from './pending-write.js';

export interface CommitterOptions {
  readonly pool: Pool;
  readonly session: Session;
  readonly rows: TrackedRows;
  readonly names: TableNames;
  readonly onRetry: (error: unknown) => void;
  /** Told of each group that was committed. */
  readonly onCommit: (writes: number) => void;
}

export class Committer {
  constructor(private readonly options: CommitterOptions) {}

  /** Carries out `group`, no two of which share a key. Never rejects.
   * @returns those that met a row which someone else has locked; they are not answered yet */
  async commit(group: readonly PendingWrite[]): Promise<PendingWrite[]> {
    return await this.#commit(group, false);
  }

  /** Carries out one write, and waits for its rows. Never rejects. */
  async commitAlone(write: PendingWrite): Promise<void> {
    await this.#commit([write], true);
  }

  async #commit(group: readonly PendingWrite[], waitsForRows: boolean): Promise<PendingWrite[]> {
    const writes = group.filter((write) => !write.isSettled);
    if (writes.length === 0) return [];
    const verdicts: Verdict[] = [];
    try {
      await this.#transact(writes, verdicts, waitsForRows);
      this.options.onCommit(writes.length);
    } catch (error) {
      if (error instanceof WriteLeft) return await this.#commit(writes, waitsForRows);
      for (const write of writes) write.reopen();
      if (writes.length > 1 && (error instanceof RowsBusy || mayBeOfOneWrite(error))) {
        const middle = Math.ceil(writes.length / 2);
        const busy = await this.#commit(writes.slice(0, middle), waitsForRows);
        return [...busy, ...(await this.#commit(writes.slice(middle), waitsForRows))];
      }
      if (error instanceof RowsBusy) return writes;
      fail(writes, verdicts, explainWriteFault(error, this.options.names));
      return [];
    }
    answer(writes, verdicts);
    return [];
  }

  /** @param verdicts is filled: what is known of the writes even if the COMMIT fails */
  async #transact(
    writes: readonly PendingWrite[],
    verdicts: Verdict[],
    waitsForRows: boolean,
  ): Promise<void> {
    const { pool, rows, names, session, onRetry } = this.options;
    const deadlines = writes.map(({ deadline }) => deadline);
    const deadline = deadlines.reduce((one, other) =>
      other.remainingMs > one.remainingMs ? other : one,
    );
    const plans = writes.map(({ plan }) => plan);
    await inTransaction(pool, { deadline, onRetry, session }, async (transaction) => {
      for (const write of writes) write.reopen();
      verdicts.length = 0;
      const judged = await writeGroup(transaction, plans, { rows, names, waitsForRows });
      const done = writes.filter((_, index) => judged[index]?.kind === 'done');
      if (done.some((write) => write.isSettled)) throw new WriteLeft();
      for (const write of done) write.commits();
      verdicts.push(...judged);
    });
  }
}

/** A write's deadline passed before COMMIT: it was told so, and must not be written. */
class WriteLeft extends Error {}

function answer(writes: readonly PendingWrite[], verdicts: readonly Verdict[]): void {
  for (const [index, write] of writes.entries()) {
    const verdict = verdicts[index];
    if (verdict?.kind === 'done') write.resolve(verdict.outcome);
    if (verdict?.kind === 'refused') write.reject(verdict.error);
  }
}

/** What was refused is not touched by a COMMIT without an answer. */
function fail(writes: readonly PendingWrite[], verdicts: readonly Verdict[], error: Error): void {
  const known = error instanceof OutcomeUnknownError ? verdicts : [];
  for (const [index, write] of writes.entries()) {
    const verdict = known[index];
    write.reject(verdict?.kind === 'refused' ? verdict.error : error);
  }
}
