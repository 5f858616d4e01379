/**
 * A simulated world: data center A's MySQL and those who write there, replicas, Redis and instances
 * of the real reader in data center B, one clock, and one scheduler that decides what goes next.
 */
import { SimulatedClock } from './clock.js';
import { DataCenterB } from './data-center-b.js';
import { settle } from './drive.js';
import { SimulatedRedis } from './fake-redis.js';
import { SimulatedSource } from './fake-source.js';
import { History } from './history.js';
import { Instance } from './instance.js';
import { judgeMarks } from './redis-check.js';
import { Scheduler } from './scheduler.js';
import type { Setting } from './setting.js';
import { Violation } from './violation.js';
import { Writers } from './writers.js';

export interface WorldOptions {
  readonly seed: number;
  readonly setting: Setting;
  readonly editScript?: ((source: string) => string) | undefined;
  readonly tracing?: boolean;
}

const BEAT_MS = 1_000;
/** More than this at once leaves no time for one attempt after the other. */
const LEAP_MS = 100;
/** More steps than this without an end are a loop; each change may have to be caught up with. */
const MOST_STEPS = 20_000;
const MOST_STEPS_PER_CHANGE = 100;

export class World {
  readonly setting: Setting;
  readonly keys: readonly string[];
  readonly scheduler: Scheduler;
  readonly clock: SimulatedClock;
  readonly source: SimulatedSource;
  readonly b: DataCenterB;
  readonly redis: SimulatedRedis;
  readonly writers: Writers;
  readonly instances: Instance[] = [];
  readonly editScript: ((source: string) => string) | undefined;
  /** B's replicas stand still since A failed over, until they are made anew. */
  isCut = false;
  readsInFlight = 0;
  reads = 0;
  /** Entries that audits compared. */
  checked = 0;
  peeks = 0;
  steps = 0;
  /** Someone goes around the log: what is held need not be the truth, and is not looked at. */
  isLawless = false;
  /** When time last passed without steps in between. */
  leaptAtMs = Number.NEGATIVE_INFINITY;
  #instanceCount = 0;
  #beatAtMs: number;
  /** Versions that a writer was answered since the last failover. */
  #acknowledged: number[] = [];
  #violation: unknown;

  constructor({ seed, setting, editScript, tracing = false }: WorldOptions) {
    this.setting = setting;
    this.keys = setting.keys;
    this.editScript = editScript;
    this.scheduler = new Scheduler(seed);
    this.scheduler.tracing = tracing;
    // Answers that came before the event loop turns may be taken in first, in any order.
    this.clock = new SimulatedClock(this.scheduler.random, (go) => {
      void this.scheduler.step('the event loop turns').then(go);
    });
    this.#beatAtMs = this.clock.nowMs;
    const nowMs = () => this.clock.nowMs;
    const collate = setting.isCaseBlind ? (key: string) => key.trimEnd().toLowerCase() : undefined;
    const history = new History(this.clock.wallMs, collate);
    this.source = new SimulatedSource(history, nowMs, (changes, first) =>
      this.writers.onCommit(changes, first),
    );
    this.b = new DataCenterB(history, setting, this.scheduler, this.clock);
    this.redis = new SimulatedRedis(nowMs);
    this.writers = new Writers(this);
    for (let index = 0; index < setting.instances; index++) this.addInstance(index);
  }

  addInstance(index: number): void {
    const instance = new Instance(`reader ${++this.#instanceCount}`, index, this);
    this.instances[index] = instance;
    instance.start();
  }

  /** A version that some write was answered, if there is one. */
  someAcknowledged(): number | undefined {
    const count = this.#acknowledged.length;
    return count === 0
      ? undefined
      : this.#acknowledged[count - 1 - this.scheduler.pick(Math.min(count, 5))];
  }

  acknowledged(version: number): void {
    this.#acknowledged.push(version);
  }

  fail(error: unknown): void {
    this.#violation ??= error;
  }

  /** @throws Violation, when a guarantee was broken so far */
  check(): void {
    if (this.scheduler.gap !== undefined) throw this.scheduler.gap;
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** Lets one pending step go, and looks at all that is held. */
  *step(): Generator<void> {
    this.scheduler.advance();
    yield;
    this.steps += 1;
    this.check();
    this.peek();
  }

  /** Looks at all that instances hold. */
  peek(): void {
    if (this.isLawless) return;
    for (const instance of this.instances) this.peeks += instance.peekAll();
  }

  /** Lets time pass, timers ring and data center A's heart beat. */
  pass(ms: number): void {
    const untilMs = this.clock.nowMs + ms;
    if (ms > LEAP_MS) this.leaptAtMs = untilMs;
    while (this.clock.nowMs < untilMs) {
      const stepMs = Math.min(untilMs, this.#beatAtMs + BEAT_MS) - this.clock.nowMs;
      this.clock.pass(Math.max(0, stepMs), settle);
      this.b.limitLag();
      if (this.clock.nowMs < this.#beatAtMs + BEAT_MS) continue;
      this.#beatAtMs = this.clock.nowMs;
      this.source.history.beat(this.clock.wallMs, this.clock.nowMs);
      this.b.arrive();
    }
  }

  /** Data center A fails over and loses what was committed after `version`. */
  failOver(version: number): void {
    const history = this.source.history.leaveAt(version, this.clock.wallMs);
    this.source.fail(history);
    this.writers.historyChanged();
    this.#acknowledged = this.#acknowledged.filter((each) => each <= version);
    this.isCut = true;
  }

  /** Data center B's replicas are made anew; no connection or message outlives that. */
  reclone(): void {
    const oldHead = this.b.head;
    this.isCut = false;
    this.b.clone(this.source.history);
    this.redis.epoch += 1;
    for (const { witness } of this.instances) witness.historyChanged(this.b.history, oldHead);
  }

  /** Lets all pending steps go, and those that they bring about.
   * @throws Violation when there is no end to them */
  *drain(): Generator<void> {
    yield;
    const most = MOST_STEPS + MOST_STEPS_PER_CHANGE * this.b.head;
    for (let steps = 0; this.scheduler.pending > 0; steps++) {
      if (steps > most) throw new Violation('available', 'the steps do not come to an end');
      yield* this.step();
    }
    this.check();
  }

  /** Until every instance has started. */
  *started(): Generator<void> {
    const isStarting = () => this.instances.some(({ isStarted }) => !isStarted);
    for (let steps = 0; isStarting(); steps++) {
      if (steps > MOST_STEPS) throw new Violation('available', 'a reader does not start');
      if (this.scheduler.pending === 0) this.pass(10);
      yield* this.step();
    }
  }

  judgeMarks(): void {
    judgeMarks(this.redis, this.b);
  }
}
