/**
 * The same statements about the log of MySQL, of MariaDB and of the simulation, so that what the
 * simulation proves holds for the real ones.
 */
import type { Pool } from 'mysql2/promise';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEFAULT_COLLECTION } from '../../src/core/collection.js';
import { type LogRow, positionOf } from '../../src/core/position.js';
import type { Glance } from '../../src/mysql/glance.js';
import { type ChangeLog, MysqlLog } from '../../src/mysql/log.js';
import { openPool } from '../../src/mysql/pool.js';
import { SimulatedPool } from '../simulation/fake-pool.js';
import { replicaSession } from '../simulation/fake-replica.js';
import { History } from '../simulation/history.js';
import { AtOnce } from '../support/at-once.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { glanceOn } from '../support/glance.js';

interface World {
  readonly log: ChangeLog;
  /** As an early wake takes it. */
  glance(seen: number): Promise<Glance>;
  /** One change; resolves to its version when the log shows it. */
  write(key: string): Promise<number>;
  remove(key: string): Promise<number>;
  /** What the last write of `key` made of it. */
  valueOf(key: string): string | null;
  prune(version: number): Promise<void>;
  punchHole(version: number): Promise<void>;
  close(): Promise<void>;
}

class RealWorld implements World {
  readonly log: ChangeLog;
  readonly #values = new Map<string, string>();
  #head = 1;

  private constructor(
    readonly database: TestDatabase,
    readonly pool: Pool,
  ) {
    this.log = new MysqlLog(pool, DEFAULT_COLLECTION, 30_000);
  }

  static async open(flavor: (typeof flavors)[number]): Promise<RealWorld> {
    const database = await createDatabase(flavor);
    return new RealWorld(database, openPool(database.b, { connectionLimit: 2 }));
  }

  async write(key: string, value = `"${key}@${this.#head + 1}"`): Promise<number> {
    const sql = this.#values.has(key)
      ? 'UPDATE configs SET config_value = ? WHERE config_key = ?'
      : 'INSERT INTO configs (config_value, config_key) VALUES (?, ?)';
    await this.#run(sql, [value, key]);
    this.#values.set(key, value);
    return ++this.#head;
  }

  async remove(key: string): Promise<number> {
    await this.#run('DELETE FROM configs WHERE config_key = ?', [key]);
    this.#values.delete(key);
    return ++this.#head;
  }

  glance(seen: number): Promise<Glance> {
    return glanceOn(this.pool, seen);
  }

  valueOf(key: string): string | null {
    return this.#values.get(key) ?? null;
  }

  prune(version: number): Promise<void> {
    return this.#run('DELETE FROM config_changes WHERE version < ?', [version]);
  }

  punchHole(version: number): Promise<void> {
    return this.#run('DELETE FROM config_changes WHERE version = ?', [version]);
  }

  async close(): Promise<void> {
    await this.pool.end();
    await this.database.drop();
  }

  async #run(sql: string, values: (string | number)[]): Promise<void> {
    await query(this.database.a, sql, values);
    await this.database.caughtUp();
  }
}

/** The real log over a pool whose server is simulated. */
function simulatedWorld(): World {
  const history = new History(0);
  const replica = () => ({ history, moment: history.moment(history.end), clockMs: Date.now() });
  const network = { epoch: 0, nowMs: () => 0, connect: () => replicaSession(replica) };
  const pool = new SimulatedPool('contract', network, new AtOnce(1));
  const change = async (key: string, text: string | null) => {
    history.commit([{ key, value: text === null ? null : Buffer.from(text) }], 0);
    return history.head;
  };
  return {
    log: new MysqlLog(pool.pool, DEFAULT_COLLECTION, 30_000),
    glance: (seen) => glanceOn(pool.pool, seen),
    write: (key) => change(key, `"${key}@${history.head + 1}"`),
    remove: (key) => change(key, null),
    valueOf: (key) => history.valueAt(key, history.head)?.toString() ?? null,
    prune: async (version) => history.prune(version),
    punchHole: async (version) => history.punchHole(version),
    close: async () => undefined,
  };
}

const worlds: [string, () => Promise<World>][] = [
  ['the simulation', async () => simulatedWorld()],
  ...flavors.map((flavor): [string, () => Promise<World>] => [
    flavor,
    () => RealWorld.open(flavor),
  ]),
];

const versionsOf = (rows: readonly LogRow[]) => rows.map(({ version }) => version);

describe.each(worlds)('the log of %s', (_name, makeWorld) => {
  let world: World;
  beforeEach(async () => {
    world = await makeWorld();
  });
  afterEach(() => world.close());

  test('starts with one row at version 1', async () => {
    const tip = await world.log.tip();
    expect(tip.head).toBe(1);
    expect(tip.rows).toMatchObject([{ version: 1, table: '', key: '' }]);
    expect(await world.log.poll(1, 10)).toEqual({ ...tip, clockMs: expect.any(Number) });
    expect((await world.log.poll(2, 10)).rows).toEqual([]);
  });

  test("tells the server's clock, in UTC", async () => {
    const before = Date.now(); // all are on this machine
    const [tip, polled] = [await world.log.tip(), await world.log.poll(1, 10)];
    for (const { clockMs } of [tip, polled]) {
      expect(clockMs).toBeGreaterThanOrEqual(before);
      expect(clockMs).toBeLessThanOrEqual(Date.now() + 1); // it is rounded up
    }
  });

  test('shows changes in order, the own row first, up to the limit', async () => {
    for (const key of ['a', 'b', 'a']) await world.write(key);
    await world.remove('b');
    const all = await world.log.poll(1, 100);
    expect(all.head).toBe(5);
    expect(all.rows.map(({ key }) => key)).toEqual(['', 'a', 'b', 'a', 'b']);
    expect(versionsOf(all.rows)).toEqual([1, 2, 3, 4, 5]);
    expect(all.rows.slice(1).every(({ table }) => table === 'configs')).toBe(true);
    const some = await world.log.poll(3, 2);
    expect(some.head).toBe(5);
    expect(some.rows).toEqual(all.rows.slice(2, 4));
    expect((await world.log.poll(5, 2)).rows).toEqual(all.rows.slice(4));
    expect(await world.log.poll(6, 2)).toMatchObject({ head: 5, rows: [] });
    expect((await world.log.tip()).rows).toEqual(all.rows.slice(4));
  });

  test('gives no two rows one fingerprint', async () => {
    for (const key of ['a', 'a', 'b', 'a']) await world.write(key);
    const { rows } = await world.log.poll(1, 100);
    expect(new Set(rows.map((row) => positionOf(row).fingerprint)).size).toBe(rows.length);
  });

  test('shows what is left after pruning, never less than the newest row', async () => {
    for (const key of ['a', 'b', 'c']) await world.write(key);
    await world.prune(3);
    expect(versionsOf((await world.log.poll(1, 100)).rows)).toEqual([3, 4]);
    expect(versionsOf((await world.log.poll(1, 1)).rows)).toEqual([3]);
    await world.prune(4);
    expect(versionsOf((await world.log.poll(2, 100)).rows)).toEqual([4]);
    expect((await world.log.poll(1, 100)).head).toBe(4);
    expect((await world.log.fetch(['a'])).get('a')?.value?.toString()).toBe(world.valueOf('a'));
  });

  test('shows the rows around a hole', async () => {
    for (const key of ['a', 'b', 'c', 'd']) await world.write(key);
    await world.punchHole(3);
    expect(versionsOf((await world.log.poll(2, 100)).rows)).toEqual([2, 4, 5]);
    expect(versionsOf((await world.log.poll(3, 100)).rows)).toEqual([4, 5]);
    expect(versionsOf((await world.log.poll(2, 2)).rows)).toEqual([2, 4]);
    expect((await world.log.fetch(['b'])).get('b')?.value?.toString()).toBe(world.valueOf('b'));
  });

  test('fetches values with their versions, and absences, all as of the head', async () => {
    await world.write('a');
    await world.write('b');
    const changed = await world.write('a');
    const removed = await world.remove('b');
    const entries = await world.log.fetch(['a', 'b', 'never', 'a']);
    expect([...entries.keys()]).toEqual(['a', 'b', 'never']);
    expect(entries.get('a')?.version).toBe(changed);
    expect(entries.get('a')?.value?.toString()).toBe(world.valueOf('a'));
    for (const key of ['b', 'never']) {
      expect(entries.get(key)?.version).toBe(0);
      expect(entries.get(key)?.value).toBeNull();
    }
    const [newest] = (await world.log.tip()).rows;
    for (const entry of entries.values()) {
      expect(entry.asOf).toBe(removed);
      expect(entry.at).toEqual(newest && positionOf(newest));
    }
  });

  test('shows at a glance what a poll shows from the change before the head, and its value', async () => {
    for (const key of ['a', 'b', 'a']) await world.write(key);
    const glance = await world.glance(3);
    const { head } = glance.snapshot;
    const polled = await world.log.poll(head - 1, 10);
    expect(glance).toEqual({
      snapshot: { ...polled, clockMs: 2 },
      askedAtMs: 1,
      newest: { key: 'a', entry: (await world.log.fetch(['a'])).get('a') },
    });
    expect(await world.glance(head)).toEqual({ ...glance, newest: undefined });
    await world.remove('a');
    const { newest } = await world.glance(0);
    expect(newest).toEqual({ key: 'a', entry: (await world.log.fetch(['a'])).get('a') });
    expect(newest?.entry.value).toBeNull();
  });

  test('shows at a glance what is left of the log', async () => {
    const first = await world.glance(0);
    expect([first.snapshot.rows.length, first.newest]).toEqual([1, undefined]);
    for (const key of ['a', 'b']) await world.write(key);
    await world.prune(3);
    const { snapshot, newest } = await world.glance(0);
    expect(versionsOf(snapshot.rows)).toEqual([3]);
    expect(newest?.key).toBe('b');
  });

  test('tells the tags of values, without the values', async () => {
    for (const key of ['a', 'b', 'a']) await world.write(key);
    await world.remove('b');
    const keys = ['a', 'b', 'never', 'a'];
    const [tags, entries] = [await world.log.tags(keys), await world.log.fetch(keys)];
    const expected = [...entries].map(([key, { at, etag }]) => [key, { at, etag }]);
    expect([...tags]).toEqual(expected);
    expect(tags.get('a')?.etag).toBeDefined();
    expect(tags.get('b')?.etag).toBeUndefined();
  });
});

describe.each(flavors)('the log of %s only', (flavor) => {
  let world: RealWorld;
  beforeEach(async () => {
    world = await RealWorld.open(flavor);
  });
  afterEach(() => world.close());

  test('brings values of a mebibyte, and every byte of them', async () => {
    const values = {
      long: `"${'0123456789abcdef'.repeat(65_536)}"`,
      wide: JSON.stringify("ü€😀\u0000\\' %\u{10ffff}".repeat(500)),
      raw: '{ "a" : 1.0e0,\t"b":"\\u00fc" }\r\n',
      empty: '',
    };
    for (const [key, value] of Object.entries(values)) await world.write(key, value);
    const entries = await world.log.fetch(Object.keys(values));
    for (const [key, value] of Object.entries(values)) {
      expect(entries.get(key)?.value?.equals(Buffer.from(value)), key).toBe(true);
    }
    const tags = await world.log.tags(Object.keys(values));
    for (const [key, { etag }] of entries) expect(tags.get(key)?.etag, key).toBe(etag);
  });

  test('fetches small values, and tells the sizes of all when one is not small', async () => {
    const values = { large: `"${'x'.repeat(98)}"`, wide: '"ü"', empty: '' };
    for (const [key, value] of Object.entries(values)) await world.write(key, value);
    const keys = [...Object.keys(values), 'never'];
    expect(await world.log.fetchSmall(keys, 99)).toEqual({
      kind: 'sizes',
      sizes: new Map([
        ['empty', 0],
        ['large', 100],
        ['wide', 4],
      ]),
    });
    const small = await world.log.fetchSmall(keys, 100);
    expect(small).toEqual({ kind: 'small', entries: await world.log.fetch(keys) });
  });

  test('fetches more keys than one statement holds', async () => {
    const rows = Array.from({ length: 1_300 }, (_, index) => [`key/${index}`, `${index}`]);
    const sql = `INSERT INTO configs (config_key, config_value) VALUES ${rows.map(() => '(?, ?)')}`;
    await query(world.database.a, sql, rows.flat());
    await world.database.caughtUp();
    const keys = [...rows.map(([key = '']) => key), 'never'];
    const entries = await world.log.fetch(keys);
    expect([...entries.keys()]).toEqual(keys);
    for (const [key = '', value] of rows) expect(entries.get(key)?.value?.toString()).toBe(value);
    expect(entries.get('never')?.value).toBeNull();
    const sized = await world.log.fetchSmall(keys, 0);
    expect(sized.kind === 'sizes' && sized.sizes.size).toBe(rows.length);
  });

  test('answers only the very key where the collation calls others equal', async () => {
    const { a } = world.database;
    await query(
      a,
      `CREATE TABLE \`odd names\` (\`the key\` VARCHAR(100) CHARACTER SET utf8mb4
         COLLATE utf8mb4_general_ci PRIMARY KEY, \`a value\` LONGTEXT, v BIGINT UNSIGNED)`,
    );
    await query(a, "INSERT INTO `odd names` VALUES ('Key', '1', 1), ('é', '2', 1), ('a ', '3', 1)");
    await world.database.caughtUp();
    const log = new MysqlLog(
      world.pool,
      {
        ...{ name: 'odd', table: 'odd names', versionColumn: 'v' },
        ...{ keyColumns: ['the key'], valueColumns: ['a value'] },
      },
      30_000,
    );
    const asked = ['Key', 'key', 'KEY', 'é', 'e', 'É', 'a', 'a ', 'A'];
    for (const keys of [asked, ...asked.map((key) => [key])]) {
      const entries = await log.fetch(keys);
      expect([...entries.keys()]).toEqual(keys);
      const tags = await log.tags(keys);
      for (const [key, { etag }] of entries) expect(tags.get(key)?.etag, key).toBe(etag);
      const found = keys.filter((key) => entries.get(key)?.value !== null);
      expect(found).toEqual(keys.filter((key) => ['Key', 'é', 'a '].includes(key)));
    }
    expect((await log.list('k', undefined, 10)).keys).toEqual([]);
    expect((await log.list('K', undefined, 10)).keys).toEqual([{ key: 'Key', bytes: 1 }]);
    expect((await log.list('', undefined, 10)).keys.map(({ key }) => key).sort()).toEqual(
      ['Key', 'a ', 'é'].sort(),
    );
  });
});
