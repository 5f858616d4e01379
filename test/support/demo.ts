/**
 * `tidemark demo` as a child process, in a temporary folder of its own, so that what it leaves behind
 * can be found: every process that it started has that folder in its environment, or works in
 * it (Redis writes its title over its environment).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DemoDescription } from '../../src/cli/demo.js';
import { until } from './until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export class Demo {
  stdout = '';
  stderr = '';
  /** Undefined while it runs. */
  exitCode: number | null | undefined;
  readonly #child: ChildProcess;

  private constructor(
    readonly folder: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
  ) {
    this.#child = spawn(process.execPath, [MAIN, 'demo', ...args], {
      env: { ...process.env, ...env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
    this.#child.once('close', (code) => {
      this.exitCode = code;
    });
  }

  static async spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Demo> {
    return new Demo(await mkdtemp(join(tmpdir(), 'demo-test-')), args, env);
  }

  /** The line that `--json` prints when all is ready. */
  async description(): Promise<DemoDescription> {
    await until('its first line', () => this.stdout.includes('\n') || this.exitCode !== undefined);
    return JSON.parse(this.stdout.split('\n')[0] || `"${this.stderr}"`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async exited(): Promise<number | null | undefined> {
    await until('the demo to end', () => this.exitCode !== undefined);
    return this.exitCode;
  }

  /** What is still there: files in its folder, and ids of processes that it started. */
  async leftovers(): Promise<string[]> {
    return [...(await readdir(this.folder)), ...(await this.processes())];
  }

  async processes(): Promise<string[]> {
    const found: string[] = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      const here = await readlink(`/proc/${pid}/cwd`).catch(() => '');
      const isOurs = environment.split('\0').includes(`TMPDIR=${this.folder}`);
      if (isOurs || here.startsWith(`${this.folder}/`)) found.push(pid);
    }
    return found;
  }

  /** For the end of a test, whatever has become of the demo. */
  async remove(): Promise<void> {
    if (this.exitCode === undefined) this.signal('SIGTERM');
    await this.exited();
    await rm(this.folder, { recursive: true, force: true });
  }
}
