/**
 * `npm run setup`: makes sure that MySQL, MariaDB and Redis are on this machine.
 *
 * On Debian and Ubuntu, as root or with sudo, it installs what is missing: MariaDB and Redis are
 * the distribution's own packages; MySQL, which Debian's stable release lacks, is a small tree of
 * Debian unstable in the cache folder, which nothing else on the machine sees. The tree is built
 * beside its place and renamed, so that a half-built one is never used. It never removes a package.
 * Elsewhere it says in one line what to install. With nothing missing it only looks.
 *
 * With `--browser`, as `npm test` has it, also the distribution's Chromium. Where that cannot be had,
 * the tests of the pages are left out, and it says so; with CI=true it fails.
 */
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TidemarkError } from '../errors.js';
import { aptGet, InstallError, isDebianLike, rootPrefix, run } from './debian.js';
import { findChromium, findMariaDB, findMySQL, findRedis, mysqlTree, onPath } from './programs.js';

const MYSQL_PACKAGES = 'mysql-server-core,mysql-client-core,libaio1t64';
const NEEDED = 'MySQL 8.0.17+ (mysqld, mysql), MariaDB 10.6+ (mariadbd, mariadb), redis-server 7+';

interface Missing {
  readonly name: string;
  readonly packages: readonly string[];
}

async function install(): Promise<void> {
  const lacksMySQL = findMySQL() === undefined;
  const missing = missingServers(lacksMySQL);
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name).join(', ');
  const asRoot = rootPrefix();
  if (asRoot === undefined || !(await isDebianLike())) {
    throw new InstallError(`Expected on the PATH: ${NEEDED}; not found: ${names}. Install them.`);
  }
  const packages = missing.flatMap((one) => one.packages);
  if (packages.length > 0) await installPackages(asRoot, packages);
  if (lacksMySQL) await buildMySQLTree(asRoot);
  const still = missingServers(findMySQL() === undefined).map(({ name }) => name);
  if (still.length > 0) {
    throw new InstallError(
      `Installed, but still not found: ${still.join(', ')}. Expected ${NEEDED}.`,
    );
  }
}

async function installPackages(asRoot: readonly string[], packages: readonly string[]) {
  say(`Installing ${packages.join(', ')} ...`);
  await aptGet(asRoot, 'update');
  const options = ['-y', '--no-install-recommends', '--no-remove'];
  await aptGet(asRoot, 'install', ...options, ...packages);
}

async function installBrowser(): Promise<void> {
  if (findChromium() !== undefined) return;
  const asRoot = rootPrefix();
  try {
    if (asRoot !== undefined && (await isDebianLike())) {
      await installPackages(asRoot, ['chromium']);
    }
    if (findChromium() !== undefined) return;
    throw new InstallError('Expected chromium on the PATH, found none. Install it.');
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    say(`${String(error)}\nThe tests of the pages are left out.`);
  }
}

function missingServers(lacksMySQL: boolean): Missing[] {
  const missing: Missing[] = [];
  if (lacksMySQL) missing.push({ name: 'MySQL', packages: debootstrapPackages() });
  if (findMariaDB() === undefined) {
    missing.push({ name: 'MariaDB', packages: ['mariadb-server-core', 'mariadb-client-core'] });
  }
  if (findRedis() === undefined) missing.push({ name: 'Redis', packages: ['redis-server'] });
  return missing;
}

function debootstrapPackages(): string[] {
  // The keyring is what debootstrap checks signatures with; Ubuntu does not have it by default.
  return onPath('debootstrap') === undefined ? ['debootstrap', 'debian-archive-keyring'] : [];
}

async function buildMySQLTree(asRoot: readonly string[]): Promise<void> {
  const tree = mysqlTree();
  const building = `${tree}.building-${process.pid}`;
  say(`Installing real MySQL in ${tree} (about 650 MB, half a minute) ...`);
  await mkdir(dirname(tree), { recursive: true });
  try {
    const debootstrap = required('debootstrap');
    const what = ['--variant=minbase', `--include=${MYSQL_PACKAGES}`, 'sid', building];
    await run([...asRoot, debootstrap, ...what]);
    if (asRoot.length > 0) {
      const owner = `${process.getuid?.()}:${process.getgid?.()}`;
      await run([...asRoot, 'chown', '-R', owner, building]);
    }
    await rm(join(building, 'var/cache/apt'), { recursive: true, force: true });
    await rename(building, tree);
  } catch (error) {
    await run([...asRoot, 'rm', '-rf', '--one-file-system', building]);
    if (findMySQL() === undefined) throw error; // else another setup was quicker
  }
}

function required(program: string): string {
  const path = onPath(program);
  if (path !== undefined) return path;
  throw new InstallError(`Expected ${program} after its package was installed, found none.`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  await install();
  if (process.argv.includes('--browser')) await installBrowser();
} catch (error) {
  process.stderr.write(`${error instanceof TidemarkError ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
