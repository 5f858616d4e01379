/**
 * How a SELECT gets its answer: on which of the pool's connections, for how long, and how often.
 *
 * Invariant: whatever becomes of connections, a statement ends after its time, and one that failed in an
 * unknown state leaves its connection closed. When an answer is lost with its connection, the next one may
 * come from another history, after more was taken in of this one: only who is told of each sending is
 * answered so.
 */
import type { Pool, PoolConnection, RowDataPacket } from 'mysql2/promise';
import { within } from '../within.js';
import { explainMysqlFault, mysqlCodeOf, SILENCE, silence } from './fault.js';
import { connectionFrom, type Hosts, hostsOf, type Sent } from './hosts.js';
import { hangUp } from './pool.js';

type SqlValue = string | number | null;

/** When each connection last answered; one that never did is new. */
const ANSWERED_AT_MS = new WeakMap<object, number>();
/** How mysql2 tells that a connection is gone. */
const LOST = new Set(['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE']);
/** The connection that rested when the other one was lost may be lost, too. */
const MOST_ON_ONE_HOST = 2;
/** What the servers say of a text that is in no row, because its column's character set lacks it. */
const IMPOSSIBLE = new Set([
  'ER_IMPOSSIBLE_STRING_CONVERSION',
  'ER_CANT_AGGREGATE_2COLLATIONS',
  'ER_CANT_AGGREGATE_3COLLATIONS',
  'ER_CANT_AGGREGATE_NCOLLATIONS',
]);

/** One of the texts asked for is none that a row can have. */
export class ImpossibleText extends Error {}

export class Selects {
  readonly #pool: Pool;
  readonly #hosts: Hosts | undefined;
  readonly #timeoutMs: number;
  readonly #onRows: (hosts: Hosts, sent: Sent, rows: RowDataPacket[]) => void;
  /** When the newest statement was sent that found its connection gone. */
  #goneAtMs = 0;

  /** @param timeoutMs after which a statement that was not answered gives up its connection
   * @param onRows of several hosts: told what one has answered, and throws when that is not to be taken */
  constructor(
    pool: Pool,
    timeoutMs: number,
    onRows: (hosts: Hosts, sent: Sent, rows: RowDataPacket[]) => void,
  ) {
    this.#pool = pool;
    this.#hosts = hostsOf(pool);
    this.#timeoutMs = timeoutMs;
    this.#onRows = onRows;
  }

  /** @param onSend called each time that it is sent, on an open connection; without it, that is once
   * @throws ImpossibleText, TidemarkError */
  async run(sql: string, values: SqlValue[], onSend?: () => void): Promise<RowDataPacket[]> {
    try {
      for (let failures = 1; ; failures += 1) {
        const connection = await this.#trusted();
        const [sent, sentAtMs] = [this.#hosts?.now, performance.now()];
        onSend?.();
        try {
          const rows = await this.#execute(connection, sql, values);
          if (this.#hosts !== undefined && sent !== undefined)
            this.#onRows(this.#hosts, sent, rows);
          return rows;
        } catch (error) {
          if (error instanceof ImpossibleText) throw error;
          const mayRepeat = this.#judge(error, failures, sent, sentAtMs);
          if (!mayRepeat || onSend === undefined) throw error;
        }
      }
    } catch (error) {
      if (error instanceof ImpossibleText) throw error;
      throw explainMysqlFault(error, 'MySQL-B (MYSQL_B_URL)');
    }
  }

  /** @returns whether another connection, or another host, may answer */
  #judge(error: unknown, failures: number, sent: Sent | undefined, sentAtMs: number): boolean {
    const code = mysqlCodeOf(error) ?? '';
    const isLost = LOST.has(code);
    if (isLost || code === SILENCE) this.#goneAtMs = Math.max(this.#goneAtMs, sentAtMs);
    if (this.#hosts === undefined || sent === undefined) {
      return isLost && failures < MOST_ON_ONE_HOST;
    }
    return this.#hosts.mayRepeat(sent, error, failures);
  }

  /** A connection that is gone costs a statement its answer, and all its time when nobody says so. But
   * those that have rested for as long are not tried one by one after it. */
  async #trusted(): Promise<PoolConnection> {
    for (;;) {
      const connection = await (this.#hosts === undefined
        ? this.#pool.getConnection()
        : connectionFrom(this.#pool, this.#hosts));
      const answeredAtMs = ANSWERED_AT_MS.get(connection.connection);
      if (answeredAtMs === undefined || answeredAtMs >= this.#goneAtMs) return connection;
      hangUp(connection);
    }
  }

  async #execute(
    connection: PoolConnection,
    sql: string,
    values: SqlValue[],
  ): Promise<RowDataPacket[]> {
    try {
      // mysql2's own timeout begins only once the statement has been prepared, and what a new
      // connection is set up with before has none: on one whose peer has vanished, no end.
      const asked = connection.execute<RowDataPacket[]>({ sql, values });
      const [rows] = await within(asked, this.#timeoutMs, silence);
      ANSWERED_AT_MS.set(connection.connection, performance.now());
      connection.release();
      return rows;
    } catch (error) {
      if (IMPOSSIBLE.has(mysqlCodeOf(error) ?? '')) {
        connection.release();
        throw new ImpossibleText();
      }
      // Whatever else went wrong, a connection in an unknown state is worth less than a new one.
      hangUp(connection);
      throw error;
    }
  }
}
