/** The state of the model: data centers, Redis, instances; and what must hold of it. */
export interface ModelOptions {
  readonly changes: number;
  readonly keys: readonly string[];
  readonly instances: number;
  /** How often each fault may strike. */
  readonly faults: Partial<Record<Fault, number>>;
  /** A rule that is taken out. */
  readonly without?: Rule;
}

export type Fault = 'regress' | 'flush' | 'evict' | 'redisError' | 'push-out' | 'failover';
export type Rule = 'R1 below' | 'R1 above' | 'R2' | 'R3' | 'lost' | 'sightings' | 'fingerprints';

export interface Change {
  readonly id: number;
  readonly key: string;
  readonly gone: boolean;
}
export type Held = [asOf: number, value: number];
export interface Flight {
  at: 'redis' | 'mysql' | 'fill' | 'landing';
  required: number;
  floor: number;
  lost: number;
  foreign: boolean;
  generation: number;
  asOf: number;
  /** The id at `asOf`, as the load saw it. */
  id: number;
  value: number;
  shown: number;
}
export interface Turn {
  at: 'load' | 'apply' | 'evict';
  from: number;
  to: number;
  /** The id at `to`, as the poll saw it. */
  id: number;
  keys: string[];
  generation: number;
  asOf: number;
}
export interface Instance {
  applied: [version: number, id: number];
  /** The generation whose mark this instance has checked against the log; 0 for none. */
  adopted: number;
  lost: number;
  sightings: Record<number, number>;
  local: Record<string, Held>;
  flights: Record<string, Flight>;
  turn: Turn | null;
  shown: Record<string, number>;
}
export interface Redis {
  generation: number;
  mark: [version: number, id: number];
  entries: Record<string, number>;
}
export interface State {
  log: Change[];
  ids: number;
  generations: number;
  redis: Redis;
  saved: Redis | null;
  left: Record<string, number>;
  instances: Instance[];
}

export const NO_REDIS: Redis = { generation: 0, mark: [-1, 0], entries: {} };
export const clone = <T>(value: T): T => JSON.parse(JSON.stringify(value));

export function startOf({ instances, faults }: ModelOptions): State {
  const instance: Instance = {
    applied: [0, 0],
    adopted: 1,
    lost: 0,
    sightings: {},
    local: {},
    flights: {},
    turn: null,
    shown: {},
  };
  return {
    log: [],
    ids: 0,
    generations: 1,
    redis: { generation: 1, mark: [0, 0], entries: {} },
    saved: null,
    left: { ...faults },
    instances: Array.from({ length: instances }, () => clone(instance)),
  };
}

export function lastChange(
  log: readonly Change[],
  key: string,
  version: number,
): Change | undefined {
  return log.slice(0, version).findLast((change) => change.key === key);
}

/** The first and last version at which a loaded value is known to be the truth. */
export function spanOf(
  log: readonly Change[],
  loaded: { value: number; asOf: number },
): [number, number] {
  const version = log.findIndex(({ id }) => id === loaded.value) + 1;
  const isRow = version > 0 && log[version - 1]?.gone === false;
  return [isRow ? version : loaded.asOf, loaded.asOf];
}

export function convergenceFault(s: State, { keys }: ModelOptions): string | undefined {
  const { log, redis } = s;
  const head = log.at(-1)?.id ?? 0;
  const atHead = ([version, id]: readonly [number, number]) =>
    version === log.length && id === head;
  const quiet = s.instances.every(
    (one) =>
      atHead(one.applied) &&
      one.turn === null &&
      Object.keys(one.flights).length === 0 &&
      Object.keys(one.sightings).length === 0,
  );
  if (!quiet || !atHead(redis.mark)) return undefined;
  for (const key of keys) {
    const truth = lastChange(log, key, log.length)?.id ?? 0;
    const stored = redis.entries[`${redis.generation}:${key}`] ?? truth;
    if (stored !== truth)
      return `convergence: Redis keeps ${stored} of ${key}, the truth is ${truth}`;
    for (const one of s.instances) {
      const held = one.local[key]?.[1] ?? truth;
      if (held !== truth) return `convergence: ${held} of ${key} is kept, the truth is ${truth}`;
    }
  }
  return undefined;
}
