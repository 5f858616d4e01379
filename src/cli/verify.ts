/** `tidemark verify`: compares Redis and each reader with MySQL-B, key by key. */
import type { Pool } from 'mysql2/promise';
import pico from 'picocolors';
import type { Announcement } from '../core/announcement.js';
import type { Collection } from '../core/collection.js';
import { parseCollections } from '../core/collections-text.js';
import type { SettingsOf } from '../env.js';
import { ANY_HOST } from '../mysql/hosts.js';
import { MysqlLog } from '../mysql/log.js';
import { openPool } from '../mysql/pool.js';
import { onRedis } from '../redis/on-redis.js';
import { Roster } from '../redis/roster.js';
import type { RedisClient } from '../redis/tier.js';
import { printable } from '../terminal-text.js';
import { type Verified, verify } from '../verify/verify.js';
import { workOf } from '../verify/work.js';
import { ProgressBar } from './progress-bar.js';

export interface VerifyCommandOptions {
  readonly settings: SettingsOf<'verify'>;
  readonly json?: boolean | undefined;
}

const CONNECTIONS = 4;
const TIMEOUT_MS = 30_000;

/** Collection by collection. @returns whether nothing differs */
export async function verifyCommand({ settings, json }: VerifyCommandOptions): Promise<boolean> {
  const { table, keyColumn, valueColumn, versionColumn, keyPrefix } = settings;
  const names = { table, keyColumn, valueColumn, versionColumn };
  const pool = openPool(settings.mysqlBUrl, {
    connectionLimit: CONNECTIONS,
    severalHosts: ANY_HOST,
  });
  let isSound = true;
  try {
    await onRedis(settings.redisUrl, {}, async (client) => {
      const readers = await new Roster({ client, prefix: keyPrefix }).read();
      for (const collection of parseCollections(settings.collections, names)) {
        const parts = { pool, client, collection, readers, settings };
        const verified = await verifyOne(parts);
        const { table } = collection;
        process.stdout.write(json ? `${JSON.stringify(verified)}\n` : reportOf(table, verified));
        isSound &&= verified.sound;
      }
    });
    return isSound;
  } finally {
    await pool.end();
  }
}

interface Parts {
  readonly pool: Pool;
  readonly client: RedisClient;
  readonly collection: Collection;
  readonly readers: readonly Announcement[];
  readonly settings: SettingsOf<'verify'>;
}

async function verifyOne({ pool, collection, readers, client, settings }: Parts) {
  const { keyPrefix, redisBuckets, readTokens } = settings;
  const bar = new ProgressBar('comparing');
  try {
    await bar.start(() => workOf(pool, collection.table));
    return await verify({
      ...{ client, collection, keyPrefix, redisBuckets, token: readTokens[0] },
      log: new MysqlLog(pool, collection, TIMEOUT_MS),
      readers: readers.filter(({ table }) => table === collection.table),
      onProgress: (steps) => bar.advance(steps),
    });
  } finally {
    bar.stop();
  }
}

function reportOf(table: string, verified: Verified): string {
  const { asOf, keys, unreadable, redis, readers, absences } = verified;
  const found = ({ mismatches, unsettled }: { mismatches: number; unsettled: number }) => {
    const open = unsettled === 0 ? '' : `, ${unsettled} that changed each time they were looked at`;
    const text = `${mismatches} mismatch${mismatches === 1 ? '' : 'es'}${open}`;
    return mismatches === 0 ? pico.green(text) : pico.red(text);
  };
  const searched =
    absences.redis === null ? 'Redis may not be searched (+scan)' : `${absences.redis} by Redis`;
  const lines = [
    `${keys} keys of ${table} in MySQL-B, as of version ${asOf} or later`,
    ...(unreadable === 0 ? [] : [`${unreadable} more that no reader can be asked for`]),
    `${absences.log} keys without a row are named by the log, ${searched}; others are not covered`,
    `redis: ${redis.checked} entries compared, ${redis.missing} keys without one, ${found(redis)}`,
    ...readers.map((one) => {
      const state =
        one.failure === null
          ? found(one)
          : `${found(one)}, ${pico.yellow(`not to the end: ${one.failure}`)}`;
      return `${one.id}: ${one.checked} compared, ${state}`;
    }),
    ...(readers.length === 0 ? ['no reader has announced itself in Redis'] : []),
    ...verified.mismatches.map(({ where, key, expected, got }) => {
      const differs =
        expected === got
          ? `other bytes of version ${got}`
          : `${shown(got)}, not ${shown(expected)}`;
      return pico.red(`mismatch in ${where}: ${printable(key)}: ${differs}`);
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function shown(version: number | null): string {
  return version === null ? 'no row' : `version ${version}`;
}
