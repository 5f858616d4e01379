/**
 * One of the demo's own apps (`tidemark write` or `tidemark read`) as a real child process.
 *
 * It has its own process group, so that Ctrl-C reaches the demo alone, which then ends its apps in
 * order. It never outlives the demo: see exit.ts, and on Linux the kernel kills it even when the
 * demo got a SIGKILL. Settings go through the environment, because arguments are there for every
 * user of the machine to see. The end of what it prints is kept, to be shown when it fails.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TidemarkError } from '../errors.js';
import { atExit } from './exit.js';
import { onPath } from './programs.js';
import { freePort, LOOPBACK } from './server-process.js';

/** An app of the demo did not start. */
export class AppError extends TidemarkError {
  readonly code = 'app';
}

export interface AppOptions {
  /** For people: which one it is. */
  readonly name: string;
  readonly command: 'write' | 'read';
  readonly env: NodeJS.ProcessEnv;
}

/** The built CLI: this file is beside it both as source and when built, but only that one runs. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 25;
const STOP_TIMEOUT_MS = 5_000;
const OUTPUT_CHARS = 16_000;
const TAIL_LINES = 15;

const urlOf = (port: number) => `http://${LOOPBACK}:${port}`;

export class AppProcess {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** Resolves, when the process is gone, to how it ended: `exit status 1`, `SIGKILL`. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  #output = '';
  #running = true;

  private constructor(child: ChildProcess, name: string, port: number) {
    this.name = name;
    this.url = urlOf(port);
    this.pid = child.pid ?? 0; // no process: `ended` says so at once
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARS);
      });
    }
    const forget = atExit(() => child.kill('SIGKILL'));
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (status, signal) => resolve(signal ?? `exit status ${status}`));
    });
    this.ended = ended.finally(() => {
      this.#running = false;
      forget();
    });
  }

  /** Starts the app on a free port; it is not ready yet. */
  static async spawn({ name, command, env }: AppOptions): Promise<AppProcess> {
    const port = await freePort();
    const setpriv = process.platform === 'linux' ? onPath('setpriv') : undefined;
    const dyingWithParent = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL'];
    const [program = process.execPath, ...args] = [
      ...[...dyingWithParent, process.execPath],
      ...[MAIN, command],
    ];
    const child = spawn(program, args, {
      env: { ...env, HOST: LOOPBACK, PORT: String(port), ADVERTISE_URL: urlOf(port) },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new AppProcess(child, name, port);
  }

  get running(): boolean {
    return this.#running;
  }

  /** Resolves when the app says that it is ready.
   * @throws AppError with the end of its output, or what `signal` was aborted with */
  async untilReady(signal: AbortSignal): Promise<void> {
    const endMs = performance.now() + READY_TIMEOUT_MS;
    while (!(await this.#isReady(signal))) {
      if (!this.#running) throw this.#failure(`it ended with ${await this.ended}`);
      if (performance.now() > endMs) throw this.#failure(`it is not after ${READY_TIMEOUT_MS} ms`);
      await delay(READY_POLL_MS, undefined, { signal });
    }
  }

  /** Asks the app to end; kills it when it takes too long. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#child.kill('SIGTERM');
    this.#child.kill('SIGCONT'); // a paused process acts on nothing but SIGKILL
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(killer);
  }

  /** The last lines that it printed, indented. */
  get tail(): string {
    const lines = this.#output.trimEnd().split('\n').slice(-TAIL_LINES);
    return lines.map((line) => `  ${line}`).join('\n');
  }

  async #isReady(signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    try {
      const response = await fetch(`${this.url}/health/ready`, { signal });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false; // it does not listen yet; an abort is noticed by who calls
    }
  }

  #failure(what: string): AppError {
    return new AppError(
      `Expected the ${this.name} to be ready, ${what}. It printed:\n${this.tail}`,
    );
  }
}
