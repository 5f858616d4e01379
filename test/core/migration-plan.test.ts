import { describe, expect, test } from 'vitest';
import {
  groupStatements,
  type LedgerRow,
  type Migration,
  planMigration,
} from '../../src/core/migration-plan.js';
import { SchemaError } from '../../src/errors.js';

const migrations = [1, 2, 3].map((number): Migration => {
  const name = `000${number}_m`;
  const script = (text: string) => ({ checksum: `${name}.${text}`, groups: [['a'], ['b']] });
  return { number, name, up: script('up'), down: script('down') };
});

function row(number: number, more: Partial<LedgerRow> = {}): LedgerRow {
  const name = `000${number}_m`;
  return { name, checksum: `${name}.up`, statementsDone: 2, isApplied: true, ...more };
}

function plan(ledger: LedgerRow[], target = 3): string[] {
  return planMigration(migrations, ledger, target).steps.map(
    ({ migration, direction, statementsDone, inDoubt }) =>
      `${direction} ${migration.number} after ${statementsDone}, in doubt: ${inDoubt}`,
  );
}

describe('planMigration', () => {
  test('goes up in order to the target', () => {
    expect(plan([])).toEqual([
      'up 1 after 0, in doubt: none',
      'up 2 after 0, in doubt: none',
      'up 3 after 0, in doubt: none',
    ]);
    expect(plan([row(1)], 2)).toEqual(['up 2 after 0, in doubt: none']);
    expect(plan([row(1), row(2), row(3)])).toEqual([]);
  });

  test('goes down newest first', () => {
    expect(plan([row(1), row(2), row(3)], 1)).toEqual([
      'down 3 after 0, in doubt: none',
      'down 2 after 0, in doubt: none',
    ]);
  });

  test('takes a half-applied file up where it ended', () => {
    const half = row(2, { isApplied: false, statementsDone: 1 });
    expect(plan([row(1), half], 2)).toEqual(['up 2 after 1, in doubt: first']);
  });

  test('takes a half-applied file down, sure of nothing', () => {
    const half = row(2, { isApplied: false, statementsDone: 1 });
    expect(plan([row(1), half], 1)).toEqual(['down 2 after 0, in doubt: all']);
  });

  test('finishes going down before it goes up again', () => {
    const half = row(3, { checksum: '0003_m.down', isApplied: false, statementsDone: 1 });
    expect(plan([row(1), row(2), half], 2)).toEqual(['down 3 after 1, in doubt: first']);
    expect(plan([row(1), row(2), half], 3)).toEqual([
      'down 3 after 1, in doubt: first',
      'up 3 after 0, in doubt: none',
    ]);
  });

  test('recognises a file that was applied by hand', () => {
    const { steps, recognised } = planMigration(
      migrations,
      [row(1, { checksum: null }), row(2)],
      2,
    );
    expect(steps).toEqual([]);
    expect(recognised.map(({ name }) => name)).toEqual(['0001_m']);
  });

  test('refuses a database that is newer than the program', () => {
    expect(() => plan([row(1), row(4)])).toThrow(SchemaError);
    expect(() => plan([row(1), row(4)])).toThrow(/0004_m.*upgrade tidemark/);
  });

  test.each([{ isApplied: true }, { isApplied: false }])('refuses an edited file (%o)', (more) => {
    expect(() => plan([row(1, { checksum: 'other', ...more })])).toThrow(/0001_m.*edited/);
  });
});

describe("a system's own migrations", () => {
  const own = { ...row(1), name: '1001_track_settings' };
  const all = [row(1), row(2), row(3), own];
  const [first] = migrations;
  const script = (checksum: string) => ({ checksum, groups: [['a']] });
  const known: Migration = {
    ...{ number: 1001, name: own.name, up: script(own.checksum ?? ''), down: script('down') },
  };

  test('are left alone by a run that does not know their folder', () => {
    expect(plan(all)).toEqual([]);
    expect(plan(all, 2)).toEqual(['down 3 after 0, in doubt: none']);
  });

  test('keep the log: it is not taken down under them', () => {
    expect(() => plan(all, 0)).toThrow(/got 1001_track_settings.*Pass that folder as --dir/);
  });

  test('go down before the log does', () => {
    const { steps } = planMigration([...migrations, known], all, 0);
    expect(steps.map(({ migration }) => migration.number)).toEqual([1001, 3, 2, 1]);
    expect(steps.at(-1)?.migration).toBe(first);
  });

  test('do not hide that the database is newer than the program', () => {
    expect(() => plan([...all, row(4)])).toThrow(/up to 0003_m, got one that has 0004_m too/);
  });
});

test('statements that use a prepared one run in one group with what prepares it', () => {
  const statements = ['CREATE', 'SET @x', 'PREPARE p', 'EXECUTE p', 'DEALLOCATE PREPARE p', 'DO 1'];
  expect(groupStatements(statements)).toEqual([
    ['CREATE'],
    ['SET @x', 'PREPARE p', 'EXECUTE p', 'DEALLOCATE PREPARE p'],
    ['DO 1'],
  ]);
});
