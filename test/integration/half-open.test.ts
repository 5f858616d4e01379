/**
 * Connections whose peer has vanished: neither bytes nor an end come any more, and whatever is sent
 * seems to be taken. Nobody but the one who waits can end that. New connections work.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { UnavailableError } from '../../src/index.js';
import { MysqlLog } from '../../src/mysql/log.js';
import { openPool } from '../../src/mysql/pool.js';
import { Maintenance } from '../../src/writer/maintenance.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { behindProxy } from '../support/proxies.js';
import { SILENT, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const ROUNDS = 12;
const TIMEOUT_MS = 300;

describe.each(flavors)('connections whose peer has vanished, on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  /** What a reader asks MySQL-B with, on one connection. */
  async function oneConnection() {
    const [proxy, url] = await behindProxy(db.b);
    const pool = openPool(url, { connectionLimit: 1 });
    onTestFinished(async () => {
      await proxy.close(); // so that nothing waits on a peer that has vanished
      await pool.end();
    });
    return { proxy, pool, log: new MysqlLog(pool, DEFAULT_COLLECTION, TIMEOUT_MS) };
  }

  test('a statement that the connection was never asked before is given up, too', async () => {
    const { proxy, log } = await oneConnection();
    const { head } = await log.tip();
    proxy.vanish();
    await expect(log.poll(1, 10)).rejects.toThrow(UnavailableError); // it must be prepared first
    expect((await log.poll(1, 10)).head).toBe(head);
  });

  test('one that was prepared is given up', async () => {
    const { proxy, log } = await oneConnection();
    const { head } = await log.tip();
    proxy.vanish();
    await expect(log.tip()).rejects.toThrow(UnavailableError);
    expect((await log.tip()).head).toBe(head);
  });

  test('one that vanished right after the login is given up', async () => {
    const { proxy, pool, log } = await oneConnection();
    pool.pool.once('connection', () => proxy.vanish());
    await expect(log.tip()).rejects.toThrow(UnavailableError);
    await log.tip();
  });

  test('one of many that vanished together is enough to find out: the next statement is answered', async () => {
    const [proxy, url] = await behindProxy(db.b);
    const pool = openPool(url, { connectionLimit: 5 });
    onTestFinished(async () => {
      await proxy.close();
      await pool.end();
    });
    const log = new MysqlLog(pool, DEFAULT_COLLECTION, TIMEOUT_MS);
    await Promise.all(Array.from({ length: 5 }, () => log.tip()));
    expect(proxy.connections).toBe(5);
    proxy.vanish();
    await expect(log.tip()).rejects.toThrow(UnavailableError);
    await log.tip();
  });

  test('a reader goes on, whenever its connections to MySQL-B and Redis vanish', async () => {
    const [mysql, b] = await behindProxy(db.b);
    const [cache, redis] = await behindProxy(db.redis);
    const reader = await startReader(
      { b, redis },
      { readTimeoutMs: TIMEOUT_MS, redisTimeoutMs: 100 },
    );
    for (let round = 0; round < ROUNDS; round += 1) {
      const key = `k${round % 3}`;
      await query(db.a, 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)', [
        key,
        `${round}`,
      ]);
      if (round % 3 !== 1) mysql.vanish();
      if (round % 3 !== 0) cache.vanish();
      await until('the change', async () => (await textOf(reader, key)) === `${round}`);
    }
    await until('all of it taken', () => taken(db.a, [reader]));
  });

  test('the heartbeat goes on when its connection vanishes right after the login', async () => {
    const [proxy, url] = await behindProxy(db.writer);
    const pool = openPool(url, { connectionLimit: 2 });
    const maintenance = new Maintenance({ pool, logger: SILENT });
    onTestFinished(async () => {
      await proxy.close();
      await maintenance.stop();
      await pool.end();
    });
    pool.pool.once('connection', () => proxy.vanish());
    maintenance.start();
    await until('a leader', () => maintenance.status().leader);
  });
});
