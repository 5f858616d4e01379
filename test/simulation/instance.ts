/** One instance of the real reader over the simulated servers, and the checks of what it answers. */

import type { Connection, RowDataPacket } from 'mysql2/promise';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import type { Position } from '../../src/core/position.js';
import type { Reading, ReadOptions } from '../../src/core/reading.js';
import { NotFreshError } from '../../src/errors.js';
import { type Flight, LocalTier, type LocalTierOptions } from '../../src/local/tier.js';
import { type Glance, GlanceStatement } from '../../src/mysql/glance.js';
import { MysqlLog } from '../../src/mysql/log.js';
import type { Loaded } from '../../src/reader/loader.js';
import { Reader } from '../../src/reader/reader.js';
import { Reconciler } from '../../src/reader/reconciler.js';
import { RedisTier } from '../../src/redis/tier.js';
import { type Asked, READ_TIMEOUT_MS } from './data-center-b.js';
import { SimulatedPool } from './fake-pool.js';
import { TABLE } from './history.js';
import { simulatedClient } from './redis-client.js';
import { Violation } from './violation.js';
import { type Beginning, Witness } from './witness.js';
import type { World } from './world.js';

export const PREFIX = 'sim';
const POLL_INTERVAL_MS = 20;
const REDIS_TIMEOUT_MS = 50;
const STALE_AFTER_MS = 3_000;
/** A load gives up when its next attempt would come after its time. */
const RETRY_MS = 110;
/** So often a load asks before it does, at least. */
const TRIES = 10;
/** As it is made on a connection to MySQL-B. */
const GLANCE = await GlanceStatement.prepare(
  {
    query: async () => [[{ charset: 'utf8mb4', collation: 'utf8mb4_bin' }]],
  } as unknown as Connection, // all that it asks of one
  DEFAULT_COLLECTION,
);
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** Holds the local tier to one load per key. */
class WatchedTier extends LocalTier<Loaded> {
  constructor(
    options: LocalTierOptions,
    private readonly onSecondLoad: (key: string) => void,
  ) {
    super(options);
  }

  override takeOff(key: string, landing: Promise<Loaded>): Flight<Loaded> {
    if (this.flight(key) !== undefined) this.onSecondLoad(key);
    return super.takeOff(key, landing);
  }
}

export class Instance implements Asked {
  readonly name: string;
  readonly reader: Reader;
  readonly local: LocalTier<Loaded>;
  readonly redis: RedisTier;
  readonly pool: SimulatedPool;
  readonly witness: Witness;
  readonly #reconciler: Reconciler;
  readonly #world: World;
  faultAtMs = Number.NEGATIVE_INFINITY;
  /** When the last answers came that were older than what was required. */
  #laggedAtMs: number[] = [];
  /** How far the clock of this host is from data center A's, and how far behind it ever was. */
  skewMs = 0;
  #behindMs = 0;
  /** How late the heartbeat was by which the reader calibrates itself. */
  #calibratedMs = Number.POSITIVE_INFINITY;
  generations = 0;
  isStarted = false;
  isKilled = false;

  constructor(name: string, index: number, world: World) {
    this.name = name;
    this.#world = world;
    const { scheduler, setting, clock, b } = world;
    const nowMs = () => clock.nowMs;
    b.add(name, index, this);
    this.pool = new SimulatedPool(name, b, scheduler);
    const log = new MysqlLog(this.pool.pool, DEFAULT_COLLECTION, READ_TIMEOUT_MS);
    this.local = new WatchedTier(
      {
        maxEntries: setting.localMaxEntries,
        maxBytes: 2 ** 20,
        ttlMs: setting.localTtlMs,
        maxAbsences: setting.localMaxEntries,
        negativeTtlMs: setting.localTtlMs,
      },
      (key) => world.fail(new Violation('bounded', `${name} loads ${key} twice at once`)),
    );
    this.redis = new RedisTier({
      client: simulatedClient(world.redis, scheduler, name, world.editScript),
      table: TABLE,
      prefix: PREFIX,
      buckets: setting.buckets,
      timeoutMs: REDIS_TIMEOUT_MS,
      ttlMs: setting.redisTtlMs,
      negativeTtlMs: setting.redisTtlMs,
      random: scheduler.random,
    });
    this.#reconciler = new Reconciler({
      log,
      redis: this.redis,
      local: this.local,
      table: TABLE,
      pageSize: setting.pageSize,
      onChange: setting.onChange,
      now: () => ({ monotonicMs: clock.nowMs, wallMs: clock.wallMs + this.skewMs }),
      newGeneration: () => `${name.replaceAll(' ', '-')}-${++this.generations}`,
    });
    this.reader = new Reader({
      log,
      redis: this.redis,
      local: this.local,
      reconciler: this.#reconciler,
      logger: SILENT,
      table: TABLE,
      pollIntervalMs: POLL_INTERVAL_MS,
      readTimeoutMs: READ_TIMEOUT_MS,
      staleAfterMs: STALE_AFTER_MS,
      monotonicMs: nowMs,
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      random: scheduler.random,
      ...(setting.auditSample === undefined ? {} : { auditSample: setting.auditSample }),
      close: async () => {},
    });
    this.witness = new Witness(name, b.history, () => world.source.history);
    this.#watch();
  }

  get applied(): Position {
    return this.local.applied;
  }

  requiredAsOf(): number {
    return this.local.requiredAsOf;
  }

  /** The newest version that it knows of, by an answer or by the log. */
  seenUpTo(): number {
    return Math.max(this.local.requiredAsOf, this.local.sightings.newest);
  }

  start(): void {
    this.reader.start().then(
      () => {
        this.isStarted = !this.isKilled;
      },
      (error: unknown) => this.#world.scheduler.note(`${this.name} did not start: ${error}`),
    );
  }

  /** The process dies: nobody hears what was under way, though servers may yet carry it out. */
  kill(): void {
    this.isKilled = true;
    this.isStarted = false;
    this.reader.stop();
  }

  /** The clock of this host is set. */
  setSkew(skewMs: number): void {
    this.skewMs = skewMs;
    this.#behindMs = Math.max(this.#behindMs, -skewMs);
  }

  /** Looks at what is held of every key; how many of them were. */
  peekAll(): number {
    let held = 0;
    const nowMs = this.#world.clock.nowMs;
    const { version } = this.local.applied;
    for (const key of this.#world.keys) {
      const reading = this.reader.peek(key);
      if (reading === undefined) continue;
      held += 1;
      this.witness.judgeHeld(key, reading.value, reading.asOf, version);
      if (!reading.stale && nowMs % 7 < 1) this.#judgePeek(reading);
    }
    return held;
  }

  #judgePeek(reading: Reading): void {
    this.#judge(reading, this.witness.begin(reading.key, 0, this.#world.clock.nowMs), {});
  }

  /** Nothing goes around the log here: whatever an audit flags is a false alarm. */
  audit(): void {
    this.reader.audit().then(
      ({ checked, mismatches }) => {
        this.#world.checked += checked;
        if (mismatches === 0) return;
        this.#world.fail(new Violation('audit', `${this.name} flags ${mismatches} entries`));
      },
      (error: unknown) => {
        if (this.isStarted) this.#world.fail(error);
      },
    );
  }

  /** Has it drop everything, as if an audit had found something. */
  repair(): void {
    this.#reconciler.repair();
  }

  /** Starts one read of some keys; its answers are judged whenever they come. */
  read(keys: readonly string[], options: ReadOptions = {}): void {
    const world = this.#world;
    const startedMs = world.clock.nowMs;
    const applied = this.applied.version;
    const begun = new Map(
      keys.map((key) => [key, this.witness.begin(key, applied, startedMs)] as const),
    );
    const [first = ''] = keys;
    const isWaiting = Object.keys(options).length > 0;
    const isHeld = !isWaiting && keys.every((key) => this.local.get(key) !== undefined);
    const answering =
      keys.length === 1
        ? this.reader.get(first, options).then((reading) => new Map([[first, reading]]))
        : this.reader.getMany(keys, options);
    world.scheduler.note(`${this.name} reads ${keys} ${isWaiting ? JSON.stringify(options) : ''}`);
    world.readsInFlight += 1;
    answering
      .then(
        (readings) => {
          if (!this.isStarted) return; // it was killed: nobody got the answer
          for (const [key, beginning] of begun) {
            const reading = readings.get(key);
            if (reading === undefined) {
              throw new Violation('available', `${this.name} gave no answer for ${key}`);
            }
            world.reads += 1;
            world.scheduler.note(
              `  ${this.name} ${key} = ${reading.value} as of ${reading.asOf} (${reading.tier})${reading.stale ? ' stale' : ''}`,
            );
            this.#judge(reading, beginning, options);
          }
        },
        (error: unknown) => {
          if (!this.isStarted) return; // it was killed
          this.#judgeFailure(error, isHeld, startedMs, options, keys);
        },
      )
      .catch((error: unknown) => world.fail(error))
      .finally(() => {
        world.readsInFlight -= 1;
      });
  }

  #judge(reading: Reading, begun: Beginning, options: ReadOptions): void {
    const { value, asOf, tier } = reading;
    const boundMs = Math.min(
      reading.stale ? Number.POSITIVE_INFINITY : STALE_AFTER_MS,
      options.maxStalenessMs ?? Number.POSITIVE_INFINITY,
    );
    // Both clocks that are behind may fake so much, but no more than the calibration was late.
    const fakedMs = Math.min(this.#behindMs, this.#world.b.behindMs, this.#calibratedMs);
    const completeToMs = begun.atMs - boundMs - fakedMs;
    this.witness.judge(
      {
        key: reading.key,
        value,
        asOf,
        tier,
        completeToMs: Number.isFinite(completeToMs) ? completeToMs : undefined,
        minVersion: options.minVersion,
      },
      begun,
    );
  }

  lagged(): void {
    this.#laggedAtMs = [...this.#laggedAtMs, this.#world.clock.nowMs].slice(-TRIES);
  }

  #judgeFailure(
    error: unknown,
    isHeld: boolean,
    startedMs: number,
    options: ReadOptions,
    keys: readonly string[],
  ): void {
    const { clock, scheduler } = this.#world;
    scheduler.note(`  ${this.name} ${keys} fails: ${error}`);
    const nowMs = clock.nowMs;
    const sinceMs = startedMs - READ_TIMEOUT_MS - RETRY_MS;
    const isOverdue = nowMs - startedMs >= (options.timeoutMs ?? READ_TIMEOUT_MS) - RETRY_MS;
    // A load asks a replica that lags again and again before it gives up, if time lets it.
    const lags = this.#laggedAtMs.filter((ms) => ms >= sinceMs).length;
    const hasLagged = lags === TRIES || (lags > 0 && this.#world.leaptAtMs >= sinceMs);
    const excuse = this.faultAtMs >= sinceMs || hasLagged || isOverdue;
    if (error instanceof NotFreshError && isOverdue) return;
    if (!isHeld && excuse && !(error instanceof Violation)) return;
    const what = isHeld ? 'which it holds' : 'though MySQL-B answered';
    throw new Violation('available', `${this.name} cannot read ${keys}, ${what}: ${error}`);
  }

  /** What an early wake brings, now and then: MySQL-B has shown it a moment ago. */
  async #glance(): Promise<Glance | undefined> {
    const { b, scheduler, clock } = this.#world;
    if (scheduler.pick(3) === 0) return undefined;
    const seen = scheduler.pick(2) === 0 ? b.head : 0;
    const sent = { atMs: clock.nowMs, clockMs: b.clockMs(), seen };
    const { epoch } = b;
    const rows = b.connect(this.name).execute(GLANCE.sql, GLANCE.parameters(seen));
    await scheduler.step(`${this.name} is woken`);
    return epoch === b.epoch ? GLANCE.read(rows as RowDataPacket[], sent) : undefined;
  }

  #watch(): void {
    const { clock } = this.#world;
    const reconciler = this.#reconciler;
    const turn = reconciler.turn.bind(reconciler);
    reconciler.turn = async () => {
      const startedMs = clock.nowMs;
      const epoch = this.#world.b.epoch;
      const more = await turn(this.#world.setting.isWoken ? await this.#glance() : undefined);
      if (epoch === this.#world.b.epoch) {
        const isCaughtUp = !more && this.applied.version === this.#world.b.head;
        this.witness.turned(startedMs, clock.nowMs, this.applied, isCaughtUp);
      }
      return more;
    };
    reconciler.on('rebase', (reason) => {
      this.#world.scheduler.note(`  ${this.name} rebases: ${reason}, at ${this.applied.version}`);
      const isRewritten = reason === 'diverged' || reason === 'regressed';
      if (isRewritten) this.witness.rebased();
      if (reason === 'start') this.#calibratedMs = clock.wallMs - reconciler.beatAtMs;
      else if (isRewritten) this.#calibratedMs = Number.POSITIVE_INFINITY;
    });
    reconciler.on('page', ({ to }, keys) => {
      this.#world.scheduler.note(`  ${this.name} applied ${to.version}: ${keys}`);
    });
    reconciler.on('generation', (bucket, reason) => {
      this.#world.scheduler.note(
        `  ${this.name} begins a generation of bucket ${bucket}: ${reason}`,
      );
    });
  }
}
