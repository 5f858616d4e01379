/** One simulated run, for whoever wants to know whether a guarantee can be broken. */
import { type Explored, explore } from './explore.js';
import { drawn, type Setting, settings } from './setting.js';

export { Violation } from './violation.js';

export interface SimulateOptions {
  readonly seed: number;
  /** How many steps; each is one act and one pending step of the scheduler. */
  readonly steps: number;
  /** A setting, or the name of one; drawn from the seed when it is left out. */
  readonly setting?: Setting | string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type Simulated = Explored;

/** @throws Violation whose message begins with the name of the guarantee that was broken */
export async function simulate(options: SimulateOptions): Promise<Simulated> {
  const { seed, steps, signal } = options;
  return await explore({ seed, steps, setting: settingOf(options), signal });
}

export function settingOf({ seed, setting }: Pick<SimulateOptions, 'seed' | 'setting'>): Setting {
  if (setting === undefined) return drawn(seed);
  if (typeof setting !== 'string') return setting;
  const named = Object.entries(settings).find(([name]) => name === setting);
  if (named !== undefined) return named[1];
  throw new RangeError(`Expected one of ${Object.keys(settings).join(', ')}, got ${setting}.`);
}
