/** What is watched all the time: A's log, Redis' entries, and the connections to MySQL-B. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Checker } from './checker.js';
import { Random } from './random.js';
import { type Seen, scanBucket } from './redis-scan.js';
import { UnexplainedError } from './source-log.js';
import { READER_USER, type Stage } from './stage.js';

const PULL_EVERY_MS = 200;
const SCAN_EVERY_MS = 1_500;
const COUNT_EVERY_MS = 2_000;
const MEMORY_EVERY_MS = 2_000;
const MISS_CHARACTERS = 60;
const SCAN_KEYS = 60;

export class Observers {
  readonly #random = new Random(1);
  readonly #ending = new AbortController();
  #loops: Promise<void>[] = [];
  /** Seen in Redis, at marks that the log was not told to yet. */
  #unjudged: Seen[] = [];
  /** What could not be seen, and why: servers are down now and then. */
  readonly misses: Record<string, number> = {};
  /** The run's own error, if there was one. */
  failure: unknown;

  constructor(
    private readonly stage: Stage,
    private readonly checker: Checker,
  ) {}

  start(): void {
    this.#loops = [
      this.#every(PULL_EVERY_MS, () => this.stage.log.pull()),
      this.#every(SCAN_EVERY_MS, () => this.#scan()),
      this.#every(COUNT_EVERY_MS, () => this.stage.servers.countConnectionsOfB(READER_USER)),
      this.#every(MEMORY_EVERY_MS, () => this.#askMemory()),
    ];
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#loops);
  }

  async #every(periodMs: number, step: () => Promise<void>): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await delay(periodMs, undefined, { signal }).catch(() => undefined); // the loop ends
      try {
        if (!this.stage.isFailingOver) await step();
      } catch (error) {
        const what = String(error).slice(0, MISS_CHARACTERS);
        this.misses[what] = (this.misses[what] ?? 0) + 1; // the next time will do
        if (error instanceof UnexplainedError) this.failure ??= error;
      }
    }
  }

  /** Of the apps; the other readers tell by themselves. */
  async #askMemory(): Promise<void> {
    const records = await Promise.all(this.stage.apps.map((app) => app.memory()));
    for (const record of records) if (record !== undefined) this.checker.memory(record);
  }

  async #scan(): Promise<void> {
    const { stage } = this;
    const keys = stage.workload.keys(this.#random, SCAN_KEYS);
    const { rewinds } = stage.log;
    for (let bucket = 0; bucket < stage.buckets; bucket++) {
      const node = await stage.redisMaster(bucket);
      this.#unjudged.push(...(await scanBucket(node, bucket, stage.buckets, keys)));
    }
    if (stage.log.rewinds !== rewinds) this.#unjudged = [];
    this.#judge();
  }

  #judge(): void {
    const { log } = this.stage;
    this.#unjudged = this.#unjudged.filter((seen) => {
      const fingerprint = log.fingerprintAt(seen.markVersion);
      if (fingerprint === undefined) return true;
      const isMarkOfThisHistory = fingerprint === seen.markFingerprint;
      this.checker.redis({ ...seen, isMarkOfThisHistory });
      return false;
    });
  }
}
