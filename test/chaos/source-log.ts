/**
 * A's own log, as the truth that the checker is told: what each version made of its key.
 *
 * Triggers on A note the value of each changed row in `chaos_history`, in the transaction of the
 * change. What they cannot see is filled in here: an INSERT that found its key (ON DUPLICATE KEY,
 * IGNORE) takes a version and changes nothing by it, and the delete inside a REPLACE takes a version
 * at which the new row is there already, since both commit at once.
 *
 * Invariant: versions are handed over in order, each once per history, and each is explained: a
 * version that no trigger explains, other than of such an INSERT, is an error of the run.
 */
import { createHash } from 'node:crypto';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import type { Database } from '../../src/demo/database-server.js';
import type { TruthRow } from './history.js';
import { nowMs } from './now.js';

/** SQL for the mark in a row's value. */
export const markSql = (row: string) =>
  `SUBSTRING_INDEX(SUBSTRING_INDEX(LEFT(${row}.config_value, 200), '"', 4), '"', -1)`;
const NOTE = 'INSERT INTO chaos_history (version, row_key, mark) VALUES';

const SET_UP = [
  `CREATE TABLE chaos_history (
     version BIGINT UNSIGNED NOT NULL PRIMARY KEY,
     row_key VARCHAR(255) CHARACTER SET utf8mb4
       COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
     mark VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL) ENGINE = InnoDB`,
  'CREATE TABLE chaos_conflict (id BIGINT NOT NULL PRIMARY KEY) ENGINE = InnoDB',
  // A head beyond the row's own version: a REPLACE, whose BEFORE DELETE came after BEFORE INSERT.
  `CREATE TRIGGER chaos_insert AFTER INSERT ON configs FOR EACH ROW
   BEGIN
     ${NOTE} (NEW.version, NEW.config_key, ${markSql('NEW')});
     UPDATE chaos_history SET mark = ${markSql('NEW')}
     WHERE version > NEW.version AND row_key = NEW.config_key;
   END`,
  `CREATE TRIGGER chaos_update AFTER UPDATE ON configs FOR EACH ROW
   BEGIN
     IF CAST(NEW.config_key AS BINARY) <> CAST(OLD.config_key AS BINARY) THEN
       ${NOTE} (NEW.version - 1, OLD.config_key, NULL);
     END IF;
     ${NOTE} (NEW.version, NEW.config_key, ${markSql('NEW')});
   END`,
  `CREATE TRIGGER chaos_delete AFTER DELETE ON configs FOR EACH ROW
   BEGIN
     DECLARE at BIGINT UNSIGNED;
     SELECT head INTO at FROM config_stream WHERE id = 1;
     ${NOTE} (at, OLD.config_key, NULL);
   END`,
];

const PAGE_ROWS = 5_000;
const STATEMENT_TIMEOUT_MS = 5_000;

export class SourceLog {
  /** The last version that was handed over; the first one is where the log starts, of no key. */
  position = 1;
  /** How often history was rewritten. */
  rewinds = 0;
  readonly #values = new Map<string, string | null>();
  /** All that were ever changed, in a history that is gone, too. */
  readonly keys = new Set<string>();
  /** By version; undefined where the log has a hole. */
  readonly #identities: (string | undefined)[] = [];
  #connection: Connection | undefined;
  #pulling: Promise<void> | undefined;

  constructor(
    private readonly a: Database,
    private readonly tell: (rows: readonly TruthRow[]) => void,
  ) {}

  static async setUp(a: Database): Promise<void> {
    for (const statement of SET_UP) await a.query(statement);
  }

  /** Hands over what is new; calls that overlap share one pull.
   * @throws Error when A does not answer: the next call goes on */
  pull(): Promise<void> {
    this.#pulling ??= this.#pull().finally(() => {
      this.#pulling = undefined;
    });
    return this.#pulling;
  }

  /** To the very end of what A had committed when this was called. */
  async pullToEnd(): Promise<void> {
    await this.#pulling?.catch(() => undefined); // it may have read before
    await this.pull();
  }

  /** What a mark of Redis at `version` must carry; '-' where the log has a hole. */
  fingerprintAt(version: number): string | undefined {
    if (version > this.position) return undefined;
    const identity = this.#identities[version];
    if (identity === undefined) return '-';
    return createHash('sha256').update(identity).digest('base64url').slice(0, 12);
  }

  /** History goes on after `lastKept`, in what A holds now; nobody may write meanwhile. */
  async rewind(lastKept: number): Promise<void> {
    this.close();
    const rows = await this.a.query(
      `SELECT config_key, ${markSql('configs')} AS mark FROM configs`,
    );
    this.position = lastKept;
    this.rewinds += 1;
    this.#identities.length = lastKept + 1;
    this.#values.clear();
    for (const { config_key, mark } of rows) this.#values.set(config_key, mark);
  }

  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  async #pull(): Promise<void> {
    try {
      this.#connection ??= await connectTo(this.a);
      while (await this.#page(this.#connection)) {
        // There is more: go on.
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @returns whether there was a full page, so that there may be more */
  async #page(connection: Connection): Promise<boolean> {
    const timeout = STATEMENT_TIMEOUT_MS;
    const query = async (sql: string, values: number[] = []) =>
      (await connection.query<RowDataPacket[]>({ sql, values, timeout }))[0];
    await query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
    const [stream] = await query('SELECT head FROM config_stream');
    const to = Math.min(Number(stream?.head), this.position + PAGE_ROWS);
    const between = 'version > ? AND version <= ? ORDER BY version';
    const changes = await query(
      `SELECT version, table_name, row_key, op, changed_at FROM config_changes WHERE ${between}`,
      [this.position, to],
    );
    const notes = await query(`SELECT version, row_key, mark FROM chaos_history WHERE ${between}`, [
      ...[this.position, to],
    ]);
    await query('COMMIT');
    const seenMs = nowMs();
    const changeAt = new Map(changes.map((row) => [Number(row.version), row]));
    const noteAt = new Map(notes.map((row) => [Number(row.version), row]));
    const told: TruthRow[] = [];
    for (let version = this.position + 1; version <= to; version++) {
      told.push(this.#explain(version, changeAt.get(version), noteAt.get(version), seenMs));
    }
    if (told.length > 0) this.tell(told);
    return to < Number(stream?.head);
  }

  #explain(
    version: number,
    change: RowDataPacket | undefined,
    note: RowDataPacket | undefined,
    seenMs: number,
  ): TruthRow {
    const key = String(note?.row_key ?? change?.row_key ?? '');
    if (change !== undefined && note !== undefined && change.row_key !== note.row_key) {
      throw new UnexplainedError(`version ${version} is of ${change.row_key}, noted of ${key}`);
    }
    const before = this.#values.get(key) ?? null;
    const value = note === undefined ? before : (note.mark as string | null); // the column's type
    const explained = note !== undefined || change?.op === 'start' || change?.op === 'insert';
    if (!explained) throw new UnexplainedError(`no trigger noted version ${version} of '${key}'`);
    this.#values.set(key, value);
    this.keys.add(key);
    this.#identities[version] =
      change && `${change.changed_at}\0${change.table_name}\0${change.row_key}`;
    this.position = version;
    return { version, key, value, seenMs };
  }
}

/** A connection that prints times as the server has them. */
export async function connectTo({ endpoint }: Database): Promise<Connection> {
  const limits = { connectTimeout: 2_000, supportBigNumbers: true, dateStrings: true };
  const connection = await createConnection({ ...endpoint, ...limits });
  connection.on('error', () => {}); // the query that is under way, or the next one, says it
  return connection;
}

/** The run's own bookkeeping does not add up: not a finding about Tidemark. */
export class UnexplainedError extends Error {
  override readonly name = 'UnexplainedError';

  constructor(what: string) {
    super(`Expected every version of A's log to be explained: ${what}.`);
  }
}
