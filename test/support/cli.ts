/** The command line, as it was built, as a process. */
import { fileURLToPath } from 'node:url';
import { type Ended, runNode, type Started, startNode } from './node-program.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Runs `tidemark` to its end; no terminal, nothing to read. */
export async function tidemark(env: Record<string, string>, ...args: string[]): Promise<Ended> {
  return await runNode([MAIN, ...args], env);
}

/** The same, as a process that can be killed. */
export function started(env: Record<string, string>, ...args: string[]): Started {
  return startNode([MAIN, ...args], env);
}
