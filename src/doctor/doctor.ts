/**
 * `tidemark doctor`: collects facts from each server that a URL was given for, and judges them.
 *
 * Collecting is all the I/O there is (a.ts, b.ts, hop.ts, redis.ts), and it only reads; judging is
 * pure (checks/). What cannot be reached is a fault of its own, and the rest is checked all the same.
 */
import type { Connection } from 'mysql2/promise';
import { TidemarkError, UnavailableError } from '../errors.js';
import { explainMysqlFault } from '../mysql/fault.js';
import { readMigrations } from '../mysql/migration-files.js';
import { openPool } from '../mysql/pool.js';
import { urlsByHost } from '../mysql/url.js';
import { within } from '../within.js';
import { collectSource } from './a.js';
import { collectReplica } from './b.js';
import { FRESHNESS_CHECKS } from './checks/freshness.js';
import { REDIS_CHECKS } from './checks/redis.js';
import { REPLICATION_CHECKS } from './checks/replication.js';
import { SCHEMA_CHECKS } from './checks/schema.js';
import { SERVER_CHECKS } from './checks/servers.js';
import type { DoctorSettings, Facts } from './facts.js';
import { type Check, examine, type Finding, fault, type Place, unknown } from './finding.js';
import { collectHop, fingerprintAt } from './hop.js';
import { collectRedis } from './redis.js';

export interface DoctorOptions {
  /** A side without its URL is left unchecked, and said to be. */
  readonly mysqlAUrl?: string | undefined;
  readonly mysqlBUrl?: string | undefined;
  readonly redisUrl?: string | undefined;
  readonly settings: DoctorSettings;
  /** How long what A has may take to B, and what B has to Redis, in ms. Default 3,000. */
  readonly patienceMs?: number;
  /** How long one server may take for all that it is asked, waits aside, in ms. Default 15,000. */
  readonly answerWithinMs?: number;
}

export const CHECKS: readonly Check[] = [
  ...SERVER_CHECKS,
  ...SCHEMA_CHECKS,
  ...REPLICATION_CHECKS,
  ...FRESHNESS_CHECKS,
  ...REDIS_CHECKS,
];

const PATIENCE_MS = 3_000;
const ANSWER_WITHIN_MS = 15_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** What a server does or lacks is a finding, never an error. Of several hosts of MySQL-B each is
 * examined, Redis with the first. */
export async function examineSystem(options: DoctorOptions): Promise<Finding[]> {
  const [first, ...others] = urlsByHost(options.mysqlBUrl ?? '');
  const findings = await examineOnce(
    options.mysqlBUrl ? { ...options, mysqlBUrl: first } : options,
  );
  if (others.length === 0) return findings;
  const all = findings.map((finding) =>
    isOfB(finding) ? { ...finding, host: hostOf(first) } : finding,
  );
  for (const mysqlBUrl of others) {
    const more = await examineOnce({ ...options, mysqlBUrl, redisUrl: undefined });
    all.push(...more.filter(isOfB).map((finding) => ({ ...finding, host: hostOf(mysqlBUrl) })));
  }
  return all;
}

function isOfB({ place }: Finding): boolean {
  return place === 'MySQL-B' || place === 'A to B';
}

/** Without what is secret in a URL. */
function hostOf(url: string | undefined): string {
  return url !== undefined && URL.canParse(url) ? new URL(url).host : '';
}

async function examineOnce(options: DoctorOptions): Promise<Finding[]> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const examination = new Examination(options, ends);
    const facts = await examination.collect();
    return [...examination.findings, ...examine(CHECKS, facts)];
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

class Examination {
  /** Of sides that are not there. */
  readonly findings: Finding[] = [];

  constructor(
    private readonly options: DoctorOptions,
    private readonly ends: (() => Promise<void>)[],
  ) {}

  async collect(): Promise<Facts> {
    const { settings, mysqlAUrl, mysqlBUrl, redisUrl, patienceMs = PATIENCE_MS } = this.options;
    const { collections } = settings;
    const migrations = await readMigrations();
    const onA = await this.#reach('MySQL-A', 'MYSQL_A_URL', mysqlAUrl, async (url) => {
      const connection = await this.#connect(url);
      return { connection, facts: await collectSource(connection, collections) };
    });
    const onB = await this.#reach('MySQL-B', 'MYSQL_B_URL', mysqlBUrl, async (url) => {
      const connection = await this.#connect(url);
      return { connection, facts: await collectReplica(connection, collections) };
    });
    const [a, b] = [onA?.facts, onB?.facts];
    const canCompare = onA && onB && a?.log !== undefined && b?.log !== undefined;
    const hop = canCompare
      ? await this.#reach('MySQL-B', 'MYSQL_B_URL', mysqlBUrl, () =>
          collectHop(onA.connection, onB.connection, patienceMs),
        )
      : undefined;
    const redis = await this.#reach('Redis', 'REDIS_URL', redisUrl, (url) =>
      collectRedis({
        url,
        settings,
        patienceMs,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        headB: hop?.headBAfter ?? b?.log?.head,
        fingerprintAt: async (version) =>
          onB && b?.log ? await fingerprintAt(onB.connection, version) : undefined,
      }),
    );
    return { settings, migrations, a, b, hop, redis };
  }

  async #connect(url: string): Promise<Connection> {
    const pool = openPool(url, { connectionLimit: 1, connectTimeoutMs: CONNECT_TIMEOUT_MS });
    this.ends.push(() => pool.end());
    const connection = await pool.getConnection();
    // Destroyed, not released: a server that hangs would not let it go.
    this.ends.push(async () => connection.destroy());
    return connection;
  }

  async #reach<T>(
    place: Place,
    variable: string,
    url: string | undefined,
    collect: (url: string) => Promise<T>,
  ): Promise<T | undefined> {
    const add = (verdict: ReturnType<typeof fault>) =>
      this.findings.push({ place, check: 'connection', ...verdict });
    if (url === undefined) {
      add(unknown(`unchecked: there is no ${variable}`, `Set ${variable} and run it again`));
      return undefined;
    }
    const { patienceMs = PATIENCE_MS, answerWithinMs = ANSWER_WITHIN_MS } = this.options;
    const late = () =>
      new UnavailableError(
        `Expected ${place} (${variable}) to answer, got silence. Look into its log.`,
      );
    try {
      return await within(collect(url), answerWithinMs + patienceMs, late);
    } catch (error) {
      if (!(error instanceof TidemarkError) && !isOfServer(error)) throw error; // a bug
      add(explained(explainMysqlFault(error, `${place} (${variable})`)));
      return undefined;
    }
  }
}

function isOfServer(error: unknown): boolean {
  return error instanceof Error && ('code' in error || error.name === 'ReplyError');
}

/** `Expected ..., got .... What to do.` is a cause and a remedy. */
function explained({ message }: TidemarkError): ReturnType<typeof fault> {
  const end = message.indexOf('. ');
  if (end === -1) return fault(message, 'Look into the log of that server');
  return fault(message.slice(0, end), message.slice(end + 2).replace(/\.$/, ''));
}
