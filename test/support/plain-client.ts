/** The plain command-line client of a flavor: how a DBA applies a file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Flavor } from '../../src/demo/data-centers.js';
import { findMariaDB, findMySQL, required } from '../../src/demo/programs.js';

/** `mysql DATABASE < script`; resolves to what it printed, rejects with its error. */
export async function plainClient(flavor: Flavor, url: string, script: string): Promise<string> {
  const programs = flavor === 'mysql' ? findMySQL() : findMariaDB();
  const { command, args } = required(programs, flavor).client;
  const { hostname, port, username, password, pathname } = new URL(url);
  const account = [`--host=${hostname}`, `--port=${port}`, `--user=${username}`];
  const key = flavor === 'mysql' ? ['--get-server-public-key'] : [];
  const child = spawn(command, [...args, ...account, ...key, '--batch', pathname.slice(1)], {
    env: { ...process.env, MYSQL_PWD: password },
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  child.stdin.end(script);
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`Expected ${command} to succeed, got ${status}: ${errors}`);
  return output;
}
