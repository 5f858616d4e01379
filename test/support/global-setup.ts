/**
 * Starts both data centers of each flavor once for the whole run, with an account for readers and one
 * for writers, which get the rights of migrations/grant_*.sql in each test's database.
 *
 * With CI=true the run fails when a flavor was not exercised: nothing was written to a tracked
 * table of its source.
 */
import type { RowDataPacket } from 'mysql2/promise';
import { createConnection } from 'mysql2/promise';
import type { TestProject } from 'vitest/node';
import { type DataCenters, type Flavor, startDataCenters } from '../../src/demo/data-centers.js';
import { randomPassword } from '../../src/demo/database-server.js';

export interface ProvidedDataCenters {
  readonly flavor: Flavor;
  /** Without a database. */
  readonly a: string;
  readonly b: string;
  readonly redis: string;
  /** Of each of ACCOUNTS. */
  readonly accountPassword: string;
}

declare module 'vitest' {
  export interface ProvidedContext {
    dataCenters: readonly ProvidedDataCenters[];
  }
}

const ALL: readonly Flavor[] = ['mysql', 'mariadb'];
export const EVIDENCE_DATABASE = 'tidemark_evidence';
/** As the grant files name them. */
export const ACCOUNTS = { reader: 'tidemark_reader', writer: 'tidemark_writer' } as const;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const starting = wantedFlavors().map((flavor) => startDataCenters({ flavor }));
  const settled = await Promise.allSettled(starting);
  const running = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    await Promise.all(starting);
    project.provide('dataCenters', await Promise.all(running.map(prepared)));
  } catch (error) {
    await Promise.all(running.map((one) => one.stop()));
    throw error;
  }
  return async () => {
    try {
      if (process.env.CI === 'true') await failUnlessExercised(running);
    } finally {
      await Promise.all(running.map((one) => one.stop()));
    }
  };
}

function wantedFlavors(): Flavor[] {
  const names = (process.env.TIDEMARK_FLAVORS ?? ALL.join(',')).split(',').filter(Boolean);
  return names.map((name) => {
    const flavor = ALL.find((one) => one === name);
    if (flavor === undefined) throw new Error(`Expected TIDEMARK_FLAVORS of ${ALL}, got ${name}`);
    return flavor;
  });
}

/** What the tests need on servers that run, and know of them. */
export async function prepared({ flavor, a, b, redis }: DataCenters): Promise<ProvidedDataCenters> {
  const accountPassword = randomPassword();
  await prepareEvidence(a.url(''));
  await makeAccounts(a.url(''), accountPassword);
  return { flavor, a: a.url(''), b: b.url(''), redis: redis.url(), accountPassword };
}

async function makeAccounts(url: string, password: string): Promise<void> {
  const connection = await createConnection(url);
  for (const user of Object.values(ACCOUNTS)) {
    await connection.query(`CREATE USER '${user}'@'%' IDENTIFIED BY ?`, [password]);
  }
  await connection.end();
}

async function prepareEvidence(url: string): Promise<void> {
  const connection = await createConnection(url);
  await connection.query(`CREATE DATABASE ${EVIDENCE_DATABASE}`);
  await connection.query(`CREATE TABLE ${EVIDENCE_DATABASE}.heads (head BIGINT UNSIGNED NOT NULL)`);
  await connection.end();
}

async function failUnlessExercised(running: readonly DataCenters[]): Promise<void> {
  for (const flavor of ALL) {
    const centers = running.find((one) => one.flavor === flavor);
    const changes = centers === undefined ? 0 : await countChanges(centers.a.url(''));
    console.log(`${flavor}: ${changes} tracked changes in databases of tests`);
    if (changes > 0) continue;
    console.error(`Expected ${flavor} to be exercised, it was not.`);
    process.exitCode = 1; // vitest only logs what a teardown throws
  }
}

async function countChanges(url: string): Promise<number> {
  const connection = await createConnection(url);
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT CAST(COALESCE(SUM(head - 1), 0) AS UNSIGNED) AS changes FROM ${EVIDENCE_DATABASE}.heads`,
  );
  await connection.end();
  return Number(rows[0]?.changes);
}
