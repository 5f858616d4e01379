/**
 * A kind of fault: what it is called, how often it comes, what it may do to what.
 *
 * `start` makes the fault and returns what ends it; it works on the stage as it is. Two faults with
 * a target in common are never active at once, so that each finds its target well. A fault that is
 * `alone` waits until no other is active, and others wait for it.
 */
import type { Flavor } from '../../src/demo/server-kind.js';
import type { Random } from './random.js';
import type { Stage } from './stage.js';

export type RedisKind = 'standalone' | 'sentinel' | 'cluster';

export type Undo = () => Promise<void>;

export interface Fault {
  readonly name: string;
  /** How often it is picked, compared to the others. */
  readonly weight: number;
  /** One of these is picked, each a list of names of what it touches; the first is passed on. */
  readonly targets: readonly (readonly string[])[];
  /** How long it lasts between its start and its undo. */
  readonly lastsMs: readonly [least: number, most: number];
  /** What start and undo take beyond that on a machine with little to do. */
  readonly costMs: number;
  readonly alone?: boolean;
  readonly flavors?: readonly Flavor[];
  readonly redis?: readonly RedisKind[];
  readonly start: (stage: Stage, target: string, random: Random) => Promise<Undo | undefined>;
}

export const READERS = ['reader-1', 'reader-2', 'reader-3', 'read-app'] as const;
/** Is frozen, but neither killed nor restarted: its memory is watched for as long as the run. */
export const STEADY_READER = 'reader-1';
export const WRITE_APPS = ['write-1', 'write-2'] as const;
/** As STEADY_READER. */
export const STEADY_WRITE_APP = 'write-1';
