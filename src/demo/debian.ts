/**
 * What it takes to install something on Debian and its like: who may, with which command, and what
 * to say when it fails.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { TidemarkError } from '../errors.js';
import { onPath } from './programs.js';

/** A program could not be installed. */
export class InstallError extends TidemarkError {
  readonly code = 'install';
}

const OUTPUT_TAIL_LINES = 15;
const PATIENT = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];

/** What to put before a command that needs root; undefined when there is no way to be root. */
export function rootPrefix(): string[] | undefined {
  if (process.getuid?.() === 0) return [];
  const sudo = onPath('sudo');
  if (sudo === undefined) return undefined;
  return process.stdin.isTTY ? [sudo] : [sudo, '-n'];
}

export async function isDebianLike(): Promise<boolean> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(release) && onPath('apt-get') !== undefined;
}

/** Runs apt-get, which waits for others that use it. */
export async function aptGet(asRoot: readonly string[], ...args: readonly string[]): Promise<void> {
  await run([...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...PATIENT, ...args]);
}

/** Runs a command; its output is shown only when it fails, and then its end. */
export async function run(
  [command, ...args]: readonly string[],
  { cwd }: { readonly cwd?: string } = {},
): Promise<void> {
  if (command === undefined) throw new InstallError('Expected a command, got none.');
  const stdin = process.stdin.isTTY ? 'inherit' : 'ignore'; // sudo may ask for a password
  const child = spawn(command, args, { cwd, stdio: [stdin, 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk) => (output += chunk));
  child.stderr?.on('data', (chunk) => (output += chunk));
  const status = await new Promise<string | number | null>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  if (status === 0) return;
  const tail = output.trimEnd().split('\n').slice(-OUTPUT_TAIL_LINES).join('\n  ');
  throw new InstallError(
    `Expected \`${[command, ...args].join(' ')}\` to succeed, it ended with ${status}:\n  ${tail}`,
  );
}
