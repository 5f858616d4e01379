/**
 * A mutant: the product with one planted bug, and what must find it.
 *
 * Each is one edit of one file, or a few that make one bug together. A mutant whose text is no longer
 * in the file, or is there twice, is no proof of anything: the run fails and says so.
 */
import type { Setting, settings } from '../simulation/setting.js';

export interface Edit {
  /** The file, from the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant extends Edit {
  readonly name: string;
  /** What is wrong, in one sentence. */
  readonly wrong: string;
  /** What else it takes, in other files or elsewhere in this one. */
  readonly also?: readonly Edit[];
  /** The guarantees of which one must be named by whatever finds it. */
  readonly guarantees: readonly string[];
  readonly budget: Budget;
}

export type Budget = SimulationBudget | ContractBudget;

export interface SimulationBudget {
  readonly by: 'simulation';
  /** The setting of the simulated world by name; each seed draws one when it is left out. */
  readonly setting?: keyof typeof settings;
  /** What is different in that setting. */
  readonly but?: Partial<Setting>;
  readonly seeds: number;
  readonly steps: number;
}

/** A test by name, for what the simulation does not show: SQL, locks and connections of real servers,
 * or a moment that it hardly ever meets. */
export interface ContractBudget {
  readonly by: 'contract';
  /** A file of tests, and the beginning of the name of one that has to fail. */
  readonly test: string;
  readonly only: string;
  readonly seconds: number;
}

/** The names under which the simulation reports a value that is not the truth, according to where it
 * comes to light first. */
export const WRONG_VALUES = [
  'honest',
  'no resurrected delete',
  'monotonic',
  'prompt',
  'marks honest',
  'convergence',
] as const;

const SEEDS = 1_500;
const STEPS = 400;

/** The usual budget, in the world of one setting, or in one that each seed draws. */
export function inSimulation(
  setting?: keyof typeof settings,
  but?: Partial<Setting>,
): SimulationBudget {
  return {
    by: 'simulation',
    seeds: SEEDS,
    steps: STEPS,
    ...(setting === undefined ? {} : { setting }),
    ...(but === undefined ? {} : { but }),
  };
}

/** What became of one mutant, or of the unmodified product. */
export interface Verdict {
  readonly kind: 'violation' | 'survived' | 'error' | 'void';
  /** The guarantee that was broken. */
  readonly guarantee?: string;
  /** Seeds and steps, or seconds, that it took. */
  readonly needed: string;
  readonly details: string;
}

export function isKilled({ guarantees }: Mutant, { kind, guarantee }: Verdict): boolean {
  return kind === 'violation' && guarantee !== undefined && guarantees.includes(guarantee);
}

/** The files that the bug is in. */
export function filesOf({ file, also = [] }: Mutant): string[] {
  return [...new Set([file, ...also.map((edit) => edit.file)])];
}

/** The text of one of its files with the bug in it.
 * @throws Error when a text to be replaced is not there exactly once */
export function planted(mutant: Mutant, file: string, source: string): string {
  const edits = [mutant, ...(mutant.also ?? [])].filter((edit) => edit.file === file);
  return edits.reduce((text, { find, replace }) => {
    const times = text.split(find).length - 1;
    if (times !== 1) {
      throw new Error(
        `Expected the text of mutant ${mutant.name} once in ${file}, got it ${times} times: the ` +
          'mutant no longer applies, adjust it.',
      );
    }
    if (find === replace) {
      throw new Error(`Expected mutant ${mutant.name} to change ${file}, it does not.`);
    }
    return text.replace(find, () => replace);
  }, source);
}
