/**
 * MySQL in data center B: replicas, each a history and how far it has executed it. Its history
 * changes at one instant for all of them, and no connection or message outlives that.
 */
import type { SimulatedClock } from './clock.js';
import type { Network, Session } from './fake-pool.js';
import { replicaSession, type Snapshot } from './fake-replica.js';
import type { History } from './history.js';
import type { Scheduler } from './scheduler.js';
import type { Setting } from './setting.js';

/** Of a read, and of each of its statements. */
export const READ_TIMEOUT_MS = 2_000;

/** With a read's time it is below the 3 s of the reader's grace. */
const MOST_LAG_MS = 900;

interface Replica {
  at: number;
  isStopped: boolean;
}

/** How a query of one reader went. */
export interface Asked {
  /** When a query failed for no fault of its own. */
  faultAtMs: number;
  /** The head in an answer was older than what was required of it. */
  lagged(): void;
  requiredAsOf(): number;
}

export class DataCenterB implements Network {
  readonly #setting: Setting;
  readonly #scheduler: Scheduler;
  readonly #replicas: Replica[];
  readonly #readers = new Map<string, { readonly index: number; readonly asked: Asked }>();
  readonly patienceMs = READ_TIMEOUT_MS;
  readonly opensInSteps: boolean;
  readonly nowMs: () => number;
  readonly #wallMs: () => number;
  #skewMs = 0;
  /** The most that the clock of the servers was behind. */
  behindMs = 0;
  history: History;
  epoch = 0;
  /** So many queries fail. */
  failures = 0;
  /** No query is answered until then. */
  downUntilMs = 0;

  constructor(history: History, setting: Setting, scheduler: Scheduler, clock: SimulatedClock) {
    this.history = history;
    this.#setting = setting;
    this.opensInSteps = setting.opensInSteps ?? false;
    this.#scheduler = scheduler;
    this.nowMs = () => clock.nowMs;
    this.#wallMs = () => clock.wallMs;
    this.#replicas = Array.from({ length: setting.replicas }, () => ({ at: 0, isStopped: false }));
  }

  /** The head of the replica that is furthest. */
  get head(): number {
    return Math.max(...this.#replicas.map(({ at }) => this.history.moment(at).head));
  }

  /** The clock of the servers. */
  clockMs(): number {
    return this.#wallMs() + this.#skewMs;
  }

  /** The clock of the servers is set. */
  setSkew(skewMs: number): void {
    this.#skewMs = skewMs;
    this.behindMs = Math.max(this.behindMs, -skewMs);
  }

  add(client: string, index: number, asked: Asked): void {
    this.#readers.set(client, { index, asked });
  }

  connect(client: string): Session {
    return replicaSession(() => this.#answering(client), this.#setting.valueBytes);
  }

  fault(): 'refused' | 'before' | 'after' | undefined {
    if (this.nowMs() < this.downUntilMs) return 'refused';
    if (this.failures === 0) return undefined;
    this.failures -= 1;
    return this.#scheduler.one(['refused', 'before', 'after'] as const);
  }

  onFault(client: string): void {
    const reader = this.#readers.get(client);
    if (reader !== undefined) reader.asked.faultAtMs = this.nowMs();
  }

  /** What was committed arrives at once where nothing lags. */
  arrive(): void {
    if (!this.#setting.isLagging) for (const replica of this.#replicas) this.#execute(replica);
  }

  /** One replica executes some of what it lacks. */
  replicate(): void {
    this.#execute(this.#scheduler.one(this.#replicas), 1 + this.#scheduler.pick(4));
  }

  stopOrStart(): string {
    if (this.#replicas.length > 1) {
      const isStopped = !this.#replicas.every((replica) => replica.isStopped);
      this.#catchUp();
      for (const replica of this.#replicas) replica.isStopped = isStopped;
      return isStopped ? 'all replicas stop' : 'all replicas go on';
    }
    const index = this.#scheduler.pick(this.#replicas.length);
    const replica = this.#replicas[index];
    if (replica === undefined) return '';
    replica.isStopped = !replica.isStopped;
    if (!replica.isStopped) this.#execute(replica);
    return `replica ${index} ${replica.isStopped ? 'stops' : 'goes on'}`;
  }

  /** A reader believes in a lost tail when for 3 s it hears of nothing newer: servers behind one
   * balancer, or of readers that share a Redis, must not be further apart than that, less the time
   * that an answer may take. */
  limitLag(): void {
    if (this.#replicas.length === 1) return;
    const beforeMs = this.nowMs() - MOST_LAG_MS;
    for (const replica of this.#replicas) {
      while (!replica.isStopped && replica.at < this.history.end) {
        if (this.history.moment(replica.at + 1).atMs > beforeMs) break;
        replica.at += 1;
      }
    }
  }

  /** All replicas are made anew from `history`. */
  clone(history: History): void {
    this.epoch += 1;
    this.history = history;
    for (const replica of this.#replicas) {
      replica.at = Math.max(0, history.end - this.#scheduler.pick(4));
      replica.isStopped = false;
    }
  }

  /** Nothing is wrong any more. */
  heal(): void {
    this.failures = 0;
    this.downUntilMs = 0;
    for (const replica of this.#replicas) {
      replica.isStopped = false;
      this.#execute(replica);
    }
  }

  /** They stop, or are, where the furthest of them is. */
  #catchUp(): void {
    const furthest = Math.max(...this.#replicas.map(({ at }) => at));
    for (const replica of this.#replicas) replica.at = furthest;
  }

  #execute(replica: Replica, moments = Number.POSITIVE_INFINITY): void {
    if (!replica.isStopped) replica.at = Math.min(this.history.end, replica.at + moments);
  }

  #answering(client: string): Snapshot {
    const reader = this.#readers.get(client);
    const { length } = this.#replicas;
    const { isBalanced } = this.#setting;
    const index = isBalanced ? this.#scheduler.pick(length) : (reader?.index ?? 0) % length;
    const moment = this.history.moment(this.#replicas[index]?.at ?? 0);
    if (reader !== undefined && moment.head < reader.asked.requiredAsOf()) {
      reader.asked.lagged();
    }
    return { history: this.history, moment, clockMs: this.clockMs() };
  }
}
