/** A read app of another version of Tidemark: this one, built, under another version's name. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { freePort, LOOPBACK } from '../../src/demo/server-process.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** It runs until the test is over. @returns its process id */
export async function startOtherVersion(
  version: string,
  urls: { readonly b: string; readonly redis: string },
): Promise<number | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-version-'));
  for (const name of ['dist', 'migrations']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const described = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  await writeFile(join(folder, 'package.json'), JSON.stringify({ ...described, version }));
  const child = spawn(process.execPath, [join(folder, 'dist/cli/main.js'), 'read'], {
    env: {
      ...process.env,
      ...{ MYSQL_B_URL: urls.b, REDIS_URL: urls.redis, LOG_LEVEL: 'silent' },
      ...{ HOST: LOOPBACK, PORT: String(await freePort()) },
    },
    stdio: 'ignore',
  });
  const gone = once(child, 'close');
  onTestFinished(async () => {
    child.kill();
    await gone;
    await rm(folder, { recursive: true, force: true });
  });
  return child.pid;
}
