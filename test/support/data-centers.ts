/**
 * The data centers that all tests share, and a database of its own for each test.
 *
 * A test that breaks a server (stops, kills, pauses it, stops its replication, flushes Redis)
 * starts data centers of its own: `startDataCenters` in src/demo/data-centers.ts.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { inject } from 'vitest';
import { splitSql } from '../../src/core/sql-script.js';
import type { Flavor } from '../../src/demo/data-centers.js';
import { untilCaughtUp } from '../../src/demo/replication.js';
import { migrate } from '../../src/mysql/migrate.js';
import { MIGRATIONS_FOLDER } from '../../src/mysql/migration-files.js';
import { ACCOUNTS, EVIDENCE_DATABASE, type ProvidedDataCenters } from './global-setup.js';

export interface TestDatabase {
  readonly flavor: Flavor;
  readonly name: string;
  /** URLs with this database, of an account that may do everything. */
  readonly a: string;
  readonly b: string;
  /** A, with the rights of migrations/grant_writer.sql; B, with those of grant_reader.sql. Both as
   * an administrator in a database without the migrations. */
  readonly writer: string;
  readonly reader: string;
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
  if (migrated) {
    await connected(a, async (connection) => {
      await migrate(connection);
      for (const grants of ['grant_reader', 'grant_writer']) await applyGrants(connection, grants);
    });
  }
  const caughtUp = () =>
    untilCaughtUp(
      flavor,
      (sql, values) => query(centers.a, sql, values),
      (sql, values) => query(centers.b, sql, values),
    );
  await caughtUp();
  const b = `${centers.b}${name}`;
  const as = (user: string, url: string) =>
    migrated ? urlAs(url, user, centers.accountPassword) : url;
  return {
    ...{ flavor, name, a, b, writer: as(ACCOUNTS.writer, a), reader: as(ACCOUNTS.reader, b) },
    redis: await nextRedisDatabase(centers.redis),
    caughtUp,
    drop: () => drop(centers.a, name),
  };
}

/** `url` with another account. */
export function urlAs(url: string, user: string, password: string): string {
  const own = new URL(url);
  own.username = user;
  own.password = password;
  return own.href;
}

/** Applies a grant file of migrations/, by its name without `.sql`, to its database. */
export async function applyGrants(connection: Connection, name: string): Promise<void> {
  const text = await readFile(join(MIGRATIONS_FOLDER, `${name}.sql`), 'utf8');
  for (const statement of splitSql(text)) await connection.query(statement);
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
