/** A database and writers for each test of a `describe`, in the hooks of vitest. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { Flavor } from '../../src/demo/data-centers.js';
import { Writer, type WriterOptions } from '../../src/writer/writer.js';
import { connected, createDatabase, query, type TestDatabase } from './data-centers.js';
import { until } from './until.js';

const LOCK_WAITS = `SELECT t.trx_id FROM information_schema.innodb_trx t
  JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
  WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()`;
/** InnoDB shows the same transactions again to whoever asks within 100 ms of the last one. */
const LOOKS_AGAIN_AFTER_MS = 150;

export class WriterFixture {
  #database: TestDatabase | undefined;
  #writer: Writer | undefined;
  readonly #opened: Writer[] = [];

  /** One database for all tests, without rows at the start of each. */
  constructor(flavor: Flavor) {
    beforeAll(async () => {
      this.#database = await createDatabase(flavor);
    });
    beforeEach(async () => {
      await this.run('DELETE FROM configs');
      this.#writer = this.open();
    });
    afterEach(async () => {
      await Promise.all(this.#opened.splice(0).map((one) => one.close()));
    });
    afterAll(async () => {
      await this.#database?.drop();
    });
  }

  get database(): TestDatabase {
    if (this.#database === undefined) throw new Error('Expected to be within a test.');
    return this.#database;
  }

  get writer(): Writer {
    if (this.#writer === undefined) throw new Error('Expected to be within a test.');
    return this.#writer;
  }

  /** Another writer, closed after the test. */
  open(options: Partial<WriterOptions> = {}): Writer {
    const one = new Writer({ mysql: this.database.writer, ...options });
    this.#opened.push(one);
    return one;
  }

  run(sql: string, values: (string | number)[] = []) {
    return query(this.database.a, sql, values);
  }

  /** While `during` runs, another transaction has locked what `sql` selects. */
  async locked(sql: string, during: () => Promise<void>): Promise<void> {
    await connected(this.database.a, async (them) => {
      // Only the rows, not the gaps around them, where nobody could insert.
      await them.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
      await them.beginTransaction();
      await them.query(sql);
      try {
        await during();
      } finally {
        await them.rollback();
      }
    });
  }

  /** Resolves when a transaction of this database waits for a lock. */
  async untilLockWait(): Promise<void> {
    await until('a transaction to wait for a lock', async () => {
      await delay(LOOKS_AGAIN_AFTER_MS);
      return (await this.run(LOCK_WAITS)).length > 0;
    });
  }

  async stored(): Promise<Record<string, string>> {
    const rows = await this.run('SELECT config_key, config_value FROM configs ORDER BY config_key');
    return Object.fromEntries(rows.map((row) => [row.config_key, row.config_value]));
  }
}
