/** Bugs of the SQL through which readers see the log, which the simulation and real servers run. */
import { type ContractBudget, inSimulation, type Mutant, WRONG_VALUES } from './mutant.js';

const LOG = 'src/mysql/log.ts';

function oneSnapshot(only: string): ContractBudget {
  const test = 'test/contract/one-snapshot.contract.test.ts';
  return { by: 'contract', test, only, seconds: 30 };
}

export const sqlMutants: readonly Mutant[] = [
  {
    name: 'page-loads-sent-again',
    wrong: 'the values of a page whose answer was lost are asked for once more: of any history',
    file: LOG,
    find: `onSend,
        );
        const at`,
    replace: `onSend ?? WHENEVER,
        );
        const at`,
    guarantees: ['are an error for who is not told: the values of a page are of its own history'],
    budget: {
      by: 'contract',
      test: 'test/integration/lost-answers.test.ts',
      only: 'are an error for who is not told',
      seconds: 60,
    },
  },
  {
    name: 'collation-answers-for-the-key',
    wrong: "the row that the collation finds for 'key' is cached as 'key', although it is 'Key'",
    file: LOG,
    find: `if (bytes === null || !found.has(key)) continue;
          const row = { key, version: toVersion(version), bytes: Number(bytes) };
          found.set(key,`,
    replace: `if (bytes === null) continue;
          const row = { key, version: toVersion(version), bytes: Number(bytes) };
          found.set(keys.find((one) => one.toLowerCase() === key.toLowerCase()) ?? '',`,
    guarantees: WRONG_VALUES,
    budget: inSimulation('look-alikes'),
  },
  {
    name: 'fetch-in-two-statements',
    wrong: 'the rows are read first, and the head that they are stamped with after them',
    file: LOG,
    find: 'const at = toHeadPosition(theStream(rows));',
    replace: `const later = await this.tip();
    const at = { version: later.head, fingerprint: '' };`,
    guarantees: WRONG_VALUES,
    budget: inSimulation('lag'),
  },
  {
    name: 'poll-in-two-statements',
    wrong: 'the rows of the log are read first, and the head after them',
    file: LOG,
    find: 'return rows.length > 0 ? toSnapshot(rows)',
    replace: `const later = rows.length > 0 ? await this.tip() : undefined;
    return later !== undefined ? { ...toSnapshot(rows), head: later.head }`,
    guarantees: ['poll: rows up to the head, and none beyond it'],
    budget: oneSnapshot('poll'),
  },
  {
    name: 'poll-after-the-position',
    wrong: 'a poll leaves out the row at which the position stands',
    file: LOG,
    find: 'WHERE c.version >= ? ORDER BY',
    replace: 'WHERE c.version > ? ORDER BY',
    guarantees: ['shows changes in order, the own row first, up to the limit'],
    budget: {
      by: 'contract',
      test: 'test/contract/change-log.contract.test.ts',
      only: 'the own row first',
      seconds: 30,
    },
  },
  {
    name: 'as-of-the-version-of-the-row',
    wrong: "a value is stamped with its row's version, not with the head of its snapshot",
    file: LOG,
    find: 'make(at, { ...row, content: selected })',
    replace: 'make({ ...at, version: row.version }, { ...row, content: selected })',
    guarantees: [...WRONG_VALUES, 'available'],
    budget: inSimulation('usual'),
  },
  {
    name: 'op-of-the-log-is-trusted',
    wrong: 'a key whose last change in the log is a delete is absent, whatever its row says',
    file: LOG,
    find: ' t ON ',
    replace: ` t ON COALESCE(
             (SELECT o.op FROM config_changes o WHERE CAST(o.row_key AS BINARY) = \${this.#key}
              ORDER BY o.version DESC LIMIT 1), '') <> 'delete' AND `,
    guarantees: [
      "serve the truth after 'REPLACE of a row that is there', and keep what it did not touch",
    ],
    // REPLACE logs an insert, and then the delete of the row before it.
    budget: {
      by: 'contract',
      test: 'test/integration/reader-changes.test.ts',
      only: 'REPLACE of a row that is there',
      seconds: 60,
    },
  },
  {
    name: 'renamed-key-logged-once',
    wrong: 'an UPDATE of the key column is logged under its new name only',
    file: 'migrations/0003_triggers.sql',
    find: 'IF CAST(NEW.config_key AS BINARY) <> CAST(OLD.config_key AS BINARY) THEN',
    replace: 'IF FALSE THEN',
    guarantees: ['a renamed key is logged under its old and its new name'],
    budget: {
      by: 'contract',
      test: 'test/integration/change-log.test.ts',
      only: 'a renamed key',
      seconds: 30,
    },
  },
];
