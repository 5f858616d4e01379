/**
 * The upkeep of the log in data center A: a heartbeat each second, from which readers tell how
 * recent they are, and the removal of changes older than the retention.
 *
 * Invariant: one instance at a time does it, the one whose connection holds the named lock, and it
 * does it on that very connection: when the connection is gone, so are lock and leadership.
 * A failure is told once per kind, counted always, and answered by the next tick's new connection.
 */
import type { Pool, PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import type { ScheduledTask } from 'node-cron';
import { Counter, Gauge, Registry } from 'prom-client';
import { cronTask } from '../cron.js';
import { InvalidOptionsError, TidemarkError, UnavailableError } from '../errors.js';
import type { Logger } from '../logger.js';
import { explainMysqlFault, mysqlCodeOf, silence } from '../mysql/fault.js';
import { hangUp } from '../mysql/pool.js';
import { toVersion } from '../mysql/tracked-rows.js';
import { within } from '../within.js';
import { PRUNE_ROWS, removeOldest } from './pruning.js';

export interface MaintenanceOptions {
  /** MySQL in data center A; it stays open, one of its connections is kept. */
  readonly pool: Pool;
  readonly logger: Logger;
  /** Changes older than this are removed from the log, in s. */
  readonly retentionSeconds?: number;
  /** When to look for old changes, in cron's notation, seconds first. */
  readonly pruneCron?: string;
  readonly registry?: Registry;
}

export const MAINTENANCE_DEFAULTS = Object.freeze({
  retentionSeconds: 24 * 60 * 60,
  pruneCron: '30 * * * * *',
});

export interface MaintenanceStatus {
  readonly running: boolean;
  /** Whether this instance is the one that does the work. */
  readonly leader: boolean;
  /** The last failure's code, until a tick succeeds. */
  readonly failing: string | null;
}

const HEARTBEAT_CRON = '* * * * * *';
const STATEMENT_TIMEOUT_MS = 10_000;
/** One tick removes at most this many batches, so that the heartbeat is not kept waiting. */
const PRUNE_BATCHES = 20;
/** GET_LOCK's names belong to the server, so the database is part of it. At most 64 characters. */
const LOCK_NAME = "CONCAT('tidemark:', LEFT(SHA2(DATABASE(), 256), 24))";

export class Maintenance {
  readonly #pool: Pool;
  readonly #logger: Logger;
  readonly #retentionSeconds: number;
  readonly #pruneCron: string;
  readonly #heartbeats: Counter;
  readonly #pruned: Counter;
  readonly #failures: Counter<'task'>;
  #tasks: ScheduledTask[] = [];
  #connection: PoolConnection | undefined;
  /** Ticks run one after another, on the one connection. */
  #tail: Promise<void> = Promise.resolve();
  #failing: string | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: MaintenanceOptions) {
    this.#pool = options.pool;
    this.#logger = options.logger;
    this.#retentionSeconds = options.retentionSeconds ?? MAINTENANCE_DEFAULTS.retentionSeconds;
    this.#pruneCron = options.pruneCron ?? MAINTENANCE_DEFAULTS.pruneCron;
    if (!(this.#retentionSeconds > 0)) {
      throw new InvalidOptionsError([
        `Expected retentionSeconds to be above 0, got ${this.#retentionSeconds}`,
      ]);
    }
    const registers = [options.registry ?? new Registry()];
    this.#heartbeats = new Counter({
      name: 'tidemark_heartbeats_total',
      help: 'Heartbeats written by this instance.',
      registers,
    });
    this.#pruned = new Counter({
      name: 'tidemark_pruned_changes_total',
      help: 'Changes that this instance removed from the log because of their age.',
      registers,
    });
    this.#failures = new Counter({
      name: 'tidemark_maintenance_failures_total',
      help: 'Ticks that failed, by task; the next tick tries again.',
      labelNames: ['task'],
      registers,
    });
    for (const task of ['heartbeat', 'prune']) this.#failures.inc({ task }, 0);
    const leads = () => (this.#connection === undefined ? 0 : 1);
    new Gauge({
      name: 'tidemark_maintenance_leader',
      help: '1 on the instance that writes the heartbeat and removes old changes.',
      registers,
      collect() {
        this.set(leads());
      },
    });
  }

  /** Starts the schedule and gives the first heartbeat at once. */
  start(): void {
    if (this.#tasks.length > 0 || this.#stopped !== undefined) return;
    const beat = () => this.#tick('heartbeat', (connection) => this.#beat(connection));
    const prune = () => this.#tick('prune', (connection) => this.#prune(connection));
    const logger = this.#logger;
    this.#tasks = [
      cronTask(HEARTBEAT_CRON, { name: 'tidemark-heartbeat', work: beat, logger }),
      cronTask(this.#pruneCron, { name: 'tidemark-prune', work: prune, logger }),
    ];
    for (const task of this.#tasks) void task.start();
    void beat();
  }

  /** Stops for good; the next instance can take over at once. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  status(): MaintenanceStatus {
    return {
      running: this.#tasks.length > 0 && this.#stopped === undefined,
      leader: this.#connection !== undefined,
      failing: this.#failing ?? null,
    };
  }

  async #stop(): Promise<void> {
    for (const task of this.#tasks) await task.destroy();
    await this.#tail;
    const connection = this.#connection;
    this.#connection = undefined;
    try {
      if (connection !== undefined) await run(connection, `DO RELEASE_LOCK(${LOCK_NAME})`);
    } catch {
      // The server releases it with the connection.
    }
    if (connection !== undefined) hangUp(connection); // its session settings are not the pool's
  }

  #tick(task: string, work: (connection: PoolConnection) => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(async () => {
      if (this.#stopped !== undefined) return;
      try {
        const connection = await this.#lead();
        if (connection !== undefined) await work(connection);
        if (this.#failing !== undefined) this.#logger.info({ task }, 'maintenance works again');
        this.#failing = undefined;
      } catch (error) {
        this.#failed(task, error);
      }
    });
    return this.#tail;
  }

  #failed(task: string, error: unknown): void {
    if (this.#connection !== undefined) hangUp(this.#connection);
    this.#connection = undefined;
    this.#failures.inc({ task });
    const kind = error instanceof TidemarkError ? error.code : (mysqlCodeOf(error) ?? 'unknown');
    if (kind === this.#failing) return;
    this.#failing = kind;
    const reason = explainMysqlFault(error, 'MySQL-A (MYSQL_A_URL)').message;
    this.#logger.warn({ task, reason }, 'maintenance failed, the next tick tries again');
  }

  /** The connection that holds the lock; undefined when another instance has it. */
  async #lead(): Promise<PoolConnection | undefined> {
    if (this.#connection !== undefined) return this.#connection;
    const connection = await this.#pool.getConnection();
    try {
      const [row] = await run<RowDataPacket[]>(
        connection,
        `SELECT GET_LOCK(${LOCK_NAME}, 0) AS got`,
      );
      if (row?.got === 0) {
        connection.release();
        return undefined;
      }
      if (row?.got !== 1) {
        throw new UnavailableError('Expected GET_LOCK to answer 1 or 0 on MySQL-A, got NULL.');
      }
      await run(connection, 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    } catch (error) {
      hangUp(connection);
      throw error;
    }
    this.#connection = connection;
    this.#logger.info({}, 'this instance writes the heartbeat and prunes the log');
    return connection;
  }

  async #beat(connection: PoolConnection): Promise<void> {
    await run(connection, 'UPDATE config_stream SET beat_at = UTC_TIMESTAMP(6) WHERE id = 1');
    this.#heartbeats.inc();
  }

  async #prune(connection: PoolConnection): Promise<void> {
    for (let batch = 0; batch < PRUNE_BATCHES; batch += 1) {
      const { boundary, rows } = await this.#expired(connection);
      if (rows === 0) return;
      const removed = await removeOldest(connection, boundary, rows);
      this.#pruned.inc(removed);
      this.#logger.debug({ rows: removed, boundary }, 'pruned the log');
      if (rows < PRUNE_ROWS) return;
    }
  }

  /** The first row that must stay (of the oldest ones, the first young one or the last of all),
   * and how many rows are before it. */
  async #expired(connection: PoolConnection): Promise<{ boundary: number; rows: number }> {
    const oldest = await run<RowDataPacket[]>(
      connection,
      `SELECT version, changed_at < UTC_TIMESTAMP(6) - INTERVAL ? SECOND AS expired
       FROM config_changes ORDER BY version LIMIT ${PRUNE_ROWS + 1}`,
      [this.#retentionSeconds],
    );
    const young = oldest.findIndex((row) => row.expired === 0);
    const rows = young === -1 ? Math.max(0, oldest.length - 1) : young;
    return { boundary: toVersion(oldest[rows]?.version ?? 0), rows };
  }
}

async function run<T extends RowDataPacket[] | ResultSetHeader>(
  connection: PoolConnection,
  sql: string,
  values: readonly (string | number)[] = [],
): Promise<T> {
  // Not by mysql2's own timeout: what a new connection is set up with before has none.
  const asked = connection.query<T>({ sql, values: [...values] });
  const [result] = await within(asked, STATEMENT_TIMEOUT_MS, silence);
  return result;
}
