/**
 * Which faults come when: a pure function of the seed. Faults overlap, up to three at a time, and
 * come in waves; between two waves all is well for a moment, which is when convergence is measured.
 */
import type { Flavor } from '../../src/demo/server-kind.js';
import type { Fault, RedisKind } from './fault.js';
import { Random } from './random.js';

export interface ScheduleOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly faultsPerMinute: number;
  readonly flavor: Flavor;
  readonly redis: RedisKind;
  readonly faults: readonly Fault[];
}

export interface Planned {
  readonly atMs: number;
  readonly name: string;
  readonly targets: readonly string[];
  readonly lastsMs: number;
  readonly alone: boolean;
  /** Of the fault's own choices. */
  readonly seed: number;
  /** Counts the times of rest before it: faults of one wave overlap, those of two never do. */
  readonly wave: number;
}

const MOST_AT_ONCE = 3;
const WAVE_MS = 18_000;
const REST_MS = 2_000;
const WARM_UP_MS = 1_000;
/** To find a fault whose targets are free, before it is left until one ends. */
const TRIES = 20;

interface Active {
  readonly endMs: number;
  readonly targets: readonly string[];
}

export function schedule(options: ScheduleOptions): Planned[] {
  const random = new Random(options.seed);
  const possible = options.faults.filter((fault) => fits(fault, options));
  if (possible.length === 0) return [];
  const planned: Planned[] = [];
  const endMs = options.seconds * 1_000;
  const paceMs = 60_000 / options.faultsPerMinute;
  let [atMs, waveEndMs, wave] = [WARM_UP_MS, WARM_UP_MS + WAVE_MS, 0];
  let active: Active[] = [];
  const allOverMs = () => Math.max(atMs, ...active.map((one) => one.endMs));
  while (atMs < endMs) {
    active = active.filter((one) => one.endMs > atMs);
    if (atMs >= waveEndMs) {
      atMs = allOverMs() + REST_MS;
      waveEndMs = atMs + WAVE_MS;
      wave += 1;
      continue;
    }
    const fault = pick(possible, active, random);
    if (fault === undefined || active.length >= MOST_AT_ONCE) {
      atMs = Math.min(...active.map((one) => one.endMs)); // the next one that makes room
      continue;
    }
    if (fault.alone) atMs = allOverMs();
    const lastsMs = Math.round(random.between(...fault.lastsMs));
    const targets = random.pick(
      fault.targets
        .filter((one) => !fault.alone && isFree(one, active))
        .concat(fault.alone ? fault.targets : []),
    );
    const { name, alone = false } = fault;
    planned.push({
      ...{ atMs: Math.round(atMs), name, targets, lastsMs, alone, wave },
      seed: random.below(2 ** 32),
    });
    const endsMs = atMs + lastsMs + fault.costMs;
    active.push({ endMs: endsMs, targets });
    atMs = alone ? endsMs : atMs + paceMs * random.between(0.4, 1.2);
  }
  return planned;
}

/** One that does not touch what another one has in hand. */
function pick(
  faults: readonly Fault[],
  active: readonly Active[],
  random: Random,
): Fault | undefined {
  for (let tries = 0; tries < TRIES; tries++) {
    const fault = random.weighted(faults);
    if (fault.alone || fault.targets.some((targets) => isFree(targets, active))) return fault;
  }
  return undefined;
}

function isFree(targets: readonly string[], active: readonly Active[]): boolean {
  return !active.some((one) => one.targets.some((target) => targets.includes(target)));
}

function fits({ flavors, redis }: Fault, options: ScheduleOptions): boolean {
  return (
    (flavors === undefined || flavors.includes(options.flavor)) &&
    (redis === undefined || redis.includes(options.redis))
  );
}
