/**
 * The package as npm makes it: what is in it, and that a stranger's project can import it, find its
 * types and run its command, with the packages that it declares and no others. Needs `npm run build`.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));

let folder: string;
let tarball: string;
let contents: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const { stdout } = await run('npm', args, { cwd: ROOT });
  const [packed]: { filename: string; files: { path: string }[] }[] = JSON.parse(stdout);
  if (packed === undefined) throw new Error('Expected npm pack to name a file, got none');
  tarball = join(folder, packed.filename);
  contents = packed.files.map(({ path }) => path);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The files below a folder of the repository, by their paths in it. */
async function filesIn(name: string): Promise<string[]> {
  const entries = await readdir(join(ROOT, name), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
}

test('has what was built from src, the SQL, the files for operators and the documents', async () => {
  const built = (await filesIn('src')).flatMap((path) => {
    const inDist = path.replace(/^src/, 'dist');
    if (!path.endsWith('.ts')) return [inDist]; // Lua
    return [inDist.replace(/\.ts$/, '.js'), inDist.replace(/\.ts$/, '.d.ts')];
  });
  const others = (await Promise.all(['docs', 'migrations', 'ops'].map(filesIn))).flat();
  const root = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
  expect(contents.toSorted()).toEqual([...built, ...others, ...root].toSorted());
});

test('is in order for publint', async () => {
  const bytes = await readFile(tarball);
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const { messages } = await publint({ pack: { tarball: data as ArrayBuffer }, strict: true }); // own bytes
  expect(messages).toEqual([]);
});

test('has types that each way of importing an ES module finds', async () => {
  const attw = join(ROOT, 'node_modules/.bin/attw');
  const args = [tarball, '--profile', 'esm-only', '--format', 'json', '--no-color'];
  const { stdout } = await run(attw, args); // it ends with an error when there are problems
  const { analysis }: { analysis: { entrypoints: object } } = JSON.parse(stdout);
  expect(Object.keys(analysis.entrypoints)).toEqual(['.', './http', './package.json']);
});

describe('in a project of its own', () => {
  let project: string;

  // As `npm install` would, without a registry: the declared packages and what they bring.
  beforeAll(async () => {
    project = join(folder, 'project');
    const installed = join(project, 'node_modules/tidemark');
    await mkdir(installed, { recursive: true });
    await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed]);
    const own: { dependencies: object } = JSON.parse(
      await readFile(join(installed, 'package.json'), 'utf8'),
    );
    for (const name of Object.keys(own.dependencies)) {
      const place = join(project, 'node_modules', name);
      await mkdir(dirname(place), { recursive: true });
      await symlink(join(ROOT, 'node_modules', name), place);
    }
    await writeFile(join(project, 'package.json'), '{ "type": "module" }');
  });

  test('its parts can be imported, and nothing else', async () => {
    const code = `
      const { createReader, Writer } = await import('tidemark');
      const { readApp, writeApp } = await import('tidemark/http');
      const inner = await import('tidemark/dist/reader/reader.js').catch((error) => error.code);
      console.log([createReader, Writer, readApp, writeApp].map((one) => typeof one), inner);`;
    const { stdout } = await run('node', ['--input-type=module', '-e', code], { cwd: project });
    expect(stdout.trim().replaceAll(/\s+/g, ' ')).toBe(
      "[ 'function', 'function', 'function', 'function' ] ERR_PACKAGE_PATH_NOT_EXPORTED",
    );
  });

  test('its command runs, and finds the migrations', async () => {
    const main = join(project, 'node_modules/tidemark/dist/cli/main.js');
    const { stdout } = await run('node', [main, '--help'], { cwd: project });
    expect(stdout).toContain('Usage: tidemark');
    const env = { ...process.env, MYSQL_A_URL: 'mysql://u:p@127.0.0.1:1/d' };
    const failure = run('node', [main, 'migrate', '--dry-run'], { cwd: project, env });
    await expect(failure).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('ECONNREFUSED'),
    });
    const sql = await readdir(join(project, 'node_modules/tidemark/migrations'));
    expect(sql).toContain('0001_log.sql');
  });
});
