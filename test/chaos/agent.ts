/**
 * The parent's side of a reader agent: a process that embeds a reader, reads, and tells each read
 * (reader-agent.mjs). It can be stopped and continued, killed, and started again as a new instance.
 *
 * Invariant: a batch is acknowledged after it was told, so that an agent is never more than a few
 * batches ahead of a parent that is slow; it slows down instead.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ReadRecord, SampleRecord } from './history.js';

const AGENT = fileURLToPath(new URL('./reader-agent.mjs', import.meta.url));
const STOP_TIMEOUT_MS = 10_000;
const ASK_TIMEOUT_MS = 30_000;
const TAIL_CHARACTERS = 4_000;

export interface AgentOptions {
  /** Settings of `createReader` that are plain data: mysql, redis (URLs), pollIntervalMs ... */
  readonly reader: {
    readonly mysql: string;
    readonly redis: string;
    readonly [setting: string]: unknown;
  };
  /** The keys to read, the most read ones first. */
  readonly keys: readonly string[];
  readonly readsPerSecond: number;
  readonly seed: number;
  /** A planted bug: answers from a memory of its own that nobody evicts. */
  readonly lying?: boolean;
  readonly onRead: (record: ReadRecord) => void;
  readonly onSample: (record: SampleRecord) => void;
  /** A process runs; its reads begin when its reader has started. */
  readonly onInstance?: (instance: string, atMs: number) => void;
}

export interface AgentStatus {
  readonly ready: boolean;
  readonly stale: boolean;
  readonly applied: number;
  readonly head: number;
  readonly ageMs: number | null;
  readonly local: { readonly entries: number; readonly fillsInFlight: number };
  readonly redis: { readonly marks: readonly { readonly version: number | null }[] };
  /** What the process has used of a processor since it began. */
  readonly cpuMs: number;
}

/** As reader-agent.mjs packs a read: an error's text, or the answer's four parts after it. */
type PackedRead = readonly [
  key: string,
  startMs: number,
  endMs: number,
  minVersion: number,
  maxStalenessMs: number | undefined,
  appliedBefore: number,
  heldLocally: boolean,
  error: string | undefined,
  value?: string | null,
  asOf?: number,
  tier?: 'local' | 'redis' | 'mysql',
  stale?: boolean,
];

type PackedSample = Omit<SampleRecord, 'reader' | 'mysqlConnections'>;

interface Message {
  readonly spawned?: number;
  readonly started?: boolean;
  readonly batch?: { readonly reads: PackedRead[]; readonly samples: PackedSample[] };
  readonly id?: number;
  readonly answer?: unknown;
  readonly error?: string;
}

interface Question {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One process, from its start to its end. */
class Instance {
  readonly spawned: Promise<number>;
  readonly started: Promise<void>;
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #questions = new Map<number, Question>();
  #asked = 0;
  #tail = '';

  constructor(
    readonly name: string,
    private readonly options: AgentOptions,
  ) {
    const { reader, keys, readsPerSecond, seed, lying = false } = options;
    const argument = JSON.stringify({ reader, keys, readsPerSecond, seed, lying });
    const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const;
    this.#child = fork(AGENT, [argument], {
      ...{ execArgv: ['--expose-gc'], serialization: 'advanced', stdio: [...stdio] },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (text: Buffer) => {
        this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS);
      });
    }
    const [spawned, started, ended] = [settler<number>(), settler<void>(), settler<string>()];
    this.spawned = spawned.promise;
    this.started = started.promise;
    this.ended = ended.promise;
    this.#child.on('message', (message: Message) => {
      if (message.spawned !== undefined) spawned.resolve(message.spawned);
      if (message.started) started.resolve();
      if (message.batch !== undefined) this.#take(message.batch);
      if (message.id !== undefined) this.#hear(message.id, message);
    });
    this.#child.on('error', () => {}); // a send to a process that is gone; `ended` tells
    this.#child.on('close', (code, signal) => {
      const how = `Expected ${name} to run, it ended with ${signal ?? code}.\n${this.#tail}`;
      spawned.reject(new Error(how));
      started.reject(new Error(how));
      for (const { reject } of this.#questions.values()) reject(new Error(how));
      this.#questions.clear();
      ended.resolve(how);
    });
    this.spawned.catch(() => undefined); // who waits for it hears of it; perhaps no one does
    this.started.catch(() => undefined);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  tell(message: object): void {
    if (this.#child.connected) this.#child.send(message, () => undefined); // `ended` tells failures
  }

  ask(ask: string, question: object = {}): Promise<unknown> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      const late = () =>
        reject(new Error(`Expected an answer of ${this.name} to ${ask}, got none.`));
      const timer = setTimeout(late, ASK_TIMEOUT_MS);
      const settled = () => {
        clearTimeout(timer);
        this.#questions.delete(id);
      };
      this.#questions.set(id, {
        resolve: (answer) => {
          settled();
          resolve(answer);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      if (this.#child.connected) this.tell({ id, ask, ...question });
      else this.#hear(id, { error: `${this.name} has ended` });
    });
  }

  #hear(id: number, message: Message): void {
    const question = this.#questions.get(id);
    if (message.error === undefined) question?.resolve(message.answer);
    else question?.reject(new Error(message.error));
  }

  #take({ reads, samples }: NonNullable<Message['batch']>): void {
    for (const packed of reads) this.options.onRead(unpacked(this.name, packed));
    for (const sample of samples) {
      this.options.onSample({ reader: this.name, ...sample, mysqlConnections: -1 });
    }
    this.tell({ acked: true });
  }
}

export class ReaderAgent {
  /** Ends that nobody asked for: a finding. */
  readonly deaths: string[] = [];
  #instance: Instance | undefined;
  #instances = 0;
  /** Acked writes on their way to the process. */
  #wrote: { key: string; version: number }[] = [];

  private constructor(
    readonly name: string,
    private readonly options: AgentOptions,
  ) {}

  /** Resolves when the process runs; `started` when its reader has heard from MySQL-B. */
  static async start(name: string, options: AgentOptions): Promise<ReaderAgent> {
    const agent = new ReaderAgent(name, options);
    await agent.restart();
    return agent;
  }

  /** `reader-2#3`: the third process in this place. */
  get instance(): string {
    return `${this.name}#${this.#instances}`;
  }

  get running(): boolean {
    return this.#instance !== undefined;
  }

  /** A new process, after the one before was killed if it still runs. */
  async restart(): Promise<void> {
    await this.kill();
    this.#instances += 1;
    const seed = this.options.seed + this.#instances;
    const instance = new Instance(this.instance, { ...this.options, seed });
    this.#instance = instance;
    void instance.ended.then((how) => {
      if (this.#instance !== instance) return;
      this.#instance = undefined;
      this.deaths.push(how);
    });
    this.options.onInstance?.(instance.name, await instance.spawned);
  }

  /** Resolves when the reader of the process has started. */
  async started(): Promise<void> {
    await this.#running().started;
  }

  /** SIGSTOP. */
  pause(): void {
    this.#instance?.signal('SIGSTOP');
  }

  /** SIGCONT. */
  resume(): void {
    this.#instance?.signal('SIGCONT');
  }

  /** SIGKILL. Resolves when the process is gone and all that it had sent was told. */
  async kill(): Promise<void> {
    const instance = this.#instance;
    this.#instance = undefined;
    instance?.signal('SIGKILL');
    await instance?.ended;
  }

  /** An orderly end; SIGKILL if that takes too long. */
  async stop(): Promise<void> {
    const instance = this.#instance;
    if (instance === undefined) return;
    this.#instance = undefined;
    const timer = setTimeout(() => instance.signal('SIGKILL'), STOP_TIMEOUT_MS);
    await instance.ask('stop').catch(() => undefined); // it has ended, or will
    await instance.ended;
    clearTimeout(timer);
  }

  async status(): Promise<AgentStatus> {
    return (await this.#running().ask('status')) as AgentStatus; // reader-agent.mjs says so
  }

  /** What the reader answers for each key now. */
  async dump(keys: readonly string[]): Promise<Map<string, string | null>> {
    const found = await this.#running().ask('dump', { keys });
    return new Map(found as [string, string | null][]); // reader-agent.mjs says so
  }

  /** Moves the process' wall clock, and only that. */
  async clockJump(byMs: number): Promise<void> {
    await this.#running().ask('clockJump', { byMs });
  }

  /** Resolves when no read is under way and all were told. */
  async stopReading(): Promise<void> {
    await this.#running().ask('stopReading');
  }

  async startReading(): Promise<void> {
    await this.#running().ask('startReading');
  }

  /** An acked write: some reads will demand its version. */
  wrote(key: string, version: number): void {
    if (this.#wrote.push({ key, version }) > 1) return;
    setTimeout(() => this.#instance?.tell({ wrote: this.#wrote.splice(0) }), 50).unref();
  }

  /** The versions that were told are of a history that is gone. */
  forgetWrites(): void {
    this.#wrote = [];
    this.#instance?.tell({ forget: true });
  }

  #running(): Instance {
    if (this.#instance !== undefined) return this.#instance;
    throw new Error(`Expected ${this.name} to run, it does not.`);
  }
}

/** A promise, and what settles it. */
function settler<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

function unpacked(reader: string, packed: PackedRead): ReadRecord {
  const [key, startMs, endMs, minVersion, maxStalenessMs, appliedBefore, heldLocally] = packed;
  const [, , , , , , , error, value = null, asOf = 0, tier = 'local', stale = false] = packed;
  const bound = maxStalenessMs === undefined ? {} : { maxStalenessMs };
  const answer = error === undefined ? { value, asOf, tier, stale } : { error };
  const read = { reader, key, startMs, endMs, minVersion, ...bound, appliedBefore, heldLocally };
  return { ...read, answer };
}
