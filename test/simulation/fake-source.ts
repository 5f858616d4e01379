/**
 * MySQL-A as a writer meets it: transactions at READ COMMITTED, row locks, the log's head whose lock
 * is held to commit, and the triggers. It understands statements by their text; one that it does not
 * know is a gap of the simulation. test/contract holds it against the real servers.
 */
import { createHash } from 'node:crypto';
import { mysqlError, type Session, SimulationGap, type SqlValue } from './fake-pool.js';
import type { Change, History } from './history.js';
import { type Holder, Locks } from './locks.js';

const LOCK_WAIT_TIMEOUT_MS = 5_000;
const HEAD = 'head';

type Row = Record<string, unknown>;
type Header = { affectedRows: number };
type Run = (session: SourceSession, values: readonly string[]) => unknown;
type Version = { readonly version: number; readonly value: Buffer };

const KEY = '`config_key`';
const LIST = '\\(\\?(?:, \\?)*\\)';
const statement = (pattern: string) => new RegExp(`^${pattern}$`);

const STATEMENTS: [pattern: RegExp, run: (found: RegExpExecArray) => Run][] = [
  [/^SET (SESSION )?TRANSACTION ISOLATION LEVEL READ COMMITTED$/, () => () => header(0)],
  [/^(START TRANSACTION|BEGIN)$/, () => (session) => session.start()],
  [/^COMMIT$/, () => (session) => session.commit()],
  [/^ROLLBACK$/, () => (session) => session.rollback()],
  [
    /^SELECT head FROM config_stream WHERE id = 1( FOR UPDATE)?$/,
    ([, lock]) =>
      (session) =>
        session.head(lock !== undefined),
  ],
  [
    /^SELECT row_key, version FROM config_changes WHERE version > \? ORDER BY version$/,
    () =>
      (session, [version]) =>
        session.changesAfter(Number(version)),
  ],
  [
    statement(
      `SELECT CONVERT\\(${KEY} USING utf8mb4\\) AS row_key, \`version\` AS version, (?:SHA2\\(CONVERT\\(\`config_value\` USING utf8mb4\\), 256\\)|(IF\\(\`config_value\` IS NULL, NULL, ''\\))) AS digest FROM \`configs\` WHERE ${KEY} IN ${LIST}( FOR UPDATE)?( NOWAIT)?`,
    ),
    ([, noDigest, lock, atOnce]) =>
      async (session, keys) => {
        const how = lock === undefined ? 'none' : atOnce === undefined ? 'wait' : 'at once';
        const rows = await session.select(keys, how);
        return noDigest === undefined ? rows : rows.map((row) => ({ ...row, digest: '' }));
      },
  ],
  [
    statement(
      'INSERT INTO `configs` \\(`config_key`, `config_value`\\) VALUES \\(\\?, \\?\\)(?:, \\(\\?, \\?\\))*',
    ),
    () => (session, values) => session.insert(values),
  ],
  [
    statement(
      `UPDATE \`configs\` SET \`config_value\` = ELT\\(FIELD\\(${KEY}, \\?(?:, \\?)*\\), \\?(?:, \\?)*\\) WHERE ${KEY} IN ${LIST}`,
    ),
    () => (session, values) => {
      const count = values.length / 3;
      const field = values.slice(0, count).map((key) => session.collate(key));
      return session.change(values.slice(2 * count), (key) => {
        return values[count + field.indexOf(session.collate(key))] ?? null;
      });
    },
  ],
  [
    statement(`DELETE FROM \`configs\` WHERE ${KEY} (?:= \\?|IN ${LIST})`),
    () => (session, keys) => session.change(keys, () => null),
  ],
];

/** What a test of the writer wants to know of a commit. */
export type OnCommit = (changes: readonly Change[], first: number) => void;

export class SimulatedSource {
  history: History;
  readonly locks: Locks;
  readonly onCommit: OnCommit;
  readonly #nowMs: () => number;
  #sessions = new Set<SourceSession>();

  constructor(
    history: History,
    nowMs: () => number,
    onCommit: OnCommit = () => {},
    lockWaitTimeoutMs = LOCK_WAIT_TIMEOUT_MS,
  ) {
    this.locks = new Locks(lockWaitTimeoutMs);
    this.history = history;
    this.#nowMs = nowMs;
    this.onCommit = onCommit;
  }

  connect(): SourceSession {
    const session = new SourceSession(this);
    this.#sessions.add(session);
    return session;
  }

  forget(session: SourceSession): void {
    this.#sessions.delete(session);
  }

  commit(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    const first = this.history.head + 1;
    this.history.commit(changes, this.#nowMs());
    this.onCommit(changes, first);
  }

  /** The server dies; another one goes on with `history`. Nobody's transaction is left. */
  fail(history: History): void {
    for (const session of [...this.#sessions]) session.close();
    this.history = history;
  }
}

export class SourceSession implements Session, Holder {
  waitsFor: string | undefined;
  readonly #source: SimulatedSource;
  #inTransaction = false;
  #isClosed = false;
  /** What this transaction has made of rows, by what the collation makes of their keys. */
  #rows = new Map<string, { key: string; row: Version | undefined }>();
  #changes: Change[] = [];

  constructor(source: SimulatedSource) {
    this.#source = source;
  }

  get #history(): History {
    return this.#source.history;
  }

  collate(key: string): string {
    return this.#history.collate(key);
  }

  async execute(sql: string, values: readonly SqlValue[]): Promise<unknown> {
    if (this.#isClosed) throw mysqlError('PROTOCOL_CONNECTION_LOST');
    const [rowsBefore, changesBefore] = [new Map(this.#rows), this.#changes.length];
    try {
      const answer = await runOf(sql)(this, values.map(String));
      if (!this.#inTransaction) this.commit();
      return answer;
    } catch (error) {
      if (this.#isClosed) throw mysqlError('PROTOCOL_CONNECTION_LOST');
      this.#rows = rowsBefore;
      this.#changes.length = changesBefore;
      const isDeadlock =
        error instanceof Error && 'code' in error && error.code === 'ER_LOCK_DEADLOCK';
      if (isDeadlock || !this.#inTransaction) this.rollback();
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#source.forget(this);
    this.#end();
  }

  start(): Header {
    this.commit();
    this.#inTransaction = true;
    return header(0);
  }

  commit(): Header {
    this.#source.commit(this.#changes);
    this.#end();
    return header(0);
  }

  rollback(): Header {
    this.#end();
    return header(0);
  }

  async head(isLocked: boolean): Promise<Row[]> {
    if (isLocked) await this.#lock(HEAD);
    return [{ head: this.#history.head + this.#changes.length }];
  }

  changesAfter(version: number): Row[] {
    const { head } = this.#history;
    const committed = this.#history.log(version + 1, Number.POSITIVE_INFINITY, head);
    const own = this.#changes.map(({ key }, index) => ({ key, version: head + 1 + index }));
    return [...committed, ...own.filter((row) => row.version > version)].map((row) => ({
      row_key: row.key,
      version: row.version,
    }));
  }

  async select(keys: readonly string[], lock: 'none' | 'wait' | 'at once'): Promise<Row[]> {
    const rows: Row[] = [];
    for (const collated of this.#inOrder(keys)) {
      if (lock === 'at once' && this.#isTaken(collated)) throw mysqlError('ER_LOCK_NOWAIT');
      if (lock !== 'none' && !(await this.#lockRow(collated))) continue;
      const found = this.#row(collated);
      if (found?.row === undefined) continue;
      const digest = createHash('sha256').update(found.row.value).digest('hex');
      rows.push({ row_key: found.key, version: found.row.version, digest });
    }
    return rows;
  }

  async insert(values: readonly string[]): Promise<Header> {
    for (let index = 0; index < values.length; index += 2) {
      const [key = '', value = ''] = values.slice(index);
      const collated = this.collate(key);
      await this.#lock(HEAD); // the trigger comes before the row
      await this.#lock(`row ${collated}`);
      if (this.#row(collated)?.row !== undefined) {
        throw mysqlError('ER_DUP_ENTRY', `Duplicate entry '${key}' for key 'PRIMARY'`);
      }
      this.#put(collated, key, Buffer.from(value));
    }
    return header(values.length / 2);
  }

  /** Updates or deletes the rows of `keys`, as `valueFor` says of each. */
  async change(keys: readonly string[], valueFor: (key: string) => string | null): Promise<Header> {
    let affected = 0;
    for (const collated of this.#inOrder(keys)) {
      if (!(await this.#lockRow(collated))) continue;
      const found = this.#row(collated);
      if (found?.row === undefined) continue;
      await this.#lock(HEAD);
      const value = valueFor(found.key);
      this.#put(collated, found.key, value === null ? null : Buffer.from(value));
      affected += 1;
    }
    return header(affected);
  }

  #inOrder(keys: readonly string[]): string[] {
    return [...new Set(keys.map((key) => this.collate(key)))].sort();
  }

  #put(collated: string, key: string, value: Buffer | null): void {
    this.#changes.push({ key, value });
    const version = this.#history.head + this.#changes.length;
    this.#rows.set(collated, { key, row: value === null ? undefined : { version, value } });
  }

  /** The row as this transaction sees it. */
  #row(collated: string): { key: string; row: Version | undefined } | undefined {
    const own = this.#rows.get(collated);
    if (own !== undefined) return own;
    const history = this.#history;
    for (const key of history.alike(collated)) {
      const value = history.valueAt(key, history.head);
      if (value === null) continue;
      return { key, row: { version: history.changeAt(key, history.head), value } };
    }
    return undefined;
  }

  #isTaken(collated: string): boolean {
    const holder = this.#source.locks.holderOf(`row ${collated}`);
    return holder !== undefined && holder !== this;
  }

  /** Locks a row that there is, waiting for whoever has it. False when there is none. */
  async #lockRow(collated: string): Promise<boolean> {
    const name = `row ${collated}`;
    const before = this.#source.locks.holderOf(name);
    if (before === undefined && this.#row(collated)?.row === undefined) return false;
    await this.#lock(name);
    if (this.#row(collated)?.row !== undefined) return true;
    if (before !== this) this.#source.locks.release(this, name); // it is gone again
    return false;
  }

  async #lock(name: string): Promise<void> {
    await this.#source.locks.take(this, name);
    if (this.#isClosed) {
      this.#end();
      throw mysqlError('PROTOCOL_CONNECTION_LOST');
    }
  }

  #end(): void {
    this.#inTransaction = false;
    this.#rows = new Map();
    this.#changes = [];
    this.#source.locks.releaseAll(this);
  }
}

const known = new Map<string, Run>();

function runOf(sql: string): Run {
  let run = known.get(sql);
  if (run !== undefined) return run;
  const text = sql.replaceAll(/\s+/g, ' ').trim();
  for (const [pattern, make] of STATEMENTS) {
    const found = pattern.exec(text);
    if (found !== null) run ??= make(found);
  }
  if (run === undefined) {
    throw new SimulationGap(`Expected a statement that the simulated source knows, got ${text}`);
  }
  known.set(sql, run);
  return run;
}

function header(affectedRows: number): Header {
  return { affectedRows };
}
