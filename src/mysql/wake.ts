/**
 * Early wake: a connection of its own to MySQL-B, on which a statement blocks until the replica has
 * applied its next transaction, and a second one, sent with it, takes a glance at the log. So a change
 * need not wait for a poll, and a transaction that has changed nothing costs none.
 *
 * Polls depend on nothing here. The poll loop keeps its interval and asks, between two turns, to be
 * called back early; a wait that is late, broken, refused or never answered calls nobody. After a
 * fault the next try comes after a second, then later and later.
 * Invariant: the set that tells what to wait for next was read before the glance, and that before
 * the turn that follows: whatever either cannot have seen ends the next wait at once.
 * One wait is in flight at a time, for one poll interval at most; a turn does not interrupt it. Nothing
 * of the log is locked meanwhile, not even against DDL.
 */
import {
  type Connection,
  type ConnectionOptions,
  createConnection,
  type RowDataPacket,
} from 'mysql2/promise';
import { backoffMs } from '../core/backoff.js';
import type { Collection } from '../core/collection.js';
import { Carrier, type GtidSet, parseExecutedSet, parseSlavePosition } from '../core/gtid.js';
import { Spacing } from '../core/spacing.js';
import { mysqlCodeOf } from './fault.js';
import { type Glance, GlanceStatement } from './glance.js';
import { toClockMs } from './log.js';
import { hangUp, sessionStatements } from './pool.js';

export interface GtidWakeOptions {
  readonly connection: ConnectionOptions;
  /** Whose values a wake brings along; undefined for several. */
  readonly collection?: Collection | undefined;
  /** Of several hosts, polls alone judge which one to believe: wakes bring nothing along. */
  readonly isOneServer: boolean;
  readonly intervalMs: number;
  /** How much longer than the interval a wait may take before its connection is given up. */
  readonly graceMs: number;
  /** Told once for all faults in a row. */
  readonly onFault: (reason: string) => void;
  /** Opens a connection; a test can take its place. */
  readonly connect?: (options: ConnectionOptions) => Promise<Connection>;
}

interface Dialect {
  readonly parse: (text: string) => GtidSet;
  readonly position: string;
  readonly waitFor: string;
  /** The server's limits on statements would end a wait. */
  readonly noLimit: string;
  readonly hint: string;
}

const ASKED_AT = 'CAST(UTC_TIMESTAMP(6) AS CHAR) AS asked_at'; // when the statement began
// The first statement waits and then reads what has been executed, in the order of the select list.
const MYSQL: Dialect = {
  parse: parseExecutedSet,
  position: `SELECT @@global.gtid_executed AS executed, @@global.gtid_mode AS mode, ${ASKED_AT}`,
  waitFor: `SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?) AS late, @@global.gtid_executed AS executed, ${ASKED_AT}`,
  noLimit: 'SET SESSION max_execution_time = 0',
  hint: 'switch on gtid_mode on MySQL-A and MySQL-B',
};
const MARIADB: Dialect = {
  parse: parseSlavePosition,
  position: `SELECT @@global.gtid_slave_pos AS executed, ${ASKED_AT}`,
  waitFor: `SELECT MASTER_GTID_WAIT(?, ?) AS late, @@global.gtid_slave_pos AS executed, ${ASKED_AT}`,
  noLimit: 'SET SESSION max_statement_time = 0',
  hint: 'let MySQL-B replicate with master_use_gtid = slave_pos',
};

const CONNECT_TIMEOUT_MS = 3_000;
const KEEP_ALIVE_DELAY_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/** A connection, and how to talk with the server at its other end. */
interface Line {
  readonly connection: Connection;
  readonly dialect: Dialect;
  readonly glance: GlanceStatement;
}

export class GtidWake {
  /** Transactions that moved the log (a change, a heartbeat), or some at once, and those that did not. */
  readonly wakes = { news: 0, nothing: 0 };
  readonly #options: GtidWakeOptions;
  readonly #carrier = new Carrier();
  readonly #spacing: Spacing;
  #line: Line | undefined;
  #executed: string | undefined;
  /** Head and heartbeat, as the last glance found them. */
  #seen = { head: Number.NaN, beatAtMs: Number.NaN };
  #onWake: ((glance?: Glance) => void) | undefined;
  /** The log has moved, and no turn has begun since. */
  #isDue = false;
  #isWaiting = false;
  #faults = 0;
  /** Of the one thing that is under way: a pause, a step that must not last for ever, a retry. */
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: GtidWakeOptions) {
    this.#options = options;
    this.#spacing = new Spacing(options.intervalMs);
  }

  /** A turn has ended: calls `onWake` once, when the log moves, with a glance at it; or at once,
   * without, when it has done so since the turn began. */
  arm(onWake: (glance?: Glance) => void): void {
    if (this.#closed) return;
    this.#onWake = onWake;
    if (this.#isDue) this.#deliver();
    else if (!this.#isWaiting) void this.#wait();
  }

  /** A turn begins. */
  disarm(): void {
    this.#onWake = undefined;
  }

  /** For good. Waits for nothing, least of all for the server. */
  close(): void {
    this.#closed = true;
    this.#onWake = undefined;
    this.#hangUp();
  }

  /** Waits until the log has moved, again and again between turns. */
  async #wait(): Promise<void> {
    this.#isWaiting = true;
    while (this.#onWake !== undefined) {
      try {
        await this.#pause(this.#spacing.pauseMs);
        await this.#waitOnce();
      } catch (error) {
        await this.#pause(this.#fail(error));
      }
    }
    this.#isWaiting = false;
  }

  async #waitOnce(): Promise<void> {
    const { intervalMs, graceMs } = this.#options;
    const isNewLine = this.#line === undefined;
    this.#line ??= await this.#connect();
    const { connection, dialect, glance } = this.#line;
    const startedAtMs = performance.now();
    const gtid = this.#carrier.next;
    const [sql, values] =
      isNewLine || gtid === undefined
        ? [dialect.position, []]
        : [dialect.waitFor, [gtid, intervalMs / 1000]];
    const seen = isNewLine ? Number.MAX_SAFE_INTEGER : this.#seen.head;
    const parameters = [...values, ...glance.parameters(seen)];
    const asked = connection.query<RowDataPacket[][]>(`${sql}; ${glance.sql}`, parameters);
    const [[[row] = [], log = []]] = await this.#bounded(asked, intervalMs + graceMs);
    if (this.#closed) return;
    const executed: unknown = row?.executed;
    if (typeof executed !== 'string' || executed === '' || row?.mode?.startsWith('OFF')) {
      throw new Error(`MySQL-B names no transactions: ${dialect.hint}`);
    }
    const waitedMs = performance.now() - startedAtMs;
    const hasMoved = executed !== this.#executed || row?.late === 0;
    const hasWaited = sql === dialect.waitFor;
    if (hasWaited && !hasMoved && waitedMs < intervalMs / 2) {
      throw new Error('MySQL-B does not wait for transactions');
    }
    const set = dialect.parse(executed);
    if (hasWaited) this.#faults = 0;
    const sent = { atMs: startedAtMs, clockMs: toClockMs(row?.asked_at), seen };
    const found = glance.read(log, sent);
    const { head, beatAtMs } = found.snapshot;
    const { head: headBefore, beatAtMs: beatBefore } = this.#seen;
    const hasNews = head !== headBefore || !Object.is(beatAtMs, beatBefore); // it may be no time
    this.#seen = { head, beatAtMs };
    this.#spacing.ended(hasNews, waitedMs);
    if (hasMoved) {
      this.#executed = executed;
      this.#carrier.observe(set, hasNews);
      if (hasWaited) this.wakes[hasNews ? 'news' : 'nothing'] += 1;
    }
    if (hasNews) this.#deliver(this.#options.isOneServer ? found : undefined);
  }

  async #connect(): Promise<Line> {
    const { connection: options, connect = createConnection } = this.#options;
    const connection = await connect({
      ...options,
      connectTimeout: CONNECT_TIMEOUT_MS,
      multipleStatements: true,
      charset: 'UTF8MB4_BIN',
      supportBigNumbers: true,
      enableKeepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
    });
    connection.on('error', () => {}); // whoever waits on the connection gets the same error
    try {
      const isMariadb = await this.#bounded(isMariadbOn(connection), CONNECT_TIMEOUT_MS);
      const dialect = isMariadb ? MARIADB : MYSQL;
      const session = [...sessionStatements(), dialect.noLimit].join('; ');
      await this.#bounded(connection.query(session), CONNECT_TIMEOUT_MS);
      const preparing = GlanceStatement.prepare(connection, this.#options.collection);
      const glance = await this.#bounded(preparing, CONNECT_TIMEOUT_MS);
      if (this.#closed) throw new Error('closed');
      return { connection, dialect, glance };
    } catch (error) {
      hangUp(connection);
      throw error;
    }
  }

  #deliver(glance?: Glance): void {
    const onWake = this.#onWake;
    this.#isDue = onWake === undefined;
    this.#onWake = undefined;
    onWake?.(glance);
  }

  /** @returns how long to let MySQL-B alone, in ms */
  #fail(error: unknown): number {
    this.#hangUp();
    this.#faults += 1;
    const reason = mysqlCodeOf(error) ?? (error instanceof Error ? error.message : String(error));
    if (this.#faults === 1 && !this.#closed) this.#options.onFault(reason);
    return backoffMs(this.#faults, FIRST_RETRY_MS, LAST_RETRY_MS, Math.random());
  }

  #hangUp(): void {
    clearTimeout(this.#timer);
    if (this.#line !== undefined) hangUp(this.#line.connection);
    this.#line = undefined;
  }

  /** As `#bounded`, it never settles when it is cut short by `close`: nobody is there to go on. */
  async #pause(ms: number): Promise<void> {
    if (ms === 0) return;
    await new Promise<void>((resolve) => {
      if (!this.#closed) this.#timer = setTimeout(resolve, ms);
    });
  }

  #bounded<T>(step: Promise<T>, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error('MySQL-B did not answer in time'));
      const timer = setTimeout(late, timeoutMs);
      step.then(resolve, reject).finally(() => clearTimeout(timer));
      if (this.#closed) clearTimeout(timer);
      this.#timer = timer;
    });
  }
}

async function isMariadbOn(connection: Connection): Promise<boolean> {
  const [[row]] = await connection.query<RowDataPacket[]>('SELECT VERSION() AS version');
  return String(row?.version).includes('MariaDB');
}
