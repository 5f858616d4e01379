/**
 * Unpacks Debian's package of Prometheus into the cache folder, unless its programs are there: no
 * service, and nothing that the machine would notice. As for MySQL's tree, it is made beside its
 * place and renamed.
 */
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { aptGet, InstallError, isDebianLike, rootPrefix, run } from '../../src/demo/debian.js';
import { findPrometheus, prometheusTree } from './prometheus.js';

async function install(): Promise<void> {
  if (findPrometheus() !== undefined) return;
  const asRoot = rootPrefix();
  if (asRoot === undefined || !(await isDebianLike())) {
    throw new InstallError('Expected prometheus and promtool on the PATH, found none.');
  }
  const tree = prometheusTree();
  await mkdir(dirname(tree), { recursive: true });
  const building = await mkdtemp(`${tree}.building-`);
  try {
    await aptGet(asRoot, 'update');
    await run(['apt-get', 'download', 'prometheus'], { cwd: building });
    const file = (await readdir(building)).find((name) => name.endsWith('.deb')) ?? '';
    await run(['dpkg', '-x', join(building, file), join(building, 'tree')]);
    await rename(join(building, 'tree'), tree);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  if (findPrometheus() === undefined) {
    throw new InstallError(`Unpacked prometheus in ${tree}, but its programs are not there.`);
  }
}

await install();
