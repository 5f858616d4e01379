/**
 * Finds the programs of the three servers, and of their plain clients.
 *
 * Real MySQL is looked for as a Debian tree in the cache folder (built by install.ts; it is run
 * through its own loader, so that its libraries need not be this machine's), then on the PATH.
 * A `mysqld` that is MariaDB under its old name does not count.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';
import { TidemarkError } from '../errors.js';

/** A server program is not on this machine. */
export class MissingProgramError extends TidemarkError {
  readonly code = 'missing_program';
}

export interface Program {
  readonly command: string;
  /** What comes before every other argument. */
  readonly args: readonly string[];
}

export interface DatabasePrograms {
  readonly server: Program;
  readonly client: Program;
  /** The file whose change means another version of the server. */
  readonly binary: string;
}

const EXTRA_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin', '/usr/local/bin'];

/** Where Tidemark keeps what is costly to make: the MySQL tree, fresh data folders. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidemark');
}

/** The tree that holds real MySQL; TIDEMARK_MYSQL_ROOT names another one. */
export function mysqlTree(): string {
  return process.env.TIDEMARK_MYSQL_ROOT || join(cacheFolder(), 'mysql');
}

/** Real MySQL, or undefined when it is not on this machine. */
export function findMySQL(): DatabasePrograms | undefined {
  return mysqlInTree(mysqlTree()) ?? mysqlOnPath();
}

/** MariaDB, or undefined when it is not on this machine. */
export function findMariaDB(): DatabasePrograms | undefined {
  const server = onPath('mariadbd');
  const client = onPath('mariadb');
  if (server === undefined || client === undefined) return undefined;
  if (onPath('mariadb-install-db') === undefined) return undefined;
  return {
    server: plain(server, ['--no-defaults']),
    client: plain(client, ['--no-defaults']),
    binary: server,
  };
}

/** Redis, or undefined when it is not on this machine. */
export function findRedis(): Program | undefined {
  const server = onPath('redis-server');
  return server === undefined ? undefined : plain(server);
}

/** Chromium, or undefined when it is not on this machine; TIDEMARK_CHROMIUM names another one. */
export function findChromium(): string | undefined {
  const names = [process.env.TIDEMARK_CHROMIUM ?? '', 'chromium', 'chromium-browser'];
  return names
    .filter(Boolean)
    .map((name) => onPath(name))
    .find((path) => path !== undefined);
}

/** The program, or an error that says how to get it. */
export function required<T>(program: T | undefined, name: string): T {
  if (program !== undefined) return program;
  throw new MissingProgramError(
    `Expected ${name} on this machine, found none. Run \`npm run setup\`.`,
  );
}

/** The absolute path of a program, or undefined.
 * @param before folders to look into before those of PATH */
export function onPath(name: string, before: readonly string[] = []): string | undefined {
  if (isAbsolute(name)) return isExecutable(name) ? name : undefined;
  const folders = [...before, ...(process.env.PATH ?? '').split(delimiter), ...EXTRA_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function plain(command: string, args: readonly string[] = []): Program {
  return { command, args };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const LOADERS: Partial<Record<NodeJS.Architecture, readonly [loader: string, triplet: string]>> = {
  x64: ['lib64/ld-linux-x86-64.so.2', 'x86_64-linux-gnu'],
  arm64: ['lib/ld-linux-aarch64.so.1', 'aarch64-linux-gnu'],
};

function mysqlInTree(tree: string): DatabasePrograms | undefined {
  const [loader, triplet] = LOADERS[process.arch] ?? [];
  const binary = join(tree, 'usr/sbin/mysqld');
  if (loader === undefined || triplet === undefined || !isExecutable(binary)) return undefined;
  const libraries = [`usr/lib/${triplet}`, 'usr/lib/mysql/private'].map((path) => join(tree, path));
  const run = (program: string, ...args: string[]): Program => ({
    command: join(tree, loader),
    args: ['--library-path', libraries.join(':'), join(tree, program), '--no-defaults', ...args],
  });
  return {
    server: run(
      'usr/sbin/mysqld',
      `--basedir=${join(tree, 'usr')}`,
      `--lc-messages-dir=${join(tree, 'usr/share/mysql')}`,
      `--plugin-dir=${join(tree, 'usr/lib/mysql/plugin')}`,
    ),
    client: run('usr/bin/mysql', `--plugin-dir=${join(tree, 'usr/lib/mysql/plugin')}`),
    binary,
  };
}

function mysqlOnPath(): DatabasePrograms | undefined {
  const server = onPath('mysqld');
  const client = onPath('mysql');
  if (server === undefined || client === undefined) return undefined;
  const { stdout } = spawnSync(server, ['--no-defaults', '--version'], { encoding: 'utf8' });
  if (typeof stdout !== 'string' || stdout === '' || /mariadb/i.test(stdout)) return undefined;
  return {
    server: plain(server, ['--no-defaults']),
    client: plain(client, ['--no-defaults']),
    binary: server,
  };
}
