/** The command line, as it was built, as a process. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tidemark` to its end; no terminal, nothing to read. */
export async function tidemark(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  return await started(env, ...args).ended;
}

/** The same, as a process that can be killed; its exit code is -1 then. */
export function started(
  env: Record<string, string>,
  ...args: string[]
): {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly ended: Promise<Ended>;
} {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const printed = Promise.all([text(child.stdout), text(child.stderr)]);
  const ended = (async () => {
    const [stdout, stderr] = await printed;
    const [exitCode] = await closed;
    return { exitCode: Number(exitCode ?? -1), stdout, stderr };
  })();
  return { child, ended };
}
