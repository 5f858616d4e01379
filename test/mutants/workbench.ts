/**
 * The workbench: a temporary folder with the product and the simulation as plain JavaScript, and a
 * copy of it for each mutant. The repository itself is never touched.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import { filesOf, type Mutant, planted } from './mutant.js';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDERS = ['src', 'test/simulation', 'test/support', 'test/mutants'];
const TARGET = { format: 'esm', platform: 'node', target: 'node20' } as const;

export class Workbench {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(): Promise<Workbench> {
    const bench = new Workbench(await mkdtemp(join(tmpdir(), 'tidemark-mutants-')));
    await bench.#prepare();
    return bench;
  }

  /** The product as it is. */
  get unmodified(): string {
    return join(this.#folder, 'unmodified');
  }

  /** A folder with the product and the bug in it. */
  async plant(mutant: Mutant): Promise<string> {
    const folder = join(this.#folder, mutant.name);
    await cp(this.unmodified, folder, { recursive: true, verbatimSymlinks: true });
    for (const { file, code } of await compiled(mutant)) await writeFile(join(folder, file), code);
    return folder;
  }

  /** A folder with all sources and tests, for Vitest; with the bug in it when there is one. */
  async plantSources(mutant: Mutant | undefined): Promise<string> {
    const folder = await mkdtemp(join(this.#folder, 'sources-'));
    for (const part of ['src', 'test', 'migrations', 'package.json', 'tsconfig.json']) {
      await cp(join(ROOT, part), join(folder, part), { recursive: true });
    }
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    if (mutant === undefined) return folder;
    for (const file of filesOf(mutant)) {
      const source = await readFile(join(ROOT, file), 'utf8');
      await writeFile(join(folder, file), planted(mutant, file, source));
    }
    return folder;
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #prepare(): Promise<void> {
    const files = (await Promise.all(FOLDERS.map(filesIn))).flat();
    const entryPoints = files.filter((file) => /(?<!\.test)\.ts$/.test(file));
    await build({
      ...TARGET,
      entryPoints,
      absWorkingDir: ROOT,
      outbase: ROOT,
      outdir: this.unmodified,
      logLevel: 'error',
    });
    for (const file of [...files.filter((each) => each.endsWith('.lua')), 'package.json']) {
      await mkdir(dirname(join(this.unmodified, file)), { recursive: true });
      await cp(join(ROOT, file), join(this.unmodified, file));
    }
    await symlink(join(ROOT, 'node_modules'), join(this.unmodified, 'node_modules'));
  }
}

/** The mutant's files as the workbench keeps them. */
export async function compiled(mutant: Mutant): Promise<{ file: string; code: string }[]> {
  return await Promise.all(
    filesOf(mutant).map(async (file) => {
      const source = planted(mutant, file, await readFile(join(ROOT, file), 'utf8'));
      if (!file.endsWith('.ts')) return { file, code: source };
      const { code } = await transform(source, { ...TARGET, loader: 'ts' });
      return { file: file.replace(/\.ts$/, '.js'), code };
    }),
  );
}

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
  return found
    .filter((each) => each.isFile() && basename(each.name) !== '')
    .map((each) => join(each.parentPath, each.name).slice(ROOT.length));
}
