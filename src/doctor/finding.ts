/**
 * What the doctor says: one finding per check, with its cause and the exact remedy.
 *
 * A check is declared, not programmed: which servers' facts it reads, and a pure function that
 * judges them. A server that no URL was given for, or that cannot be reached, leaves its checks out.
 */
import type { Collection } from '../core/collection.js';
import type { Facts } from './facts.js';

/** `fault`: readers are or will be wrong, late or down. `unknown`: not to be seen from here. */
export type Severity = 'ok' | 'unknown' | 'warning' | 'fault';

export type Place = 'MySQL-A' | 'MySQL-B' | 'A to B' | 'Redis';

export interface Verdict {
  readonly severity: Severity;
  /** What was found, and why it matters. */
  readonly cause: string;
  /** What to do: a command, a statement or a setting where there is one. */
  readonly remedy?: string;
}

export interface Finding extends Verdict {
  readonly place: Place;
  readonly check: string;
  /** Of which host of MySQL-B, when there are several. */
  readonly host?: string;
  /** Of which collection, when there are several. */
  readonly collection?: string;
}

export type Side = 'a' | 'b' | 'redis';

/** The facts of which the given sides are there. */
export type FactsOf<S extends Side> = Facts & { readonly [Name in S]: NonNullable<Facts[Name]> };

export interface Check {
  readonly place: Place;
  readonly name: string;
  readonly reads: readonly Side[];
  readonly judge: (facts: Facts) => readonly (Verdict & Pick<Finding, 'collection'>)[];
}

/** A check that is asked only when all of `reads` are there. */
export function check<S extends Side>(
  place: Place,
  name: string,
  reads: readonly S[],
  judge: (facts: FactsOf<S>) => Verdict,
): Check {
  return { place, name, reads, judge: (facts) => [judge(facts as FactsOf<S>)] }; // see `examine`
}

/** A check that is asked of each collection. */
export function checkEach<S extends Side>(
  place: Place,
  name: string,
  reads: readonly S[],
  judge: (facts: FactsOf<S>, collection: Collection) => Verdict,
): Check {
  const judgeEach: Check['judge'] = (facts) => {
    const { collections } = facts.settings;
    return collections.map((collection) => ({
      ...(collections.length > 1 ? { collection: collection.name } : {}),
      ...judge(facts as FactsOf<S>, collection), // see `examine`
    }));
  };
  return { place, name, reads, judge: judgeEach };
}

/** The findings of all checks whose facts are there, in their order. */
export function examine(checks: readonly Check[], facts: Facts): Finding[] {
  return checks
    .filter(({ reads }) => reads.every((side) => facts[side] !== undefined))
    .flatMap(({ place, name, judge }) =>
      judge(facts).map((verdict) => ({ place, check: name, ...verdict })),
    );
}

export function ok(cause: string): Verdict {
  return { severity: 'ok', cause };
}

export function warning(cause: string, remedy: string): Verdict {
  return { severity: 'warning', cause, remedy };
}

export function fault(cause: string, remedy: string): Verdict {
  return { severity: 'fault', cause, remedy };
}

export function unknown(cause: string, remedy: string): Verdict {
  return { severity: 'unknown', cause, remedy };
}

/** What the account may not see. @param right such as `TRIGGER ON app.configs` */
export function unseen(what: string, right: string, account: string): Verdict {
  return unknown(what, `Give doctor an account that may: GRANT ${right} TO ${account}`);
}
