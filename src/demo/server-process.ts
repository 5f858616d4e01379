/**
 * One server as a child process: start, wait until it answers, stop, kill, pause, resume.
 *
 * The server is in its own process group, so that a Ctrl-C in the terminal does not reach it before
 * its owner has decided how to stop. It never outlives its owner: see exit.ts, and on Linux the
 * kernel kills it even when the owner got a SIGKILL. What it prints goes to `<folder>/<name>.log`;
 * an error shows the end of that log.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TidemarkError } from '../errors.js';
import { atExit } from './exit.js';
import { onPath, type Program } from './programs.js';

/** A server did not start, or did not do what it was told. */
export class ServerError extends TidemarkError {
  readonly code = 'server';
}

export const LOOPBACK = '127.0.0.1';
const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 25;
const LOG_TAIL_LINES = 15;

export interface ServerProcessOptions {
  readonly name: string;
  readonly folder: string;
  readonly program: Program;
  /** Resolves when the server answers; rejects while it does not. */
  readonly answers: () => Promise<unknown>;
}

export class ServerProcess {
  #child: ChildProcess | undefined;
  #forget: () => void = () => {};

  constructor(private readonly options: ServerProcessOptions) {}

  /** Starts the server unless it runs, and resolves when it answers. */
  async start(args: readonly string[]): Promise<void> {
    if (this.#child !== undefined) return;
    const { name, folder, program } = this.options;
    const log = openSync(this.#logFile, 'a', 0o600);
    const [command, ...before] = dyingWithParent(program);
    const child = spawn(command, [...before, ...program.args, ...args], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    this.#forget = atExit(() => child.kill('SIGKILL'));
    child.once('exit', () => this.#gone(child));
    child.once('error', () => this.#gone(child)); // it could not be spawned: there is no exit
    try {
      await this.#untilAnswers(child);
    } catch (cause) {
      await this.kill();
      const text = `Expected ${name} to start, got:\n${await this.logTail()}`;
      throw new ServerError(`${text}\nThe whole log is in ${this.#logFile}.`, { cause });
    }
  }

  /** Asks the server to shut down (SIGTERM); kills it when it takes too long. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM', STOP_TIMEOUT_MS);
  }

  /** SIGKILL: the server has no chance to save anything. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', STOP_TIMEOUT_MS);
  }

  /** SIGSTOP: connections stay open, nothing answers. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** The last lines of the server's log. */
  async logTail(): Promise<string> {
    const text = await readFile(this.#logFile, 'utf8').catch(() => '');
    const lines = text.trimEnd().split('\n').slice(-LOG_TAIL_LINES);
    return lines.map((line) => `  ${line}`).join('\n');
  }

  get #logFile(): string {
    return join(this.options.folder, `${this.options.name}.log`);
  }

  #gone(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#forget();
  }

  async #untilAnswers(child: ChildProcess): Promise<void> {
    const endMs = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      if (this.#child !== child) throw new ServerError(`${this.options.name} ended while starting`);
      try {
        return void (await this.options.answers());
      } catch (error) {
        if (performance.now() > endMs) throw error;
      }
      await delay(READY_POLL_MS);
    }
  }

  async #end(signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    child.kill('SIGCONT'); // a paused process acts on nothing but SIGKILL
    const killer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    await exited;
    clearTimeout(killer);
  }
}

/** Linux only: lets the kernel kill the program when the parent is gone, whatever ended it. */
function dyingWithParent({ command }: Program): [string, ...string[]] {
  const setpriv = process.platform === 'linux' ? onPath('setpriv') : undefined;
  return setpriv === undefined ? [command] : [setpriv, '--pdeathsig', 'KILL', command];
}

// Below the range from which systems take the ports of outgoing connections, so that a server that
// is down for a while finds its port free when it starts again.
const PORTS = { first: 20_000, count: 12_000 };
const given = new Set<number>();

/** A port on which nothing listens, never given twice by this process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return await new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, LOOPBACK, () => probe.close(() => resolve(true)));
  });
}
