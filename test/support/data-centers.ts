/**
 * The data centers that all tests share, and a database of its own for each test.
 *
 * A test that breaks a server (stops, kills, pauses it, stops its replication, flushes Redis)
 * starts data centers of its own: `startDataCenters` in src/demo/data-centers.ts.
 */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { inject } from 'vitest';
import type { Flavor } from '../../src/demo/data-centers.js';
import { untilCaughtUp } from '../../src/demo/replication.js';
import { migrate } from '../../src/mysql/migrate.js';
import { EVIDENCE_DATABASE, type ProvidedDataCenters } from './global-setup.js';

export interface TestDatabase {
  readonly flavor: Flavor;
  readonly name: string;
  /** URLs with this database. */
  readonly a: string;
  readonly b: string;
  /** A Redis database of its own, empty. */
  readonly redis: string;
  /** Waits until B has executed all A has committed. */
  caughtUp(): Promise<void>;
  drop(): Promise<void>;
}

/** The flavors of this run, for `describe.each(flavors)`. */
export const flavors: readonly Flavor[] = inject('dataCenters').map(({ flavor }) => flavor);

/** A new database in A and B, with the migrations unless `migrated` is false. */
export async function createDatabase(
  flavor: Flavor,
  { migrated = true, name = `t_${randomBytes(6).toString('hex')}` } = {},
): Promise<TestDatabase> {
  const centers = centersOf(flavor);
  await query(centers.a, `CREATE DATABASE \`${name}\``);
  const a = `${centers.a}${name}`;
  if (migrated) await connected(a, (connection) => migrate(connection));
  const caughtUp = () =>
    untilCaughtUp(
      flavor,
      (sql, values) => query(centers.a, sql, values),
      (sql, values) => query(centers.b, sql, values),
    );
  await caughtUp();
  return {
    flavor,
    name,
    a,
    b: `${centers.b}${name}`,
    redis: await nextRedisDatabase(centers.redis),
    caughtUp,
    drop: () => drop(centers.a, name),
  };
}

/** Runs one statement on a connection of its own. */
export async function query(
  url: string,
  sql: string,
  values: readonly (string | number)[] = [],
): Promise<RowDataPacket[]> {
  return await connected(url, async (connection) => {
    const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
    return rows;
  });
}

/** Gives `use` a connection and closes it afterwards. */
export async function connected<T>(
  url: string,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await createConnection({ uri: url, charset: 'UTF8MB4_BIN' });
  try {
    return await use(connection);
  } finally {
    await connection.end();
  }
}

function centersOf(flavor: Flavor): ProvidedDataCenters {
  const centers = inject('dataCenters').find((one) => one.flavor === flavor);
  if (centers === undefined) throw new Error(`Expected ${flavor} in TIDEMARK_FLAVORS, it is not.`);
  return centers;
}

async function nextRedisDatabase(url: string): Promise<string> {
  const redis = new Redis(url);
  const number = await redis.incr('tidemark-test:last-database'); // in database 0
  redis.disconnect();
  return `${url}/${number}`;
}

/** The head of the log is kept as evidence that this flavor was exercised. */
async function drop(url: string, name: string): Promise<void> {
  const [stream] = await query(
    url,
    `SELECT 1 FROM information_schema.tables
     WHERE table_schema = ? AND table_name = 'config_stream'`,
    [name],
  );
  if (stream !== undefined) {
    const head = `SELECT head FROM \`${name}\`.config_stream`;
    await query(url, `INSERT INTO ${EVIDENCE_DATABASE}.heads ${head}`);
  }
  await query(url, `DROP DATABASE \`${name}\``);
}
