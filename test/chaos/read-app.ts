/** A `tidemark read` process, read through its HTTP API. */
import { Agent, get, type IncomingHttpHeaders } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { AppSlot } from './apps.js';
import type { Checker } from './checker.js';
import type { ReadRecord } from './history.js';
import { markOf } from './mark-of.js';
import { nowMs } from './now.js';
import type { FaultProxy } from './proxy.js';
import type { Random } from './random.js';
import type { ReaderPlace } from './reader-place.js';

export interface ReadAppOptions {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly mysql: FaultProxy;
  readonly redis: readonly FaultProxy[];
  readonly random: Random;
  readonly key: (random: Random) => string;
  /** A version of which a write was told. */
  readonly knownVersion: () => number;
  readonly checker: Checker;
}

const LANES = 3;
const PACE_MS = 12;
const AFTER_FAILURE_MS = 50;
const TIMEOUT_MS = 4_000;
const STATUS_TIMEOUT_MS = 1_500;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export class ReadApp implements ReaderPlace {
  readonly name: string;
  readonly mysql: FaultProxy;
  readonly redis: readonly FaultProxy[];
  /** Where its process stands. */
  readonly slot: AppSlot;
  readonly #agent = new Agent({ keepAlive: true });
  #reading = true;
  #lanes: Promise<void>[] = [];

  constructor(private readonly options: ReadAppOptions) {
    this.name = options.name;
    this.mysql = options.mysql;
    this.redis = options.redis;
    this.slot = new AppSlot(options.name, 'read', options.env);
  }

  get deaths(): readonly string[] {
    return this.slot.deaths;
  }

  async start(): Promise<void> {
    const beforeMs = nowMs();
    await this.slot.start();
    this.options.checker.started(this.slot.instance, beforeMs);
    if (this.#lanes.length > 0) return;
    this.#lanes = Array.from({ length: LANES }, () => this.#readOn(this.options.random.fork()));
  }

  kill(): Promise<void> {
    return this.slot.kill();
  }

  stop(): Promise<void> {
    return this.slot.stop();
  }

  pause(): void {
    this.slot.pause();
  }

  resume(): void {
    this.slot.resume();
  }

  async applied(): Promise<number | undefined> {
    const { url } = this.slot;
    if (url === undefined) return undefined;
    try {
      const { body } = await this.#get(`${url}/v1/status`, {}, STATUS_TIMEOUT_MS);
      const status = JSON.parse(body.toString()) as { applied?: number }; // docs/http.md: /v1/status
      return status.applied;
    } catch {
      return undefined; // it does not say
    }
  }

  async answers(keys: readonly string[]): Promise<Map<string, string | null>> {
    const found = new Map<string, string | null>();
    for (const key of keys) {
      const { status, body } = await this.#get(this.#pathOf(key), {}, TIMEOUT_MS);
      if (status !== 200 && status !== 404) throw new Error(`Expected '${key}', got ${status}.`);
      found.set(key, status === 404 ? null : markOf(body.toString()));
    }
    return found;
  }

  async stopReading(): Promise<void> {
    this.#reading = false;
    await Promise.all(this.#lanes);
    this.#agent.destroy();
  }

  async #readOn(random: Random): Promise<void> {
    while (this.#reading) {
      await delay(PACE_MS * (0.5 + random.next()));
      if (this.slot.url === undefined) continue;
      if (!(await this.#read(random))) await delay(AFTER_FAILURE_MS);
    }
  }

  /** @returns whether it was answered */
  async #read(random: Random): Promise<boolean> {
    const key = this.options.key(random);
    const minVersion = random.chance(0.05) ? this.options.knownVersion() : 0;
    const headers: Record<string, string> =
      minVersion > 0 ? { 'tidemark-min-version': String(minVersion) } : {};
    const reader = this.slot.instance;
    const record = { reader, key, minVersion, appliedBefore: 0, heldLocally: false };
    const startMs = nowMs();
    let answer: ReadRecord['answer'];
    try {
      answer = answerOf(await this.#get(this.#pathOf(key), headers, TIMEOUT_MS));
    } catch (error) {
      answer = { error: String(error) };
    }
    this.options.checker.read({ ...record, startMs, endMs: nowMs(), answer });
    return !('error' in answer);
  }

  #pathOf(key: string): string {
    return `${this.slot.url}/v1/configs/${key.split('/').map(encodeURIComponent).join('/')}`;
  }

  #get(url: string, headers: Record<string, string>, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const sent = get(url, { headers, agent: this.#agent, signal }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          resolve({ status, headers: response.headers, body: Buffer.concat(parts) });
        });
      });
      sent.on('error', reject);
    });
  }
}

function answerOf({ status, headers, body }: Answer): ReadRecord['answer'] {
  const asOf = Number(headers['tidemark-as-of']);
  const isAnswer = status === 200 || (status === 404 && Number.isFinite(asOf));
  if (!isAnswer) return { error: `status ${status}: ${body.toString('utf8', 0, 200)}` };
  return {
    value: status === 404 ? null : markOf(body.toString()),
    asOf,
    tier: headers['tidemark-tier'] as 'local' | 'redis' | 'mysql', // docs/http.md: Tidemark-Tier
    stale: headers['tidemark-stale'] === 'true',
  };
}
