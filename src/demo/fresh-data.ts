/**
 * Data folders of new servers. Initialising one takes seconds, copying it a tenth of one: each
 * version of a server is initialised once, in the cache folder. The copy in the cache is made
 * beside its place and renamed, so that a half-made one is never used.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from './programs.js';
import type { ServerKind } from './server-kind.js';
import { ServerError } from './server-process.js';

/** Makes `folder`, with the data of a server that was never started. */
export async function copyFreshData(kind: ServerKind, folder: string): Promise<void> {
  const { mtimeMs, size } = await stat(kind.programs.binary);
  const fresh = join(cacheFolder(), 'data', `${kind.flavor}-${Math.floor(mtimeMs)}-${size}`);
  if (!(await exists(fresh))) {
    const making = `${fresh}.${process.pid}-${randomBytes(4).toString('hex')}`;
    await mkdir(making, { recursive: true, mode: 0o700 });
    try {
      await kind.initialise(making);
      await rename(making, fresh);
    } catch (cause) {
      await rm(making, { recursive: true, force: true });
      if (!(await exists(fresh))) {
        const text = `Expected to initialise a data folder for ${kind.flavor}, got an error.`;
        throw new ServerError(text, { cause });
      }
    }
  }
  // Its server's identity is not copied: each server makes its own.
  await cp(fresh, folder, {
    recursive: true,
    mode: constants.COPYFILE_FICLONE,
    filter: (source) => !source.endsWith('/auto.cnf'),
  });
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
