/** Writes by plain SQL in A: transactions of a few rows of every kind of statement, some undone. */
import type { Connection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import type { Database } from '../../src/demo/database-server.js';
import type { WriteRecord } from './history.js';
import { nowMs } from './now.js';
import type { Random } from './random.js';
import { connectTo } from './source-log.js';
import { BULK_KEYS, bulkKey, type Change, textOf, type Workload } from './workload.js';

const TIMEOUT_MS = 5_000;
const BULK_TIMEOUT_MS = 60_000;
const INSERT = 'INSERT INTO configs (config_key, config_value) VALUES';
const OR_UPDATE = 'ON DUPLICATE KEY UPDATE config_value = VALUES(config_value)';
const BULK_ROWS = 500;
const BULK_BYTES = 60;

export class SqlWrites {
  constructor(
    private readonly a: Database,
    private readonly tell: (record: WriteRecord) => void,
    private readonly workload: Workload,
  ) {}

  client(): SqlClient {
    return new SqlClient(this.a, this.tell, this.workload);
  }
}

export class SqlClient {
  #connection: Connection | undefined;

  constructor(
    private readonly a: Database,
    private readonly tell: (record: WriteRecord) => void,
    private readonly workload: Workload,
  ) {}

  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  /** One transaction of 1 to 5 rows. @returns false when it failed */
  async write(random: Random): Promise<boolean> {
    const keys = this.workload.keys(random, 1 + random.below(5));
    const undone = random.chance(0.1);
    return await this.transaction(
      async (run) => {
        const changes: Change[] = [];
        while (keys.length > 0) changes.push(...(await this.#statement(run, keys, random)));
        return changes;
      },
      { undone },
    );
  }

  /** One transaction that changes 10,000 keys. */
  async bulk(): Promise<boolean> {
    return await this.transaction(
      async (run) => {
        const changes: Change[] = [];
        for (let start = 0; start < BULK_KEYS; start += BULK_ROWS) {
          const part = Array.from({ length: BULK_ROWS }, (_, index) => ({
            key: bulkKey(start + index),
            value: this.workload.mark(),
          }));
          const values = part.flatMap(({ key, value }) => [key, textOf(value, BULK_BYTES)]);
          changes.push(...part);
          await run(`REPLACE INTO configs (config_key, config_value) VALUES ${rows(part)}`, values);
        }
        return changes;
      },
      { undone: false, timeoutMs: BULK_TIMEOUT_MS },
    );
  }

  /** Runs `work` in a transaction, and tells what it changed with the outcome. */
  async transaction(
    work: (run: Run) => Promise<readonly Change[]>,
    { undone, timeoutMs = TIMEOUT_MS }: { undone: boolean; timeoutMs?: number },
  ): Promise<boolean> {
    const sentMs = nowMs();
    let changes: readonly Change[] = [];
    let outcome: WriteRecord['outcome'] = 'refused';
    let version: number | undefined;
    try {
      this.#connection ??= await connectTo(this.a);
      const connection = this.#connection;
      const run: Run = async (sql, values = []) => {
        const [done] = await connection.query<ResultSetHeader>({
          ...{ sql, timeout: timeoutMs },
          values: [...values],
        });
        return done;
      };
      await run('BEGIN');
      changes = await work(run);
      const [heads] = await connection.query<RowDataPacket[]>({
        sql: 'SELECT head FROM config_stream',
        timeout: timeoutMs,
      });
      if (!undone) outcome = 'unknown'; // until COMMIT has answered
      await run(undone ? 'ROLLBACK' : 'COMMIT');
      if (!undone) {
        outcome = 'acked';
        version = Number(heads[0]?.head);
      }
      return true;
    } catch {
      this.close(); // what became of it is in the outcome
      return false;
    } finally {
      const doneMs = nowMs();
      const isBatch = true;
      for (const change of changes) {
        this.tell({ ...change, outcome, version, isBatch, sentMs, doneMs });
      }
    }
  }

  /** One statement of any kind, for some of `keys`, which it takes out. */
  async #statement(run: Run, keys: string[], random: Random): Promise<Change[]> {
    const count = 1 + random.below(keys.length);
    const part = keys.splice(0, count).map((key) => ({ key, value: this.workload.mark() }));
    const values = part.flatMap(({ key, value }) => [key, this.workload.text(value, random)]);
    const [first] = part;
    if (first === undefined) return [];
    const chance = random.next();
    if (chance < 0.3) {
      await run(`REPLACE INTO configs (config_key, config_value) VALUES ${rows(part)}`, values);
      return part;
    }
    if (chance < 0.7) {
      await run(`${INSERT} ${rows(part)} ${OR_UPDATE}`, values);
      return part;
    }
    if (chance < 0.8 && part[1] !== undefined) return await this.#rename(run, first, part[1].key);
    if (chance < 0.9) {
      const gone = part.map(({ key }) => key);
      const marks = gone.map(() => '?').join(', ');
      await run(`DELETE FROM configs WHERE config_key IN (${marks})`, gone);
      return gone.map((key) => ({ key, value: null }));
    }
    const ignoring = `INSERT IGNORE INTO configs (config_key, config_value) VALUES (?, ?)`;
    const { affectedRows } = await run(ignoring, [first.key, values[1] ?? '']);
    return affectedRows > 0 ? [first] : [];
  }

  /** `from` becomes what `to` was, with the value of `to`. */
  async #rename(run: Run, { key: to, value }: Change, from: string): Promise<Change[]> {
    if (value === null) return [];
    await run('DELETE FROM configs WHERE config_key = ?', [to]);
    const text = JSON.stringify({ mark: value, pad: 'renamed' });
    const { affectedRows } = await run(
      'UPDATE configs SET config_key = ?, config_value = ? WHERE config_key = ?',
      [to, text, from],
    );
    if (affectedRows === 0) return [{ key: to, value: null }];
    return [
      { key: to, value },
      { key: from, value: null },
    ];
  }
}

type Run = (sql: string, values?: readonly string[]) => Promise<ResultSetHeader>;

function rows(changes: readonly Change[]): string {
  return changes.map(() => '(?, ?)').join(', ');
}
