/**
 * The auditor on real servers: rows change around the log, each in one of the ways in which that
 * happens, and one audit finds it and repairs all caches. Under load it finds nothing, because
 * nothing is wrong.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type DataCenters, startDataCenters } from '../../src/demo/data-centers.js';
import type { Logger, Reader } from '../../src/index.js';
import { migrate } from '../../src/mysql/migrate.js';
import { readable } from '../support/checker.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import { Load } from '../support/load.js';
import { metricOf, SILENT, startReader, taken, textOf } from '../support/readers.js';
import { until } from '../support/until.js';

const INSERT = 'INSERT INTO configs (config_key, config_value) VALUES';
const KEYS = ['a', 'b', 'c'] as const;
/** Audits under load wait for turns, on a machine that may have other work. */
const PATIENT = { timeout: 120_000 };
/** Keys that do not exist are cached, too. */
const NOBODY = 'nobody';

/** A logger that keeps what it is told of errors. */
function keptErrors(): { logger: Logger; errors: { fields: object; message: string }[] } {
  const errors: { fields: object; message: string }[] = [];
  const error = (fields: object, message: string) => void errors.push({ fields, message });
  return { logger: { ...SILENT, error }, errors };
}

/** Lets all of them read all keys, so that they are in each memory and in Redis. */
async function warm(url: string, readers: readonly Reader[]): Promise<void> {
  await until('Redis to be trusted', () => readers.every(isInRedis));
  for (const reader of readers) await texts(reader);
  const redis = new Redis(url);
  try {
    await until('the fills of Redis', async () => {
      const names = await redis.keys('tidemark:*');
      return [...KEYS, NOBODY].every((key) => names.some((name) => name.endsWith(`:${key}`)));
    });
  } finally {
    redis.disconnect();
  }
}

function isInRedis(reader: Reader): boolean {
  return reader.status().redis.marks.every(({ generation }) => generation !== null);
}

async function texts(reader: Reader): Promise<(string | undefined)[]> {
  return Promise.all([...KEYS, NOBODY].map((key) => textOf(reader, key)));
}

/** One way around the log, and what the four keys are afterwards. */
interface Way {
  readonly what: string;
  readonly go: (db: TestDatabase) => Promise<unknown>;
  readonly after: readonly (string | undefined)[];
  readonly mismatched: readonly string[];
}

const withoutTrigger = async ({ a }: TestDatabase, event: string, sql: string) => {
  await query(a, `DROP TRIGGER configs_tidemark_${event}`);
  await query(a, sql);
};

const WAYS: readonly Way[] = [
  {
    what: 'TRUNCATE',
    go: ({ a }) => query(a, 'TRUNCATE TABLE configs'),
    after: [undefined, undefined, undefined, undefined],
    mismatched: ['a', 'b', 'c'],
  },
  {
    what: 'an UPDATE without its trigger',
    go: (db) =>
      withoutTrigger(db, 'update', "UPDATE configs SET config_value = '9' WHERE config_key = 'b'"),
    after: ['1', '9', '3', undefined],
    mismatched: ['b'],
  },
  {
    what: 'a DELETE without its trigger',
    go: (db) => withoutTrigger(db, 'delete', "DELETE FROM configs WHERE config_key = 'b'"),
    after: ['1', undefined, '3', undefined],
    mismatched: ['b'],
  },
  {
    what: 'an INSERT without its trigger, of a key that is cached as absent',
    go: (db) => withoutTrigger(db, 'insert', `${INSERT} ('${NOBODY}', '9')`),
    after: ['1', '2', '3', '9'],
    mismatched: [NOBODY],
  },
  {
    what: 'a cascade of a foreign key',
    go: ({ a }) => query(a, 'DELETE FROM owners'),
    after: ['1', undefined, '3', undefined],
    mismatched: ['b'],
  },
];

describe.each(flavors)('an audit on %s', (flavor) => {
  let db: TestDatabase;

  beforeEach(async () => {
    db = await createDatabase(flavor);
    onTestFinished(() => db.drop());
    await query(db.a, 'CREATE TABLE owners (id INT PRIMARY KEY)');
    await query(db.a, 'INSERT INTO owners VALUES (1)');
    await query(
      db.a,
      `ALTER TABLE configs ADD owner INT NULL,
         ADD FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE CASCADE`,
    );
    await query(db.a, `${INSERT} ('a', '1'), ('b', '2'), ('c', '3')`);
    await query(db.a, "UPDATE configs SET owner = 1 WHERE config_key = 'b'");
    await db.caughtUp();
  });

  test.each(WAYS)('finds $what, names the table, and all readers drop it', async (way) => {
    const { logger, errors } = keptErrors();
    const readers = [await startReader(db, { logger }), await startReader(db)];
    const [auditing, other] = readers;
    if (auditing === undefined || other === undefined) throw new Error('Expected two readers');
    await taken(db.a, readers);
    await warm(db.redis, readers);
    expect(await auditing.audit()).toMatchObject({ sampled: expect.any(Number), mismatches: 0 });
    const before = await texts(auditing);

    await way.go(db);
    await db.caughtUp();
    await query(db.a, `${INSERT} ('unrelated', '0')`).catch(() => undefined); // its trigger may be gone
    await taken(db.a, readers);
    expect(await texts(auditing)).toEqual(before); // the log tells nothing

    const audit = await auditing.audit();
    expect(audit.fault).toBeUndefined();
    expect(audit.mismatches).toBeGreaterThanOrEqual(way.mismatched.length);
    expect(await texts(auditing)).toEqual(way.after);
    await until('the other reader to drop it', async () => {
      return (await texts(other)).join() === way.after.join();
    });
    const [error, ...more] = errors;
    expect(more).toEqual([]);
    expect(error?.fields).toMatchObject({ table: 'configs', repair: 'now' });
    expect(error?.fields).toHaveProperty('keys', expect.arrayContaining([...way.mismatched]));
    expect(error?.message).toMatch(/^rows of configs have changed .*`tidemark doctor`/s);
    await until('Redis to be trusted again', () => readers.every(isInRedis));
    for (const reader of readers) expect(await reader.audit()).toMatchObject({ mismatches: 0 });
    const { lastAt, ...counts } = auditing.status().audit;
    expect(counts).toMatchObject({ repaired: 1, completed: 3, skipped: 0 });
    expect(Date.parse(lastAt ?? '')).toBeGreaterThan(Date.now() - 60_000);
    expect(await metricOf(auditing, 'tidemark_audit_repairs_total')).toBe(1);
    expect(await metricOf(auditing, 'tidemark_audit_mismatches_total')).toBe(audit.mismatches);
    expect(await metricOf(auditing, 'tidemark_rebases_total', 'audit')).toBe(1);
    expect(await metricOf(auditing, 'tidemark_redis_generations_total', 'audit')).toBe(1);
  });

  test('finds in Redis what is not in memory', async () => {
    const first = await startReader(db);
    await taken(db.a, [first]);
    await warm(db.redis, [first]);
    await first.stop();
    await query(db.a, 'TRUNCATE TABLE configs');
    await db.caughtUp();
    const second = await startReader(db);
    await until('Redis to be trusted', () => isInRedis(second));
    expect(second.status().local).toMatchObject({ entries: 0 });
    expect((await second.audit()).mismatches).toBe(KEYS.length);
    expect(await texts(second)).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('comes at its times, without being asked', async () => {
    const reader = await startReader(db, { auditCron: '* * * * * *', auditSample: 2 });
    await warm(db.redis, [reader]);
    await query(db.a, 'TRUNCATE TABLE configs');
    await until('the audit', () => reader.status().audit.repaired > 0);
    expect(await texts(reader)).toEqual([undefined, undefined, undefined, undefined]);
    await reader.stop();
    const { completed } = reader.status().audit;
    await expect(reader.audit()).rejects.toThrow('one that was stopped');
    expect(reader.status().audit.completed).toBe(completed);
  });

  test('flags nothing under load, however many audits there are', PATIENT, async () => {
    const { logger, errors } = keptErrors();
    const readers = [
      await startReader(db, { logger }),
      await startReader(db, { logger, localMaxEntries: 8, negativeMaxEntries: 2 }),
      await startReader(db, { logger, onChange: 'refresh', redisBuckets: 4 }),
    ];
    const readables = readers.map((reader, index) => readable(`reader ${index}`, reader));
    const load = new Load({ a: db.a, readables });
    onTestFinished(() => load.stop());
    await load.start();
    let checked = 0;
    for (let round = 0; round < 20; round++) {
      const audits = await Promise.all(readers.map((reader) => reader.audit()));
      for (const audit of audits) {
        checked += audit.checked;
        expect(audit).toMatchObject({ mismatches: 0 });
      }
    }
    await load.goesOn(20);
    await load.stop();
    expect(load.checker.violations).toEqual([]);
    expect(checked).toBeGreaterThan(300);
    expect(errors).toEqual([]);
    for (const reader of readers) {
      expect(reader.status().audit).toMatchObject({ mismatches: 0, repaired: 0 });
    }
  });

  test('finds a row that goes around the log in the middle of a load', PATIENT, async () => {
    const readers = [await startReader(db), await startReader(db)];
    const readables = readers.map((reader, index) => readable(`reader ${index}`, reader));
    await warm(db.redis, readers);
    const load = new Load({ a: db.a, readables });
    onTestFinished(() => load.stop());
    await load.start();
    await query(db.a, 'DELETE FROM owners');
    await taken(db.a, readers);
    for (const reader of readers) expect(await textOf(reader, 'b')).toBe('2');
    expect((await readers[0]?.audit())?.mismatches).toBeGreaterThan(0);
    await until('all to drop it', async () => {
      const found = await Promise.all(readers.map((reader) => textOf(reader, 'b')));
      return found.every((text) => text === undefined);
    });
    await load.goesOn(20);
    await load.stop();
    expect(load.checker.violations).toEqual([]);
  });
});

describe.each(flavors)('an audit on %s, of its own servers', (flavor) => {
  let centers: DataCenters;
  let urls: { a: string; b: string; redis: string };

  beforeAll(async () => {
    centers = await startDataCenters({ flavor });
    urls = { a: centers.a.url(), b: centers.b.url(), redis: centers.redis.url() };
    await connected(urls.a, (connection) => migrate(connection));
    await query(urls.a, `${INSERT} ('a', '1'), ('b', '2'), ('c', '3')`);
    await centers.caughtUp();
  });
  afterAll(() => centers?.stop());

  /** As someone who thinks that B is theirs to write to. */
  async function onB(...statements: string[]): Promise<void> {
    const guard = flavor === 'mysql' ? 'super_read_only' : 'read_only';
    await query(urls.b, `SET GLOBAL ${guard} = OFF`);
    for (const sql of statements) await query(urls.b, sql);
    await query(urls.b, `SET GLOBAL ${guard} = ON`);
  }

  test('flags nothing while MySQL-B or Redis is away', async () => {
    const reader = await startReader(urls, { readTimeoutMs: 300, redisTimeoutMs: 100 });
    await warm(urls.redis, [reader]);
    await centers.b.kill();
    expect(await reader.audit()).toMatchObject({
      checked: 0,
      mismatches: 0,
      fault: expect.any(String),
    });
    await centers.b.start();
    await centers.startReplication();
    await centers.caughtUp();
    await until('MySQL-B to answer', async () => (await reader.audit()).fault === undefined);
    const { skipped } = reader.status().audit;
    await centers.redis.kill();
    const audit = await reader.audit();
    expect(audit).toMatchObject({ mismatches: 0, fault: expect.any(String) });
    expect(audit.checked).toBeGreaterThan(0); // what is in memory
    await centers.redis.start();
    await until('Redis to answer', async () => (await reader.audit()).fault === undefined);
    expect(reader.status().audit.skipped).toBeGreaterThan(skipped);
    expect(reader.status().audit).toMatchObject({ mismatches: 0, repaired: 0 });
    await reader.stop();
  });

  test('finds a row that is changed on B around its triggers', async () => {
    const reader = await startReader(urls);
    await warm(urls.redis, [reader]);
    await onB(
      'DROP TRIGGER configs_tidemark_update',
      "UPDATE configs SET config_value = '9' WHERE config_key = 'b'",
    );
    expect(await textOf(reader, 'b')).toBe('2');
    expect((await reader.audit()).mismatches).toBe(2); // in memory and in Redis
    expect(await textOf(reader, 'b')).toBe('9');
    await reader.stop();
  });

  test('finds nothing when a row is changed on B through its triggers: caches follow B', async () => {
    const reader = await startReader(urls);
    await warm(urls.redis, [reader]);
    await onB("DELETE FROM configs WHERE config_key = 'c'");
    await until('the change', async () => (await textOf(reader, 'c')) === undefined);
    expect(await reader.audit()).toMatchObject({ mismatches: 0 });
    // A's next change takes the version that B has taken already: replication stops, which is
    // found by the age of the heartbeat, and told by `tidemark doctor`.
    await query(urls.a, "UPDATE configs SET config_value = '8' WHERE config_key = 'a'");
    const sql = flavor === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS';
    await until('replication to stop', async () => {
      const [status] = await query(urls.b, sql);
      return Number(status?.Last_SQL_Errno) !== 0;
    });
    expect(await reader.audit()).toMatchObject({ mismatches: 0 });
    await reader.stop();
  });
});
