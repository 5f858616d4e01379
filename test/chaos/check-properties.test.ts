/**
 * The checker against histories by the thousand: it is silent about what a correct system could do,
 * failovers and unknown writes included, and it names each kind of fault planted into one.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Model, SLACK_MS, STALE_AFTER_MS, type Step, type Told, tell } from './check-model.js';
import { Checker, type Guarantee, type Verdict } from './checker.js';
import type { ReadRecord } from './history.js';
import { Staircase } from './staircase.js';

const RUNS = Number(process.env.CHECKER_RUNS ?? 300);
const number = fc.nat({ max: 999 });
const steps = fc.array(fc.tuple(number, number, number, number), {
  minLength: 20,
  maxLength: 400,
  size: 'max',
});
/** Failovers come at 970 and above. */
const calm = steps.map((all) => all.map(([act, a, b, c]): Step => [act % 970, a, b, c]));

function judge(told: readonly Told[]): Verdict {
  const checker = new Checker({ staleAfterMs: STALE_AFTER_MS, slackMs: SLACK_MS });
  for (const one of told) tell(checker, one);
  return checker.finish();
}

describe('a history that a correct system could have is not flagged', () => {
  const isClean = (told: readonly Told[]) => {
    const { first } = judge(told);
    expect(first.map(({ guarantee, what }) => `${guarantee}: ${what}`)).toEqual([]);
  };

  test('without failovers', () => {
    fc.assert(
      fc.property(calm, (list) => isClean(Model.run(list))),
      { numRuns: RUNS },
    );
  });

  test('with failovers that lose a tail', () => {
    fc.assert(
      fc.property(steps, (list) => isClean(Model.run(list))),
      { numRuns: RUNS },
    );
  });

  test('with a lost tail that the run never saw', () => {
    fc.assert(
      fc.property(steps, (list) => isClean(Model.run(list, true))),
      { numRuns: RUNS },
    );
  });
});

type Answered = Told & { kind: 'read'; record: ReadRecord & { answer: { value: string | null } } };

/** A fault: what it makes of a history, by a number to choose where; undefined where it cannot. */
interface Plant {
  readonly name: string;
  readonly named: readonly Guarantee[];
  readonly plant: (told: readonly Told[], where: number) => Told[] | undefined;
}

function isAnswered(one: Told): one is Answered {
  return one.kind === 'read' && 'value' in one.record.answer;
}

/** A history with one of its reads changed, of those that `change` can change. */
function withRead(
  told: readonly Told[],
  where: number,
  change: (read: Answered['record'], index: number) => Partial<ReadRecord> | undefined,
): Told[] | undefined {
  const places = told.flatMap((one, index) => {
    if (!isAnswered(one)) return [];
    const changed = change(one.record, index);
    return changed === undefined ? [] : [{ index, one, changed }];
  });
  const place = places[where % Math.max(1, places.length)];
  if (place === undefined) return undefined;
  const record = { ...place.one.record, ...place.changed };
  return told.with(place.index, { ...place.one, record });
}

function isLate({ kind, record }: Told): boolean {
  return kind === 'read' && record.reader === 'late';
}

function valueAt(told: readonly Told[], key: string, version: number): string | null {
  let value: string | null = null;
  for (const one of told) {
    if (one.kind === 'truth' && one.record.key === key && one.record.version <= version) {
      value = one.record.value;
    }
  }
  return value;
}

const OLD = ['honest', 'resurrected'] as const;

const PLANTS: readonly Plant[] = [
  {
    name: 'a torn value',
    named: ['real'],
    plant: (told, where) =>
      withRead(told, where, ({ answer }) => ({ answer: { ...answer, value: 'torn:v' } })),
  },
  {
    name: "another key's value",
    named: ['real'],
    plant: (told, where) => {
      const all = told.flatMap((one) =>
        one.kind === 'truth' && one.record.value !== null ? [one.record] : [],
      );
      const other = all[where % Math.max(1, all.length)];
      return withRead(told, where, ({ key, answer }) =>
        other === undefined || other.key === key
          ? undefined
          : { answer: { ...answer, value: other.value } },
      );
    },
  },
  {
    name: 'the value of another version',
    named: OLD,
    plant: (told, where) =>
      withRead(told, where, ({ key, answer }) => {
        const values = told.flatMap((one) =>
          one.kind === 'truth' && one.record.key === key ? [one.record.value] : [],
        );
        const other = values.find((value) => value !== answer.value);
        return other === undefined ? undefined : { answer: { ...answer, value: other } };
      }),
  },
  {
    name: 'an as-of that the value does not have',
    named: OLD,
    plant: (told, where) =>
      withRead(told, where, ({ key, answer }) => {
        if (!('asOf' in answer)) return undefined;
        const later = told.find(
          (one) =>
            one.kind === 'truth' &&
            one.record.key === key &&
            one.record.version > answer.asOf &&
            one.record.value !== answer.value,
        );
        if (later?.kind !== 'truth') return undefined;
        return { answer: { ...answer, asOf: later.record.version } };
      }),
  },
  {
    name: 'a step back',
    named: ['monotonic', 'resurrected'],
    plant: (told, where) =>
      withRead(told, where, ({ reader, key, startMs, answer }, index) => {
        if (!('asOf' in answer)) return undefined;
        const shown = told
          .slice(0, index)
          .flatMap((one) => (isAnswered(one) ? [one.record] : []))
          .filter((one) => one.reader === reader && one.key === key && one.endMs <= startMs)
          .map(({ answer: before }) => ('asOf' in before ? before.asOf : 0));
        const newest = Math.max(0, ...shown);
        const asOf = told.findLast(
          (one) => one.kind === 'truth' && one.record.key === key && one.record.version <= newest,
        );
        if (asOf?.kind !== 'truth') return undefined;
        const before = asOf.record.version - 1;
        const value = valueAt(told, key, before);
        if (value === asOf.record.value) return undefined;
        const old = { ...answer, value, asOf: before, stale: true };
        return { appliedBefore: 0, minVersion: 0, answer: old };
      }),
  },
  {
    name: 'an as-of before the position',
    named: ['prompt'],
    plant: (told, where) =>
      withRead(told, where, ({ answer }) =>
        'asOf' in answer ? { appliedBefore: answer.asOf + 1 } : undefined,
      ),
  },
  {
    name: 'an as-of before the demanded version',
    named: ['own-writes'],
    plant: (told, where) =>
      withRead(told, where, ({ answer }) =>
        'asOf' in answer ? { minVersion: answer.asOf + 1 } : undefined,
      ),
  },
  {
    name: 'an answer much too late, and not flagged',
    named: ['fresh', 'resurrected'],
    plant: (told, where) => {
      const late = withRead(told, where, ({ key, answer }) => {
        if (!('asOf' in answer)) return undefined;
        const isOver = told.some(
          (one) =>
            one.kind === 'truth' && one.record.key === key && one.record.version > answer.asOf,
        );
        const newest = Math.max(
          ...told.flatMap((one) => (one.kind === 'truth' ? [one.record.version] : [])),
        );
        const isProven = told.some((one) => one.kind === 'write' && one.record.version === newest);
        if (!isOver || !isProven || valueAt(told, key, newest) === answer.value) return undefined;
        const times = { startMs: 1e9, endMs: 1e9 };
        return { ...times, reader: 'late', answer: { ...answer, stale: false } };
      });
      return late?.toSorted((one, other) => Number(isLate(one)) - Number(isLate(other)));
    },
  },
  {
    name: 'an acked write that is not in the log',
    named: ['lost'],
    plant: (told, where) => {
      const acked = told.flatMap((one, index) =>
        one.kind === 'write' && one.record.outcome === 'acked' && one.record.value !== null
          ? [{ one, index }]
          : [],
      );
      const place = acked[where % Math.max(1, acked.length)];
      if (place === undefined) return undefined;
      const record = { ...place.one.record, value: 'never' };
      return told.with(place.index, { ...place.one, record });
    },
  },
  {
    name: 'a version that the log skips',
    named: ['ordered'],
    plant: (told, where) => {
      const rows = told.flatMap((one, index) => (one.kind === 'truth' ? [index] : []));
      const index = rows[1 + (where % Math.max(1, rows.length - 2))];
      return index === undefined || rows.length < 3 ? undefined : told.toSpliced(index, 1);
    },
  },
  {
    name: 'a refused write that happened',
    named: ['refused'],
    plant: (told, where) => {
      const acked = told.flatMap((one, index) =>
        one.kind === 'write' && one.record.outcome === 'acked' && one.record.value !== null
          ? [{ one, index }]
          : [],
      );
      const place = acked[where % Math.max(1, acked.length)];
      if (place === undefined) return undefined;
      const record = { ...place.one.record, outcome: 'refused' } as const;
      return told.with(place.index, { ...place.one, record });
    },
  },
];

test('a staircase says what a list of its points says', () => {
  const point = fc.tuple(fc.nat(20), fc.nat(20));
  fc.assert(
    fc.property(fc.array(point, { maxLength: 40 }), fc.nat(22), (points, at) => {
      const stairs = new Staircase();
      for (const [x, y] of points) stairs.add(x, y);
      const by = points.filter(([x]) => x <= at).map(([, y]) => y);
      const reaching = points.filter(([, y]) => y >= at).map(([x]) => x);
      expect(stairs.highestBy(at)).toBe(Math.max(...by));
      expect(stairs.soonestReaching(at)).toBe(Math.min(...reaching));
    }),
    { numRuns: RUNS },
  );
});

describe('a planted fault is named', () => {
  test.each(PLANTS)('$name', ({ named, plant }) => {
    let planted = 0;
    fc.assert(
      fc.property(calm, fc.nat(), (list, where) => {
        const told = plant(Model.run(list), where);
        if (told === undefined) return;
        planted += 1;
        const { byGuarantee } = judge(told);
        expect(named.some((guarantee) => byGuarantee[guarantee] !== undefined)).toBe(true);
      }),
      { numRuns: RUNS },
    );
    expect(planted).toBeGreaterThan(RUNS / 10);
  });
});
