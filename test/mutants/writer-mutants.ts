/** Bugs of the writer in data center A. Found by the simulation or by tests on real servers. */
import { type ContractBudget, inSimulation, type Mutant } from './mutant.js';

const GROUP = 'src/writer/group.ts';
const COMMITTER = 'src/writer/committer.ts';
const QUEUE = 'src/writer/write-queue.ts';
const TRANSACTION = 'src/mysql/transaction.ts';

function onServers(only: string, test = 'writer'): ContractBudget {
  return { by: 'contract', test: `test/integration/${test}.test.ts`, only, seconds: 60 };
}

export const writerMutants: readonly Mutant[] = [
  {
    name: 'commit-sent-twice',
    wrong: 'a write whose COMMIT was not answered is tried again',
    file: TRANSACTION,
    find: 'if (wasRolledBack(error)) throw error;',
    replace: 'if (wasRolledBack(error) || error instanceof Error) throw error;',
    guarantees: ['acknowledged', 'refused'],
    budget: inSimulation('writers'),
  },
  {
    name: 'not-rolled-back',
    wrong: 'a transaction that was given up keeps its locks, until the next START commits it',
    file: TRANSACTION,
    find: "await deadline.race(connection.query('ROLLBACK'));",
    replace: '',
    guarantees: ['is nothing at all when one of its writes is refused'],
    budget: onServers('is nothing at all'),
  },
  {
    name: 'group-waits-for-rows',
    wrong: 'a row that someone keeps locked makes all writes wait, under the lock on the log',
    file: 'src/mysql/tracked-rows.ts',
    find: "return this.#select(keys, columns, ' FOR UPDATE NOWAIT');",
    replace: "return this.#select(keys, columns, ' FOR UPDATE');",
    guarantees: ['makes its own write wait, and no other'],
    budget: onServers('makes its own write wait', 'writer-groups'),
  },
  {
    name: 'head-locked-first',
    wrong: 'a write that waits for its row keeps the log locked meanwhile',
    file: GROUP,
    find: 'const [before, head] = await transaction.run(rows.lock(keys, columns), lockHead());',
    replace: 'const [head, before] = await transaction.run(lockHead(), rows.lock(keys, columns));',
    guarantees: ['makes its own write wait, and no other'],
    budget: onServers('makes its own write wait', 'writer-groups'),
  },
  {
    name: 'version-from-before-the-write',
    wrong: 'a write answers the head that it found, not the one that it made',
    file: GROUP,
    find: 'const outcome = { version: version ?? head, before: found };',
    replace: 'const outcome = { version: head, before: found };',
    guarantees: ['acknowledged'],
    budget: inSimulation('writers'),
  },
  {
    name: 'neighbors-fail-together',
    wrong: 'what the server refuses of one write fails all that share its transaction',
    file: COMMITTER,
    find: 'if (writes.length > 1 && (error instanceof RowsBusy || mayBeOfOneWrite(error))) {',
    replace: 'if (writes.length > 1 && error instanceof RowsBusy) {',
    guarantees: ['what the server refuses fails alone, and leaves no gap in the log'],
    budget: onServers('what the server refuses', 'writer-groups'),
  },
  {
    name: 'written-after-all',
    wrong: 'a write that was told that nothing was written is committed with its group',
    file: COMMITTER,
    find: 'if (done.some((write) => write.isSettled)) throw new WriteLeft();',
    replace: '',
    guarantees: ['a write whose time is over within its group is taken out before COMMIT'],
    budget: onServers('within its group', 'writer-groups'),
  },
  {
    name: 'overtaken-by-a-later-write',
    wrong: 'a write does not wait for an older one of its key',
    file: QUEUE,
    find: 'for (const key of keys) passed.add(key);',
    replace: 'if (!mustWait) for (const key of keys) passed.add(key);',
    guarantees: ['a batch keeps its place among the writes of its keys'],
    budget: onServers('a batch keeps its place', 'writer-groups'),
  },
];
