import { existsSync } from 'node:fs';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import { flavors, query } from '../support/data-centers.js';

describe.each(flavors)('data centers with %s', (flavor) => {
  let centers: DataCenters;

  beforeAll(async () => {
    centers = await startDataCenters({ flavor });
    await query(centers.a.url(), 'CREATE TABLE t (id INT PRIMARY KEY)');
  });

  afterAll(async () => {
    await centers.stop();
    expect(existsSync(centers.folder)).toBe(false);
    for (const url of [centers.a.url(), centers.b.url()]) {
      await expect(query(url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/);
    }
  });

  async function idsOnB(): Promise<unknown[]> {
    return (await query(centers.b.url(), 'SELECT id FROM t ORDER BY id')).map(({ id }) => id);
  }

  test('B has what A has, while replication is on', async () => {
    await query(centers.a.url(), 'INSERT INTO t VALUES (1)');
    await centers.caughtUp();
    expect(await idsOnB()).toEqual([1]);
    await centers.stopReplication();
    await query(centers.a.url(), 'INSERT INTO t VALUES (2)');
    expect(await idsOnB()).toEqual([1]);
    await centers.startReplication();
    await centers.caughtUp();
    expect(await idsOnB()).toEqual([1, 2]);
  });

  test('both come back on the same port with their data, and go on replicating', async () => {
    await centers.b.kill();
    await centers.a.stop();
    await expect(query(centers.b.url(), 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/);
    await Promise.all([centers.a.start(), centers.b.start()]);
    await query(centers.a.url(), 'INSERT INTO t VALUES (3)');
    await centers.caughtUp();
    expect(await idsOnB()).toEqual([1, 2, 3]);
  });

  test('a paused server answers when it is resumed', async () => {
    centers.a.pause();
    const late = createConnection({ uri: centers.a.url(), connectTimeout: 300 });
    await expect(late).rejects.toThrow(/ETIMEDOUT/);
    centers.a.resume();
    expect(await query(centers.a.url(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('B is read-only', async () => {
    const [row] = await query(centers.b.url(), 'SELECT @@global.read_only AS isReadOnly');
    expect(row).toEqual({ isReadOnly: 1 });
  });
});
