/** `tidemark prune`: takes old changes out of the log in data center A. */
import type { Announcement } from '../core/announcement.js';
import type { SettingsOf } from '../env.js';
import { InvalidOptionsError, TidemarkError } from '../errors.js';
import { type Kept, type Pruned, prune } from '../fleet/prune.js';
import { explainMysqlFault } from '../mysql/fault.js';
import { openPool } from '../mysql/pool.js';
import { onRedis } from '../redis/on-redis.js';
import { Roster } from '../redis/roster.js';

export interface PruneCommandOptions {
  readonly settings: SettingsOf<'prune'>;
  readonly olderThanHours?: number | undefined;
  readonly keepVersions?: number | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** @throws InvalidOptionsError, ReaderBehindError, UnavailableError */
export async function pruneCommand(options: PruneCommandOptions): Promise<void> {
  const { settings, force = false, dryRun = false, json = false } = options;
  const kept = keptBy(options);
  const readers = await readersOf(settings);
  const pool = openPool(settings.mysqlAUrl, { connectionLimit: 1, isolation: 'READ COMMITTED' });
  try {
    const connection = await pool.getConnection();
    const pruned = await prune({ connection, kept, readers, force, dryRun });
    const told = { ...pruned, dryRun, readers: readers?.length ?? null };
    process.stdout.write(json ? `${JSON.stringify(told)}\n` : textOf(told));
  } catch (error) {
    if (error instanceof TidemarkError || !(error instanceof Error && 'code' in error)) throw error;
    throw explainMysqlFault(error, 'MySQL in data center A (MYSQL_A_URL)');
  } finally {
    await pool.end();
  }
}

function keptBy({ olderThanHours, keepVersions }: PruneCommandOptions): Kept {
  if (olderThanHours !== undefined && keepVersions === undefined) return { olderThanHours };
  if (keepVersions !== undefined && olderThanHours === undefined) return { keepVersions };
  throw new InvalidOptionsError(['Expected either --older-than-hours or --keep-versions']);
}

async function readersOf({
  redisUrl,
  keyPrefix: prefix,
}: SettingsOf<'prune'>): Promise<Announcement[] | undefined> {
  if (redisUrl === undefined) return undefined;
  return await onRedis(redisUrl, {}, (client) => new Roster({ client, prefix }).read());
}

interface Told extends Pruned {
  readonly dryRun: boolean;
  readonly readers: number | null;
}

function textOf({ removed, boundary, slowest, dryRun, readers }: Told): string {
  const changes = `${removed} change${removed === 1 ? '' : 's'}`;
  const done = dryRun ? `${changes} would be removed` : `${changes} removed`;
  const who =
    slowest === null
      ? `no reader was asked${readers === null ? ': there is no REDIS_URL' : ', none runs'}`
      : `the slowest of ${readers} readers is at version ${slowest.applied} (${slowest.id})`;
  return `${done}; the log begins at version ${boundary}; ${who}.\n`;
}
