/**
 * A small world: one database, one Redis, a few instances of the real reader, loader, reconciler and
 * tiers, and a checker that knows the truth. Every read is held against three guarantees.
 */

import { LocalTier } from '../../src/local/tier.js';
import type { Loaded } from '../../src/reader/loader.js';
import { Reader } from '../../src/reader/reader.js';
import { Reconciler } from '../../src/reader/reconciler.js';
import { RedisTier } from '../../src/redis/tier.js';
import { SimulatedDatabase, SimulatedLog, TABLE } from './fake-database.js';
import { SimulatedRedis, simulatedClient } from './fake-redis.js';
import { Scheduler } from './scheduler.js';

export interface WorldOptions {
  readonly seed: number;
  readonly instances?: number;
  readonly keys?: readonly string[];
  readonly localMaxEntries?: number;
  readonly buckets?: number;
  readonly onChange?: 'evict' | 'refresh';
  readonly lag?: number;
  readonly editScript?: (source: string) => string;
}

interface Instance {
  readonly name: string;
  readonly reader: Reader;
  readonly log: SimulatedLog;
  readonly local: LocalTier<Loaded>;
  readonly reconciler: Reconciler;
  turning: boolean;
  /** The newest change of each key that a read has shown. */
  readonly seen: Map<string, number>;
}

const FOREVER_MS = 2 ** 30;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export class Violation extends Error {}

export class World {
  readonly scheduler: Scheduler;
  readonly database = new SimulatedDatabase();
  readonly redis = new SimulatedRedis();
  readonly instances: Instance[] = [];
  readonly keys: readonly string[];
  nowMs = 0;
  reads = 0;
  #violation: Violation | undefined;

  private constructor(options: WorldOptions) {
    this.scheduler = new Scheduler(options.seed);
    this.keys = options.keys ?? ['a', 'b', 'c'];
    for (let index = 0; index < (options.instances ?? 2); index++) {
      this.instances.push(this.#instance(`reader ${index}`, options));
    }
  }

  /** A world in which every instance has started. */
  static async create(options: WorldOptions): Promise<World> {
    const world = new World(options);
    const started = world.instances.map(({ reader }) => reader.start());
    await world.scheduler.drain();
    await Promise.all(started);
    return world;
  }

  async stop(): Promise<void> {
    const stopped = this.instances.map(({ reader }) => reader.stop());
    await this.scheduler.drain();
    await Promise.all(stopped);
  }

  #instance(name: string, options: WorldOptions): Instance {
    const now = () => ({ monotonicMs: this.nowMs, wallMs: this.nowMs });
    const { scheduler } = this;
    const log = new SimulatedLog(this.database, scheduler, name, options.lag);
    const local = new LocalTier<Loaded>({
      maxEntries: options.localMaxEntries ?? 100,
      maxBytes: 2 ** 20,
      ttlMs: FOREVER_MS,
      maxAbsences: options.localMaxEntries ?? 100,
      negativeTtlMs: FOREVER_MS,
    });
    const redis = new RedisTier({
      client: simulatedClient(this.redis, scheduler, name, options.editScript),
      table: TABLE,
      prefix: 'sim',
      buckets: options.buckets ?? 1,
      timeoutMs: FOREVER_MS / 100,
      ttlMs: FOREVER_MS,
      negativeTtlMs: FOREVER_MS,
      random: scheduler.random,
    });
    let generations = 0;
    const reconciler = new Reconciler({
      log,
      redis,
      local,
      table: TABLE,
      pageSize: 3,
      onChange: options.onChange ?? 'evict',
      now,
      newGeneration: () => `${name.replace(' ', '-')}-${++generations}`,
    });
    const reader = new Reader({
      log,
      redis,
      local,
      reconciler,
      logger: SILENT,
      table: TABLE,
      // The loop takes the first turns, then sleeps; the simulation takes the others itself.
      pollIntervalMs: FOREVER_MS,
      readTimeoutMs: FOREVER_MS,
      staleAfterMs: 1_000,
      monotonicMs: () => this.nowMs,
      sleep: () => scheduler.step(`${name} waits`),
      random: scheduler.random,
      close: async () => {},
    });
    return { name, reader, log, local, reconciler, turning: false, seen: new Map() };
  }

  /** Starts one turn of an instance, unless one is under way. */
  turn(instance: Instance): void {
    if (instance.turning) return;
    instance.turning = true;
    instance.reconciler.turn().then(
      () => {
        instance.turning = false;
      },
      (error: unknown) => {
        instance.turning = false;
        this.scheduler.note(`${instance.name}: turn failed: ${error}`);
      },
    );
  }

  /** Starts one read; the checker judges its answer whenever it comes. */
  read(instance: Instance, key: string): void {
    const seenBefore = instance.seen.get(key) ?? 0;
    const appliedBefore = instance.local.applied.version;
    this.scheduler.note(`${instance.name} reads ${key}`);
    instance.reader.get(key).then(
      (reading) => {
        this.reads += 1;
        const shown = this.database.lastChange(key, reading.asOf);
        const truth = this.database.truth(key, reading.asOf);
        const value = reading.value?.toString() ?? null;
        const what = `${instance.name} ${key} = ${value} as of ${reading.asOf} (${reading.tier})`;
        this.scheduler.note(`  ${what}`);
        if (value !== truth) this.#fail(`honest as-of: ${what}, the truth is ${truth}`);
        if (reading.asOf < appliedBefore) this.#fail(`prompt: ${what}, applied ${appliedBefore}`);
        if (shown < seenBefore) this.#fail(`monotonic: ${what}, had shown ${seenBefore}`);
        instance.seen.set(key, Math.max(shown, instance.seen.get(key) ?? 0));
      },
      (error: unknown) => this.#fail(`available: ${instance.name} ${key}: ${error}`),
    );
  }

  #fail(what: string): void {
    this.#violation ??= new Violation(`${what}\n${this.scheduler.tail()}`);
  }

  /** @throws Violation, when any read so far broke a guarantee */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** A failover loses the last changes, whoever has seen them, and new ones come. What was shown of
   * the lost part says nothing about the new history. */
  rewriteHistory(): void {
    this.database.rewriteAfter(Math.max(1, this.database.head - 1 - this.scheduler.pick(6)));
    this.scheduler.note(`history is rewritten after ${this.database.head}`);
    this.database.beatAtMs += 1_000;
    for (let count = this.scheduler.pick(9); count > 0; count--) {
      this.database.write(this.keys[this.scheduler.pick(this.keys.length)] ?? 'a');
    }
    for (const { seen } of this.instances) seen.clear();
  }

  /** After the faults are over: every tier tells the same truth.
   * @throws Violation */
  async converge(): Promise<void> {
    this.redis.failures = 0;
    for (const { log } of this.instances) log.lag = 0;
    for (let round = 0; round < 12; round++) {
      this.nowMs += 1_000;
      for (const instance of this.instances) this.turn(instance);
      await this.scheduler.drain();
    }
    const { head } = this.database;
    for (const instance of this.instances) {
      if (instance.local.applied.version !== head) {
        this.#fail(`convergence: ${instance.name} at ${instance.local.applied.version} of ${head}`);
      }
      for (const key of this.keys) {
        this.read(instance, key);
        await this.scheduler.drain();
        const held = instance.local.get(key);
        const value = held?.value?.toString() ?? null;
        if (held !== undefined && value !== this.database.truth(key, head)) {
          this.#fail(`convergence: ${instance.name} holds ${key} = ${value}`);
        }
      }
    }
    this.check();
  }
}
