/** Takes old changes out of the log in data center A, unless a reader has not taken them in yet. */
import type { Connection } from 'mysql2/promise';
import type { Announcement } from '../core/announcement.js';
import { TidemarkError } from '../errors.js';
import {
  boundaryByAge,
  boundaryByCount,
  countBefore,
  PRUNE_ROWS,
  removeOldest,
} from '../writer/pruning.js';

export type Kept = { readonly olderThanHours: number } | { readonly keepVersions: number };

export interface PruneOptions {
  /** To MySQL-A, at READ COMMITTED. */
  readonly connection: Connection;
  readonly kept: Kept;
  /** Those who run; undefined when nobody could say. */
  readonly readers: readonly Announcement[] | undefined;
  /** Also past readers that have not taken it in. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

export interface Pruned {
  /** The oldest change that stays. */
  readonly boundary: number;
  /** Changes that were removed, or would have been. */
  readonly removed: number;
  /** Who has taken in the least, if anyone runs. */
  readonly slowest: { readonly id: string; readonly applied: number } | null;
}

/** A reader still needs what would be removed. */
export class ReaderBehindError extends TidemarkError {
  readonly code = 'reader_behind';
}

/** @throws ReaderBehindError when a reader would have to start again with an empty cache */
export async function prune(options: PruneOptions): Promise<Pruned> {
  const { connection, kept, readers = [], force, dryRun } = options;
  const boundary =
    'keepVersions' in kept
      ? await boundaryByCount(connection, kept.keepVersions)
      : await boundaryByAge(connection, kept.olderThanHours * 3_600);
  const [first] = readers.toSorted((one, other) => one.applied - other.applied);
  const slowest = first === undefined ? null : { id: first.id, applied: first.applied };
  const rows = await countBefore(connection, boundary);
  // The row at which a reader stands is what its position is checked against.
  if (slowest !== null && rows > 0 && boundary > slowest.applied && !force) {
    throw new ReaderBehindError(
      `Expected readers that need none of the ${rows} changes before version ${boundary}, got ` +
        `${slowest.id} at version ${slowest.applied}. Wait for it (tidemark status), keep more, ` +
        'or use --force: it then starts again with an empty cache.',
    );
  }
  const removed = dryRun ? rows : await removeAll(connection, boundary, rows);
  return { boundary, removed, slowest };
}

/** The write app may be pruning, too: what is gone is not looked for. */
async function removeAll(connection: Connection, boundary: number, rows: number): Promise<number> {
  let removed = 0;
  for (let left = rows; left > 0; left -= PRUNE_ROWS) {
    removed += await removeOldest(connection, boundary, Math.min(left, PRUNE_ROWS));
  }
  return removed;
}
