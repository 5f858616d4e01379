/** The steps that the model can take from a state: writes, faults, reads and turns. */
import {
  clone,
  convergenceFault,
  type Fault,
  type Flight,
  type Instance,
  lastChange,
  type ModelOptions,
  NO_REDIS,
  type State,
  spanOf,
  type Turn,
} from './model-state.js';

export type Step = [name: string, state: State, fault: string | undefined];

export class Steps {
  readonly #steps: Step[] = [];

  constructor(
    private readonly now: State,
    private readonly options: ModelOptions,
  ) {}

  all(): Step[] {
    const { now, options } = this;
    for (const key of options.keys) {
      if (now.ids >= options.changes) break;
      for (const gone of [false, true]) {
        this.#step(`${gone ? 'delete' : 'write'} ${key}`, (s) => {
          s.ids += 1;
          s.log.push({ id: s.ids, key, gone });
        });
      }
    }
    this.#faults();
    now.instances.forEach((instance, who) => {
      for (const key of options.keys) this.#read(instance, who, key);
      this.#turn(instance, who);
    });
    return this.#steps;
  }

  #step(name: string, change: (state: State) => unknown): void {
    const state = clone(this.now);
    const fault = change(state);
    const told = typeof fault === 'string' ? fault : convergenceFault(state, this.options);
    this.#steps.push([name, state, told]);
  }

  #fault(kind: Fault, name: string, change: (state: State) => void): void {
    if ((this.now.left[kind] ?? 0) === 0) return;
    this.#step(name, (s) => {
      s.left[kind] = (s.left[kind] ?? 0) - 1;
      change(s);
    });
  }

  #faults(): void {
    const { now } = this;
    if (now.saved === null) {
      if (now.left.regress) {
        this.#step('Redis saves a snapshot', (s) => {
          s.saved = s.redis;
        });
      }
    } else {
      this.#fault('regress', 'Redis goes back to its snapshot', (s) => {
        s.redis = s.saved ?? NO_REDIS;
        s.saved = null;
      });
    }
    this.#fault('flush', 'Redis is flushed', (s) => {
      s.redis = clone(NO_REDIS);
    });
    for (const key of Object.keys(now.redis.entries)) {
      this.#fault('evict', `Redis evicts ${key}`, (s) => {
        delete s.redis.entries[key];
      });
    }
    for (let kept = 0; kept < now.log.length; kept++) {
      this.#fault('failover', `a failover keeps ${kept} changes`, (s) => {
        s.log.length = kept;
        for (const instance of s.instances) instance.shown = {};
        for (const instance of s.instances) {
          for (const flight of Object.values(instance.flights)) {
            flight.shown = flight.required = 0;
            // No connection to MySQL-B, and no message, outlives a change of its history.
            if (flight.at !== 'redis' && flight.at !== 'mysql') flight.foreign = true;
          }
        }
      });
    }
  }

  #read(instance: Instance, who: number, key: string): void {
    const held = instance.local[key];
    const flight = instance.flights[key];
    if (held !== undefined) {
      this.#fault('push-out', `${who} pushes ${key} out`, (s) => {
        const me = s.instances[who] as Instance;
        delete me.local[key];
        this.#lose(me, held[0]);
      });
      this.#step(`${who} hits ${key}`, (s) => {
        const fault = this.#show(
          s,
          who,
          key,
          held[1],
          instance.applied[0],
          instance.shown[key] ?? 0,
        );
        return fault;
      });
    }
    if (flight === undefined) {
      if (held !== undefined) return;
      this.#step(`${who} misses ${key}`, (s) => {
        (s.instances[who] as Instance).flights[key] = {
          at: 'redis',
          required: Math.max(instance.applied[0], instance.lost),
          floor: 0,
          lost: instance.lost,
          foreign: false,
          generation: instance.adopted,
          asOf: 0,
          id: 0,
          value: 0,
          shown: instance.shown[key] ?? 0,
        };
      });
      return;
    }
    this.#fly(instance, who, key, flight);
  }

  #fly(_instance: Instance, who: number, key: string, flight: Flight): void {
    const go = (name: string, change: (flight: Flight, state: State) => void) =>
      this.#step(`${who} ${name} ${key}`, (s) => {
        change((s.instances[who] as Instance).flights[key] as Flight, s);
      });
    const { without } = this.options;
    if (flight.at === 'redis') {
      go('reads from Redis', (mine, { redis }) => {
        const value = redis.entries[`${mine.generation}:${key}`];
        const known = value !== undefined && redis.generation === mine.generation;
        if (known && (without === 'R2' || redis.mark[0] >= mine.required)) {
          Object.assign(mine, { at: 'landing', asOf: redis.mark[0], id: redis.mark[1], value });
        } else mine.at = 'mysql';
      });
      if (this.now.left.redisError) {
        this.#fault('redisError', `${who} hears nothing from Redis of ${key}`, (s) => {
          ((s.instances[who] as Instance).flights[key] as Flight).at = 'mysql';
        });
      }
    } else if (flight.at === 'mysql') {
      if (this.now.log.length < flight.required) return; // asked again until it is recent enough
      go('loads from MySQL', (mine, { log }) => {
        const value = lastChange(log, key, log.length)?.id ?? 0;
        Object.assign(mine, { at: 'fill', asOf: log.length, id: log.at(-1)?.id ?? 0, value });
      });
    } else if (flight.at === 'fill') {
      go('fills Redis with', (mine, { redis, log }) => {
        mine.at = 'landing';
        if (mine.foreign || redis.generation !== mine.generation) return;
        const [first, last] = spanOf(log, mine);
        if (redis.mark[0] < first && without !== 'R1 above') return;
        if (redis.mark[0] > last && without !== 'R1 below') return;
        redis.entries[`${mine.generation}:${key}`] = mine.value;
      });
    } else {
      this.#step(`${who} answers ${key}`, (s) => {
        const me = s.instances[who] as Instance;
        const mine = me.flights[key] as Flight;
        delete me.flights[key];
        if (mine.foreign) return undefined;
        if (mine.asOf >= mine.floor || without === 'R3') {
          if ((me.local[key]?.[0] ?? -1) <= mine.asOf) me.local[key] = [mine.asOf, mine.value];
          if (mine.asOf > me.applied[0]) me.sightings[mine.asOf] ??= mine.id;
        } else this.#lose(me, mine.asOf);
        return this.#show(s, who, key, mine.value, mine.required, mine.shown);
      });
    }
  }

  #lose(me: Instance, asOf: number): void {
    if (this.options.without !== 'lost') me.lost = Math.max(me.lost, asOf);
  }

  #show(s: State, who: number, key: string, value: number, required: number, shown: number) {
    const { shown: all, applied } = s.instances[who] as Instance;
    // Until it has noticed that its position was lost, an instance is in another history.
    if (applied[0] > s.log.length || (s.log[applied[0] - 1]?.id ?? 0) !== applied[1])
      return undefined;
    const due = lastChange(s.log, key, required)?.id ?? 0;
    all[key] = Math.max(all[key] ?? 0, value);
    if (value < shown) return `monotonic: ${who} showed ${value} of ${key} after ${shown}`;
    if (value < due) return `prompt: ${who} showed ${value} of ${key}, was at ${due}`;
    return undefined;
  }

  #turn(instance: Instance, who: number): void {
    const { turn } = instance;
    const me = (s: State) => s.instances[who] as Instance;
    if (turn === null) {
      this.#step(`${who} polls`, (s) => this.#poll(s, me(s)));
    } else if (turn.at === 'load') {
      if (this.now.log.length < turn.to) {
        this.#give(who, 'finds the log shorter');
        return;
      }
      this.#step(`${who} loads its page`, ({ log, ...s }) => {
        Object.assign((s.instances[who] as Instance).turn as Turn, {
          at: 'apply',
          asOf: log.length,
        });
      });
    } else if (turn.at === 'apply') {
      this.#step(`${who} applies its page`, (s) => this.#apply(s, me(s)));
      this.#fault('redisError', `${who} cannot apply its page`, (s) => {
        (me(s).turn as Turn).at = 'evict';
      });
    } else this.#step(`${who} evicts its page`, (s) => this.#evict(me(s)));
  }

  #give(who: number, why: string): void {
    this.#step(`${who} ${why}`, (s) => {
      (s.instances[who] as Instance).turn = null;
    });
  }

  /** Judges the position, what was seen beyond it, and the mark; then takes the next page. */
  #poll(s: State, me: Instance): void {
    const { log, redis } = s;
    const { without } = this.options;
    const isIn = ([version, id]: readonly [number, number]) =>
      version <= log.length && (without === 'fingerprints' || (log[version - 1]?.id ?? 0) === id);
    const seen = Object.entries(me.sightings).map(
      ([version, id]) => [Number(version), id] as const,
    );
    const believed = without === 'sightings' || (seen.every(isIn) && me.lost <= log.length);
    if (!isIn(me.applied) || !believed) {
      me.applied = [log.length, log.at(-1)?.id ?? 0];
      me.adopted = 0;
      me.local = {};
      me.sightings = {};
      me.lost = 0;
      me.shown = {}; // what was shown of another history says nothing about this one
      for (const flight of Object.values(me.flights)) {
        Object.assign(flight, { foreign: true, shown: 0, required: 0 });
      }
      return;
    }
    if (redis.generation === 0 || !isIn(redis.mark)) {
      s.generations += 1;
      s.redis = { generation: s.generations, mark: me.applied, entries: {} };
      me.adopted = s.generations;
      return;
    }
    me.adopted = redis.generation;
    const from = Math.min(me.applied[0], redis.mark[0]);
    if (from === log.length) return;
    const keys = [...new Set(log.slice(from).map(({ key }) => key))];
    const { generation } = redis;
    const { id = 0 } = log.at(-1) ?? {};
    me.turn = { at: 'load', from, to: log.length, id, keys, generation, asOf: 0 };
  }

  #apply({ log, redis }: State, me: Instance): void {
    const turn = me.turn as Turn;
    turn.at = 'evict';
    if (redis.generation !== turn.generation || redis.mark[0] < turn.from) {
      me.turn = null;
      return;
    }
    if (redis.mark[0] >= turn.to) return;
    for (const key of turn.keys) {
      const value = lastChange(log, key, turn.asOf)?.id ?? 0;
      const [first, last] = spanOf(log, { value, asOf: turn.asOf });
      if (first <= turn.to && turn.to <= last) redis.entries[`${turn.generation}:${key}`] = value;
      else delete redis.entries[`${turn.generation}:${key}`];
    }
    redis.mark = [turn.to, turn.id];
  }

  #evict(me: Instance): void {
    const turn = me.turn as Turn;
    me.turn = null;
    for (const key of turn.keys) {
      if ((me.local[key]?.[0] ?? turn.to) < turn.to) delete me.local[key];
      const flight = me.flights[key];
      if (flight !== undefined) flight.floor = Math.max(flight.floor, turn.to);
    }
    if (turn.to < me.applied[0]) return;
    me.applied = [turn.to, turn.id];
    for (const version of Object.keys(me.sightings)) {
      if (Number(version) <= turn.to) delete me.sightings[Number(version)];
    }
  }
}
