/**
 * Data centers for the tests of the doctor, which break them: a database of its own for each test, and
 * ways to break a server that undo themselves when the test is over.
 */
import type { RowDataPacket } from 'mysql2/promise';
import { expect, onTestFinished } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { type DataCenters, type Flavor, startDataCenters } from '../../src/demo/data-centers.js';
import { examineSystem } from '../../src/doctor/doctor.js';
import type { DoctorSettings } from '../../src/doctor/facts.js';
import type { Finding, Place, Severity } from '../../src/doctor/finding.js';
import { connected, query } from './data-centers.js';
import { migrateAt, migrationText } from './migrations.js';
import { plainClient } from './plain-client.js';

export const SETTINGS: DoctorSettings = {
  collections: [DEFAULT_COLLECTION],
  keyPrefix: 'tidemark',
  redisBuckets: 1,
  staleAfterMs: 60_000,
  retentionHours: 24,
  earlyWake: 'auto',
};

type Options = Partial<Parameters<typeof examineSystem>[0]>;

export class DoctorScene {
  number = 0;
  readonly #isMysql: boolean;
  #centers: DataCenters | undefined;

  constructor(readonly flavor: Flavor) {
    this.#isMysql = flavor === 'mysql';
  }

  async start(): Promise<void> {
    this.#centers = await startDataCenters({ flavor: this.flavor });
  }

  async stop(): Promise<void> {
    await this.#centers?.stop();
  }

  get centers(): DataCenters {
    if (this.#centers === undefined) throw new Error('Expected a scene that was started');
    return this.#centers;
  }

  /** A new database, migrated, with one row, a heartbeat, and an account of a reader. */
  async renew(): Promise<void> {
    this.number += 1;
    const { mysqlAUrl } = this.urls;
    const account = "'tidemark_reader'@'%'";
    await query(this.centers.a.url(), `CREATE DATABASE d${this.number}`);
    await migrateAt(mysqlAUrl);
    await this.write(`DROP USER IF EXISTS ${account}`);
    await this.write(`CREATE USER ${account} IDENTIFIED BY 'secret'`);
    await plainClient(this.flavor, mysqlAUrl, await migrationText('grant_reader'));
    await this.write("INSERT INTO configs (config_key, config_value) VALUES ('k', '1')");
    await this.write('UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6)');
    await this.centers.caughtUp();
  }

  /** Those of an administrator. */
  get urls(): { mysqlAUrl: string; mysqlBUrl: string; redisUrl: string } {
    const { a, b, redis } = this.centers;
    const name = `d${this.number}`;
    return {
      mysqlAUrl: a.url(name),
      mysqlBUrl: b.url(name),
      redisUrl: `${redis.url()}/${this.number}`,
    };
  }

  /** MYSQL_B_URL of a reader. */
  get reader(): string {
    return this.as('tidemark_reader', this.urls.mysqlBUrl);
  }

  /** `url` with another account, whose password is `secret`. */
  as(user: string, url: string): string {
    const own = new URL(url);
    own.username = user;
    own.password = 'secret';
    return own.href;
  }

  /** Runs a statement on A. */
  readonly write = async (sql: string): Promise<RowDataPacket[]> => {
    return await query(this.urls.mysqlAUrl, sql);
  };

  readonly onB = async (sql: string): Promise<RowDataPacket[]> => {
    return await query(this.urls.mysqlBUrl, sql);
  };

  /** Runs statements on B as if nobody guarded it; what they did stays. */
  readonly pastGuard = async (...statements: string[]): Promise<void> => {
    const guards = this.#isMysql ? ['super_read_only', 'read_only'] : ['read_only'];
    try {
      for (const guard of guards) await this.onB(`SET GLOBAL ${guard} = OFF`);
      await connected(this.urls.mysqlBUrl, async (connection) => {
        await connection.query('SET sql_log_bin = 0');
        for (const sql of statements) await connection.query(sql);
      });
    } finally {
      for (const guard of guards.toReversed()) await this.onB(`SET GLOBAL ${guard} = ON`);
    }
  };

  /** Sets a variable of a server until the test is over. */
  readonly set = async (server: 'a' | 'b', variable: string, value: string): Promise<void> => {
    const url = this.centers[server].url('');
    const [row] = await query(url, `SELECT @@global.${variable} AS was`);
    const was = typeof row?.was === 'number' ? row.was : `'${row?.was}'`;
    onTestFinished(async () => {
      await query(url, `SET GLOBAL ${variable} = ${was}`);
    });
    await query(url, `SET GLOBAL ${variable} = ${value}`);
  };

  /** Stops replication for `change`, and for its undoing after the test. */
  readonly whileStopped = async (change: string[], undo: string[]): Promise<void> => {
    const both = async (statements: string[]) => {
      await this.centers.stopReplication();
      for (const sql of statements) await this.onB(sql);
      await this.centers.startReplication();
    };
    onTestFinished(async () => {
      await both(undo);
      await this.centers.caughtUp();
    });
    await both(change);
  };

  readonly examine = async (more: Options = {}): Promise<Finding[]> => {
    return await examineSystem({ ...this.urls, settings: SETTINGS, patienceMs: 1_000, ...more });
  };

  /** What the check says of the broken system; with a remedy, as all that is wrong has. */
  readonly named = async (
    place: Place,
    check: string,
    severity: Severity,
    cause: RegExp,
    remedy: RegExp,
    more?: Options,
  ): Promise<void> => {
    expect(find(await this.examine(more), place, check)).toMatchObject({
      severity,
      cause: expect.stringMatching(cause),
      remedy: expect.stringMatching(remedy),
    });
  };
}

export function find(findings: readonly Finding[], place: Place, check: string): Finding {
  const found = findings.find((one) => one.place === place && one.check === check);
  if (found === undefined) throw new Error(`Expected a finding of ${place}, ${check}`);
  return found;
}
