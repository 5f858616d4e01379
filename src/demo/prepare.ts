/**
 * What the demo's data centers need before the apps start: the migrations, an account for readers
 * that may do no more than migrations/grant_reader.sql says, the sample configurations, and two
 * small scripts that open the plain SQL client on A and on B.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Connection } from 'mysql2/promise';
import { splitSql } from '../core/sql-script.js';
import { migrate } from '../mysql/migrate.js';
import { MIGRATIONS_FOLDER } from '../mysql/migration-files.js';
import { openPool } from '../mysql/pool.js';
import { Writer } from '../writer/writer.js';
import type { DataCenters, Endpoint } from './data-centers.js';
import { randomPassword } from './database-server.js';
import { findMariaDB, findMySQL, required } from './programs.js';
import { sampleConfigs } from './sample-configs.js';

const READER_USER = 'tidemark_reader';

/** Paths of scripts that pass their arguments to the plain client: `sql-a -e 'SELECT 1'`. */
export interface SqlScripts {
  readonly a: string;
  readonly b: string;
}

/** Applies all migrations in A, and makes the readers' account.
 * @returns the URL by which readers reach B */
export async function migrateAndGrant(centers: DataCenters): Promise<string> {
  const pool = openPool(centers.a.url(), { connectionLimit: 1 });
  const password = randomPassword();
  try {
    const connection = await pool.getConnection();
    await migrate(connection);
    await createReaderAccount(connection, password);
    connection.release();
  } finally {
    await pool.end();
  }
  const { host, port, database } = centers.b.endpoint;
  return `mysql://${READER_USER}:${password}@${host}:${port}/${database}`;
}

async function createReaderAccount(connection: Connection, password: string): Promise<void> {
  await connection.query(`CREATE USER '${READER_USER}'@'%' IDENTIFIED BY ?`, [password]);
  const grants = await readFile(join(MIGRATIONS_FOLDER, 'grant_reader.sql'), 'utf8');
  for (const statement of splitSql(grants)) await connection.query(statement);
}

/** Writes the sample configurations to A, in one transaction.
 * @returns how many there are */
export async function seed(centers: DataCenters): Promise<number> {
  const configs = sampleConfigs();
  const writer = new Writer({ mysql: centers.a.url(), connectionLimit: 1 });
  try {
    await writer.batch({ put: new Map(configs.map(({ key, value }) => [key, value])) });
  } finally {
    await writer.close();
  }
  return configs.length;
}

/** Writes the scripts into the demo's folder, which only its owner can read. */
export async function writeSqlScripts(centers: DataCenters): Promise<SqlScripts> {
  const scripts = { a: join(centers.folder, 'sql-a'), b: join(centers.folder, 'sql-b') };
  await writeFile(scripts.a, sqlScript(centers, centers.a.endpoint), { mode: 0o700 });
  await writeFile(scripts.b, sqlScript(centers, centers.b.endpoint), { mode: 0o700 });
  return scripts;
}

// The password goes through the environment: arguments are there for all to see.
function sqlScript({ flavor }: DataCenters, endpoint: Endpoint): string {
  const programs = flavor === 'mysql' ? findMySQL() : findMariaDB();
  const { command, args } = required(programs, flavor).client;
  const { host, port, user, password, database } = endpoint;
  const words = [
    ...[command, ...args, `--host=${host}`, `--port=${port}`, `--user=${user}`],
    ...[`--database=${database}`, '--default-character-set=utf8mb4'],
    ...(flavor === 'mysql' ? ['--get-server-public-key'] : []),
  ];
  return `#!/bin/sh\nMYSQL_PWD=${quoted(password)} exec ${words.map(quoted).join(' ')} "$@"\n`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
