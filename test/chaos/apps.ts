/**
 * One place in a run for a process of Tidemark: it is killed, paused, stopped and started again, and
 * has another instance each time. What one prints at the end of its life is kept for the report.
 */
import { AppProcess } from '../../src/demo/app-process.js';
import type { MemoryRecord } from './history.js';
import { nowMs } from './now.js';

const METRICS_TIMEOUT_MS = 1_500;

export class AppSlot {
  #app: AppProcess | undefined;
  #instances = 0;
  /** Ends that nobody asked for: a finding. */
  readonly deaths: string[] = [];

  constructor(
    readonly name: string,
    private readonly command: 'write' | 'read',
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** `write-1#2`: the second process in this place. */
  get instance(): string {
    return `${this.name}#${this.#instances}`;
  }

  get url(): string | undefined {
    return this.#app?.running ? this.#app.url : undefined;
  }

  /** Starts a process, which may not be ready yet. */
  async start(): Promise<void> {
    const app = await AppProcess.spawn({ name: this.name, command: this.command, env: this.env });
    this.#instances += 1;
    this.#app = app;
    const { instance } = this;
    void app.ended.then((how) => {
      if (this.#app === app) this.deaths.push(`${instance} ended with ${how}:\n${app.tail}`);
    });
  }

  async untilReady(): Promise<void> {
    await this.#app?.untilReady(new AbortController().signal);
  }

  async kill(): Promise<void> {
    const app = this.#take();
    if (app === undefined) return;
    signal(app.pid, 'SIGKILL');
    await app.ended;
  }

  async stop(): Promise<void> {
    await this.#take()?.stop();
  }

  pause(): void {
    if (this.#app !== undefined) signal(this.#app.pid, 'SIGSTOP');
  }

  resume(): void {
    if (this.#app !== undefined) signal(this.#app.pid, 'SIGCONT');
  }

  /** What its process says of itself; undefined when it does not answer. */
  async memory(): Promise<MemoryRecord | undefined> {
    const { instance, url } = this;
    if (url === undefined) return undefined;
    try {
      const signal = AbortSignal.timeout(METRICS_TIMEOUT_MS);
      const text = await (await fetch(`${url}/metrics`, { signal })).text();
      const [rssBytes, heapUsedBytes] = [
        metricIn(text, 'process_resident_memory_bytes'),
        metricIn(text, 'nodejs_heap_size_used_bytes'),
      ];
      return { instance, atMs: nowMs(), rssBytes, heapUsedBytes };
    } catch {
      return undefined; // it is frozen, or has just ended
    }
  }

  /** From here on its end is no surprise. */
  #take(): AppProcess | undefined {
    const app = this.#app;
    this.#app = undefined;
    return app;
  }
}

function metricIn(text: string, name: string): number {
  const value = Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  if (Number.isFinite(value)) return value;
  throw new Error(`Expected a metric ${name}, got none.`);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself: `deaths` has it.
  }
}
