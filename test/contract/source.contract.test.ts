/**
 * The same statements about a source that a writer talks to: MySQL, MariaDB and the simulation's, so
 * that what the simulation proves of the writer holds for the real ones.
 */
import type { PoolConnection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openPool } from '../../src/mysql/pool.js';
import { SimulatedPool } from '../simulation/fake-pool.js';
import { SimulatedSource } from '../simulation/fake-source.js';
import { History } from '../simulation/history.js';
import { AtOnce } from '../support/at-once.js';
import { createDatabase, flavors } from '../support/data-centers.js';

type Connection = Pick<PoolConnection, 'query' | 'execute' | 'destroy' | 'release'>;

interface World {
  connect(): Promise<Connection>;
  close(): Promise<void>;
}

const LOCK_WAIT_SECONDS = 1;

function simulatedWorld(): World {
  const source = new SimulatedSource(new History(0), () => 0, undefined, LOCK_WAIT_SECONDS * 1_000);
  const network = { epoch: 0, nowMs: () => 0, connect: () => source.connect() };
  const pool = new SimulatedPool('contract', network, new AtOnce(1));
  return { connect: () => pool.pool.getConnection(), close: async () => undefined };
}

async function realWorld(flavor: (typeof flavors)[number]): Promise<World> {
  const database = await createDatabase(flavor);
  const pool = openPool(database.a, {
    connectionLimit: 5,
    lockWaitTimeoutSeconds: LOCK_WAIT_SECONDS,
  });
  return {
    connect: () => pool.getConnection(),
    close: async () => {
      await pool.end();
      await database.drop();
    },
  };
}

const worlds: [string, () => Promise<World>][] = [
  ['the simulation', async () => simulatedWorld()],
  ...flavors.map((flavor): [string, () => Promise<World>] => [flavor, () => realWorld(flavor)]),
];

const COLUMNS = `CONVERT(\`config_key\` USING utf8mb4) AS row_key, \`version\` AS version,
  SHA2(CONVERT(\`config_value\` USING utf8mb4), 256) AS digest`;
const SELECT = (count: number) =>
  `SELECT ${COLUMNS} FROM \`configs\` WHERE \`config_key\` IN (${marks(count)})`;
const INSERT = (count: number) =>
  `INSERT INTO \`configs\` (\`config_key\`, \`config_value\`) VALUES ${Array(count).fill('(?, ?)').join(', ')}`;
const UPDATE_MANY = (count: number) =>
  `UPDATE \`configs\` SET \`config_value\` = ELT(FIELD(\`config_key\`, ${marks(count)}), ${marks(count)})
   WHERE \`config_key\` IN (${marks(count)})`;
const DELETE = 'DELETE FROM `configs` WHERE `config_key` = ?';
const DELETE_MANY = (count: number) =>
  `DELETE FROM \`configs\` WHERE \`config_key\` IN (${marks(count)})`;
const HEAD = 'SELECT head FROM config_stream WHERE id = 1';
const CHANGES = 'SELECT row_key, version FROM config_changes WHERE version > ? ORDER BY version';

function marks(count: number): string {
  return Array(count).fill('?').join(', ');
}

class Session {
  constructor(readonly connection: Connection) {}

  async begin(): Promise<void> {
    await this.connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED');
    await this.connection.query('START TRANSACTION');
  }

  async rows(sql: string, values: (string | number)[] = []): Promise<RowDataPacket[]> {
    const [rows] = await this.connection.execute<RowDataPacket[]>(sql, values);
    return rows.map((row) => ({ ...row }));
  }

  async affected(sql: string, values: (string | number)[]): Promise<number> {
    const [{ affectedRows }] = await this.connection.execute<ResultSetHeader>(sql, values);
    return affectedRows;
  }

  async head(): Promise<number> {
    return Number((await this.rows(HEAD))[0]?.head);
  }

  async versions(...keys: string[]): Promise<Record<string, number>> {
    const rows = await this.rows(SELECT(keys.length), keys);
    return Object.fromEntries(rows.map((row) => [row.row_key, Number(row.version)]));
  }

  commit = () => this.connection.query('COMMIT');
  rollback = () => this.connection.query('ROLLBACK');
}

/** Whether `promise` is still open after the others have had their turn. */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  const later = new Promise((resolve) => setTimeout(resolve, 100, open));
  return (await Promise.race([promise, later])) === open;
}

describe.each(worlds)('the source of %s', (_name, makeWorld) => {
  let world: World;
  let sessions: Session[] = [];
  beforeEach(async () => {
    world = await makeWorld();
    sessions = [];
  });
  afterEach(async () => {
    for (const { connection } of sessions) connection.destroy();
    await world.close();
  });

  async function session(): Promise<Session> {
    const made = new Session(await world.connect());
    sessions.push(made);
    return made;
  }

  async function holding(...rows: [key: string, value: string][]): Promise<Session> {
    const one = await session();
    if (rows.length > 0) await one.affected(INSERT(rows.length), rows.flat());
    return one;
  }

  test('gives each row the next version, and says so within the transaction only', async () => {
    const [one, other] = [await session(), await session()];
    expect(await one.head()).toBe(1);
    await one.begin();
    expect(await one.affected(INSERT(2), ['a', '1', 'b', '2'])).toBe(2);
    expect(await one.head()).toBe(3);
    expect(await one.versions('a', 'b', 'c')).toEqual({ a: 2, b: 3 });
    expect(await other.head()).toBe(1);
    expect(await other.versions('a', 'b')).toEqual({});
    await one.commit();
    expect(await other.head()).toBe(3);
    expect(await other.versions('a', 'b')).toEqual({ a: 2, b: 3 });
    expect(await other.rows(CHANGES, [1])).toEqual([
      { row_key: 'a', version: 2 },
      { row_key: 'b', version: 3 },
    ]);
  });

  test('answers how many rows it reached, and the digest of a value', async () => {
    const one = await holding(['a', '1'], ['b', '2'], ['c', '3']);
    expect(await one.affected(UPDATE_MANY(1), ['a', '"new"', 'a'])).toBe(1);
    expect(await one.affected(UPDATE_MANY(1), ['never', '"new"', 'never'])).toBe(0);
    expect(await one.affected(UPDATE_MANY(2), ['c', 'b', 'C', 'B', 'c', 'b'])).toBe(2);
    expect(await one.affected(DELETE, ['never'])).toBe(0);
    expect(await one.affected(DELETE, ['a'])).toBe(1);
    expect(await one.affected(DELETE_MANY(2), ['never', 'c'])).toBe(1);
    expect(await one.head()).toBe(1 + 3 + 3 + 2); // rows, updates, deletes
    const [row] = await one.rows(SELECT(1), ['b']);
    const digest = 'df7e70e5021544f4834bbee64a9e3789febc4be81470df629cad6ddb03320a5c'; // of B
    expect(row).toMatchObject({ row_key: 'b', digest });
  });

  test('a rollback and a closed connection leave no row and no gap', async () => {
    const [one, other, third] = [await session(), await session(), await session()];
    await one.begin();
    await one.affected(INSERT(1), ['a', '1']);
    await one.rollback();
    await other.begin();
    await other.affected(INSERT(1), ['a', '1']);
    other.connection.destroy();
    await third.begin();
    await third.rows(`${HEAD} FOR UPDATE`); // when the server has noticed
    expect(await third.versions('a')).toEqual({});
    await third.affected(INSERT(1), ['b', '1']);
    await third.commit();
    expect(await third.rows(CHANGES, [1])).toEqual([{ row_key: 'b', version: 2 }]);
  });

  test('a row that is there already is a duplicate, and the transaction goes on', async () => {
    const one = await holding(['a', '1']);
    await one.begin();
    await expect(one.affected(INSERT(2), ['b', '2', 'a', '3'])).rejects.toMatchObject({
      code: 'ER_DUP_ENTRY',
    });
    await one.affected(INSERT(1), ['c', '4']);
    await one.commit();
    expect(await one.versions('a', 'b', 'c')).toEqual({ a: 2, c: 3 });
  });

  test('whoever changes something has the head to itself until it commits', async () => {
    const [one, other] = [await session(), await session()];
    await one.begin();
    await one.affected(INSERT(1), ['a', '1']);
    await other.begin();
    const waiting = other.rows(`${HEAD} FOR UPDATE`);
    expect(await isWaiting(waiting)).toBe(true);
    await one.commit();
    expect(Number((await waiting)[0]?.head)).toBe(2);
    expect(await other.versions('a')).toEqual({ a: 2 }); // READ COMMITTED
  });

  test('a locked row is waited for, or an error; one that does not exist is not locked', async () => {
    const one = await holding(['a', '1'], ['b', '2']);
    const other = await session();
    await one.begin();
    await other.begin();
    expect(await one.rows(`${SELECT(2)} FOR UPDATE`, ['a', 'never'])).toHaveLength(1);
    const isLocked = { code: expect.stringMatching(/^ER_LOCK_(NOWAIT|WAIT_TIMEOUT)$/) };
    const both = other.rows(`${SELECT(3)} FOR UPDATE NOWAIT`, ['a', 'b', 'never']);
    await expect(both).rejects.toMatchObject(isLocked);
    const free = await other.rows(`${SELECT(2)} FOR UPDATE NOWAIT`, ['b', 'never']);
    expect(free.map((row) => row.row_key)).toEqual(['b']);
    expect(await other.rows(`${SELECT(1)} FOR UPDATE`, ['never'])).toEqual([]);
    const waiting = other.rows(`${SELECT(1)} FOR UPDATE`, ['a']);
    expect(await isWaiting(waiting)).toBe(true);
    await one.affected(UPDATE_MANY(1), ['a', '"new"', 'a']);
    await one.commit();
    expect((await waiting).map((row) => Number(row.version))).toEqual([4]);
  });

  test('a row that its owner deletes is gone for whoever waited for it', async () => {
    const one = await holding(['a', '1']);
    const other = await session();
    await one.begin();
    await other.begin();
    await one.affected(DELETE_MANY(1), ['a']);
    const waiting = other.rows(`${SELECT(1)} FOR UPDATE`, ['a']);
    expect(await isWaiting(waiting)).toBe(true);
    await one.commit();
    expect(await waiting).toEqual([]);
  });

  test('two who wait for one another: one is rolled back, the other goes on', async () => {
    const one = await holding(['a', '1'], ['b', '2']);
    const other = await session();
    await one.begin();
    await other.begin();
    await one.rows(`${SELECT(1)} FOR UPDATE`, ['a']);
    await other.rows(`${SELECT(1)} FOR UPDATE`, ['b']);
    const ends = await Promise.allSettled([
      one.rows(`${SELECT(1)} FOR UPDATE`, ['b']),
      other.rows(`${SELECT(1)} FOR UPDATE`, ['a']),
    ]);
    const failed = ends.filter((end) => end.status === 'rejected');
    expect(failed).toHaveLength(1);
    expect(failed[0]?.reason).toMatchObject({ code: 'ER_LOCK_DEADLOCK' });
  });

  test('a wait for a lock ends, and only the statement is undone', async () => {
    const one = await holding(['a', '1'], ['b', '2']);
    const other = await session();
    await one.begin();
    await one.rows(`${SELECT(1)} FOR UPDATE`, ['a']);
    await other.begin();
    await other.rows(`${SELECT(1)} FOR UPDATE`, ['b']);
    await expect(other.affected(UPDATE_MANY(1), ['a', '"new"', 'a'])).rejects.toMatchObject({
      code: 'ER_LOCK_WAIT_TIMEOUT',
    });
    const waiting = one.rows(`${SELECT(1)} FOR UPDATE`, ['b']);
    expect(await isWaiting(waiting)).toBe(true); // the other's locks are still there
    await other.rollback();
    expect(await waiting).toHaveLength(1);
  });
});
