/**
 * One place in a run for a process of Tidemark: it is killed, paused, stopped and started again, and
 * has another instance each time. What one prints at the end of its life is kept for the report.
 */
import { AppProcess } from '../../src/demo/app-process.js';

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

  /** From here on its end is no surprise. */
  #take(): AppProcess | undefined {
    const app = this.#app;
    this.#app = undefined;
    return app;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself: `deaths` has it.
  }
}
