/**
 * Answers of MySQL-B that are lost with their connection. Until another one brings them, more may have
 * been taken in, or history may have been rewritten: so it is sent again only for who is told of it.
 */
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { UnavailableError } from '../../src/index.js';
import { MysqlLog } from '../../src/mysql/log.js';
import { openPool } from '../../src/mysql/pool.js';
import { createDatabase, flavors, type TestDatabase } from '../support/data-centers.js';
import { behindProxy } from '../support/proxies.js';

const TIMEOUT_MS = 5_000;
const SHORT_MS = 500;

describe.each(flavors)('answers that are lost with their connection, on %s', (flavor) => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createDatabase(flavor);
  });
  afterAll(() => db.drop());

  async function opened() {
    const [proxy, url] = await behindProxy(db.b);
    const pool = openPool(url, { connectionLimit: 2 });
    onTestFinished(() => pool.end());
    const log = new MysqlLog(pool, DEFAULT_COLLECTION, TIMEOUT_MS);
    await log.tip();
    return { proxy, log };
  }

  test('are asked for once more, and who asked is told of each sending', async () => {
    const { proxy, log } = await opened();
    const asks = {
      fetch: (onSend: () => void) => log.fetch(['a'], onSend),
      tags: (onSend: () => void) => log.tags(['a'], onSend),
      list: (onSend: () => void) => log.list('a', undefined, 10, onSend),
    };
    for (const [name, ask] of Object.entries(asks)) {
      let sendings = 0;
      await ask(() => {
        sendings += 1;
        if (sendings === 1) proxy.reset();
      });
      expect([name, sendings]).toEqual([name, 2]);
    }
  });

  test('are an error for who is not told: the values of a page are of its own history', async () => {
    const { proxy, log } = await opened();
    proxy.reset();
    await expect(log.fetchSmall(['a'], 100)).rejects.toThrow(UnavailableError);
    expect((await log.fetchSmall(['a'], 100)).kind).toBe('small');
  });

  test('leave no socket behind, though their server has vanished', async () => {
    const [proxy, url] = await behindProxy(db.b);
    const pool = openPool(url, { connectionLimit: 2 });
    onTestFinished(() => pool.end());
    const sockets: Socket[] = [];
    pool.pool.on('connection', (connection) => {
      sockets.push((connection as unknown as { stream: Socket }).stream); // mysql2's types leave it out
    });
    const log = new MysqlLog(pool, DEFAULT_COLLECTION, SHORT_MS);
    await log.tip();
    for (const end of proxy.vanish()) onTestFinished(() => void end.destroy());
    await expect(log.tip()).rejects.toThrow(UnavailableError);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]);
  });

  test('are asked for once more where the log is: a position judges it, whatever it shows', async () => {
    const { proxy, log } = await opened();
    const { head } = await log.tip();
    proxy.reset();
    expect((await log.poll(1, 10)).head).toBe(head);
    proxy.reset();
    expect((await log.tip()).head).toBe(head);
  });
});
