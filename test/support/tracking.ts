/** Tracks a table of a test's database, as `tidemark track` and `tidemark migrate --dir` do. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type TrackCommandOptions, trackCommand } from '../../src/cli/track.js';
import type { Collection } from '../../src/core/collection.js';
import { parseCollections } from '../../src/core/collections-text.js';
import { migrate } from '../../src/mysql/migrate.js';
import { connected, query } from './data-centers.js';

export type Tracking = Omit<Partial<TrackCommandOptions>, 'url'> & { readonly table: string };

/** An empty folder, gone after the test. */
export async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-track-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes the migration into `out`. @returns what the command printed */
export async function written(url: string, out: string, wish: Tracking): Promise<string> {
  const lines: string[] = [];
  await trackCommand({
    ...{ url, out, key: ['id'], value: ['value'], versionColumn: 'version', algorithm: 'instant' },
    ...wish,
    print: (line) => lines.push(line),
  });
  return lines.join('\n');
}

/** The collection that the command printed, for COLLECTIONS. */
export function collectionIn(printed: string): Collection {
  const [, text = ''] = /COLLECTIONS='configs; (.*)'$/m.exec(printed) ?? [];
  const [collection] = parseCollections(text);
  if (collection === undefined) throw new Error(`Expected a collection in ${printed}`);
  return collection;
}

/** The right for readers that the command printed. */
export function grantIn(printed: string): string {
  const [grant] = /GRANT SELECT ON .*(?=;$)/m.exec(printed) ?? [];
  if (grant === undefined) throw new Error(`Expected a GRANT in ${printed}`);
  return grant;
}

/** Creates a table and tracks it; readers may read it. */
export async function tracked(
  url: string,
  { create, out, ...wish }: Tracking & { readonly create: string },
): Promise<Collection> {
  const folder = out ?? (await ownFolder());
  await query(url, create);
  const printed = await written(url, folder, wish);
  await connected(url, (connection) => migrate(connection, { dir: folder }));
  await query(url, grantIn(printed));
  return collectionIn(printed);
}

/** What the log has after `version`: `insert 7`, `delete a`, one for each row. */
export async function logAfter(url: string, version: number): Promise<string[]> {
  const rows = await query(
    url,
    'SELECT op, row_key FROM config_changes WHERE version > ? ORDER BY version',
    [version],
  );
  return rows.map(({ op, row_key }) => `${op} ${row_key}`);
}

export async function fileIn(folder: string, name: string): Promise<string> {
  return await readFile(join(folder, name), 'utf8');
}
