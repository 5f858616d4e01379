/**
 * The command line in a real terminal of 80 columns and 24 rows: what a person types, and what is
 * shown. `script` of util-linux makes it; on Debian and Ubuntu it is part of every installation.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { onTestFinished } from 'vitest';
import { MissingProgramError, onPath } from '../../src/demo/programs.js';
import { until } from './until.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const CTRL_C = '\u0003';
export const CTRL_D = '\u0004';

/** Other systems have a `script` that takes other arguments. */
function findScript(): string | undefined {
  const script = onPath('script');
  const options = { encoding: 'utf8' } as const;
  const isLinux = script !== undefined && spawnSync(script, ['--version'], options).stdout;
  return isLinux && /util-linux/.test(isLinux) ? script : undefined;
}

const script = findScript();
/** Without it the tests are left out; with CI=true they fail instead. */
export const hasTerminals = script !== undefined || process.env.CI === 'true';
if (!hasTerminals) {
  console.warn('No `script` of util-linux on this machine: the tests in a terminal are left out.');
}

export class Terminal {
  /** All that came, with the sequences that a terminal obeys. */
  output = '';
  #exitCode: number | undefined;
  readonly #child: ChildProcess;

  /** Runs `tidemark`, to the end of the test at most. */
  constructor(env: Record<string, string>, ...args: readonly string[]) {
    const words = [process.execPath, MAIN, ...args].map((word) => `'${word}'`); // none has a quote
    const command = `stty rows 24 cols 80; exec ${words.join(' ')}`;
    const options = ['--quiet', '--return', '--flush', '--echo', 'never', '--command', command];
    if (script === undefined) throw missing();
    this.#child = spawn(script, [...options, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh', NO_COLOR: '1', CI: '', ...env },
      stdio: ['pipe', 'pipe', 'ignore'], // of the terminal both outputs come in one
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.output += text;
    });
    this.#child.once('close', (code, signal) => {
      this.#exitCode = code ?? Number(signal !== null);
    });
    onTestFinished(async () => {
      if (this.#exitCode === undefined) this.#child.kill();
      await this.ended();
    });
  }

  /** What a person could read of it. */
  get text(): string {
    return stripVTControlCharacters(this.output).replaceAll('\r', '');
  }

  /** Whether its cursor is to be seen, and a long line goes on in the next: as a shell wants it. */
  get isAsItWas(): boolean {
    const last = (kind: number) => this.output.match(modes(kind))?.at(-1)?.at(-1) ?? 'h';
    return last(25) === 'h' && last(7) === 'h';
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  async shows(text: RegExp): Promise<void> {
    await until(`${text} in ${JSON.stringify(this.output)}`, () => text.test(this.text));
  }

  /** The exit code; of a signal 128 and its number, as in a shell. */
  async ended(): Promise<number> {
    await until('the command to end', () => this.#exitCode !== undefined);
    return this.#exitCode ?? -1;
  }
}

function missing(): MissingProgramError {
  return new MissingProgramError(
    'Expected `script` of util-linux on this machine, found none. On Debian and Ubuntu it is in the ' +
      'package bsdutils.',
  );
}

/** Such as `ESC [ ? 25 l`, which hides the cursor. */
function modes(kind: number): RegExp {
  return new RegExp(`\\[\\?${kind}[hl]`, 'g');
}
