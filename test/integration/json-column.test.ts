/**
 * A collection whose value is one JSON column, end to end: plain SQL in A, real read apps in B, and
 * what holds them against MySQL-B. MySQL prints a document anew from what it keeps of it; MariaDB's
 * JSON is a text with a check, and stays as it was written.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Collection } from '../../src/core/collection.js';
import { formatCollection } from '../../src/core/collections-text.js';
import { AppProcess } from '../../src/demo/app-process.js';
import { SchemaError, Writer } from '../../src/index.js';
import { tidemark } from '../support/cli.js';
import {
  connected,
  createDatabase,
  flavors,
  query,
  type TestDatabase,
} from '../support/data-centers.js';
import { headOf } from '../support/readers.js';
import { logAfter, tracked } from '../support/tracking.js';
import { until } from '../support/until.js';

const PATIENT = { timeout: 180_000 }; // processes start, on any machine

interface Document {
  readonly key: string;
  /** As it is written, and as MariaDB serves it. */
  readonly text: string;
  /** As MySQL serves it, if that is otherwise. */
  readonly anew?: string;
}

const DOCUMENTS: readonly Document[] = [
  {
    key: 'object',
    text: '{"long":[1,null,{}],"a":"é😀","a":"ñ/\\u00e9"}',
    anew: '{"a": "ñ/é", "long": [1, null, {}]}',
  },
  { key: 'empty/object', text: '{ }', anew: '{}' },
  { key: 'array', text: '[1,"x",[],true]', anew: '[1, "x", [], true]' },
  { key: 'string', text: '"it\'s \\"x\\" \\\\ \\n?"' },
  { key: 'empty/string', text: '""' },
  { key: 'zero', text: '0' },
  { key: 'fraction', text: '-1.50', anew: '-1.5' },
  { key: 'exponent', text: '1e3', anew: '1000.0' },
  { key: 'beyond 2^53', text: '18446744073709551615' },
  { key: 'false', text: 'false' },
  { key: 'null', text: 'null' },
  {
    key: 'large',
    text: JSON.stringify(Array(20_000).fill('ж')),
    anew: `["${Array(20_000).fill('ж').join('", "')}"]`,
  },
];

describe.each(flavors)('a collection of one JSON column on %s', (flavor) => {
  let db: TestDatabase;
  let out: string;
  let collection: Collection;
  let env: Record<string, string>;
  let apps: AppProcess[];

  beforeAll(async () => {
    db = await createDatabase(flavor);
    out = await mkdtemp(join(tmpdir(), 'tidemark-track-'));
    collection = await tracked(db.a, {
      table: 'docs',
      create: 'CREATE TABLE docs (id VARCHAR(64) PRIMARY KEY, doc JSON) CHARACTER SET utf8mb4',
      value: ['doc'],
      out,
    });
    const insert = 'INSERT INTO docs (id, doc) VALUES (?, ?)';
    for (const { key, text } of DOCUMENTS) await query(db.a, insert, [key, text]);
    await query(db.a, "INSERT INTO docs (id) VALUES ('nothing')");
    await db.caughtUp();
    env = {
      ...{ MYSQL_B_URL: db.reader, REDIS_URL: db.redis, REDIS_TIMEOUT_MS: '5000' },
      ...{ COLLECTIONS: formatCollection(collection), AUDIT_CRON: '* * * * * *' },
    };
    const all = { ...process.env, ...env };
    apps = await Promise.all(
      ['one', 'other'].map((name) => AppProcess.spawn({ name, command: 'read', env: all })),
    );
    await Promise.all(apps.map((app) => app.untilReady(AbortSignal.timeout(120_000))));
  }, PATIENT.timeout);
  afterAll(async () => {
    await Promise.all((apps ?? []).map((app) => app.stop()));
    await db?.drop();
    await rm(out, { recursive: true });
  });

  const served = ({ text, anew = text }: Document) => (flavor === 'mysql' ? anew : text);

  /** The answers of both apps, at the head of the log or later. */
  async function answers(key: string) {
    const headers = { 'tidemark-min-version': String(await headOf(db.a)) };
    const path = `/v1/docs/${encodeURIComponent(key)}`;
    return await Promise.all(
      apps.map(async ({ url }) => {
        const answer = await fetch(`${url}${path}`, { headers });
        const tier = answer.headers.get('tidemark-tier');
        return { status: answer.status, tier, body: await answer.text() };
      }),
    );
  }

  async function expectServed(key: string, body: string): Promise<void> {
    for (const answer of await answers(key)) expect(answer).toMatchObject({ status: 200, body });
  }

  /** A metric of both apps together. */
  async function sumOf(series: string): Promise<number> {
    const texts = await Promise.all(
      apps.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()),
    );
    const values = texts.map((text) =>
      text.split('\n').find((line) => line.startsWith(`${series} `)),
    );
    return values.reduce((sum, line) => sum + Number(line?.split(' ').at(-1)), 0);
  }

  async function expectSound(): Promise<void> {
    const { exitCode, stdout } = await tidemark(env, 'verify', '--json');
    const verified = JSON.parse(stdout);
    const none = { mismatches: 0, unsettled: 0 };
    expect(verified).toMatchObject({ sound: true, keys: DOCUMENTS.length, redis: none });
    expect(verified.redis.checked).toBeGreaterThan(0);
    expect(verified.readers).toHaveLength(2);
    for (const reader of verified.readers) expect(reader).toMatchObject({ ...none, failure: null });
    expect(exitCode).toBe(0);
    const checked = await sumOf('tidemark_audit_checked_total');
    await until('audits of all that is held', async () => {
      return (await sumOf('tidemark_audit_checked_total')) > checked + DOCUMENTS.length;
    });
    expect(await sumOf('tidemark_audit_mismatches_total')).toBe(0);
  }

  test(
    'is served byte for byte from each tier, JSON null as a value and NULL as none',
    PATIENT,
    async () => {
      for (const tier of ['as it comes', 'local']) {
        for (const document of DOCUMENTS) {
          for (const answer of await answers(document.key)) {
            expect(answer).toMatchObject({ status: 200, body: served(document) });
            if (tier === 'local') expect(answer.tier).toBe('local');
          }
        }
      }
      for (const { status } of await answers('nothing')) expect(status).toBe(404);
      const list = await (await fetch(`${apps[0]?.url}/v1/docs?prefix=`)).text();
      for (const document of DOCUMENTS) expect(list).toContain(`"value":${served(document)}}`);
      expect(JSON.parse(list).items).toHaveLength(DOCUMENTS.length);
      await expectSound();
    },
  );

  test('is followed through all changes of kind', PATIENT, async () => {
    const set = (sql: string) => query(db.a, `UPDATE docs SET doc = ${sql} WHERE id = 'zero'`);
    const texts = DOCUMENTS.filter(({ key }) => key !== 'large' && key !== 'zero');
    for (const document of [...texts, ...texts.toReversed()]) {
      await query(db.a, "UPDATE docs SET doc = ? WHERE id = 'zero'", [document.text]);
      await expectServed('zero', served(document));
    }
    await set('NULL');
    for (const { status } of await answers('zero')) expect(status).toBe(404);
    await set("'null'");
    await expectServed('zero', 'null');
    await set("JSON_OBJECT('n', 1, 's', JSON_ARRAY())");
    await expectServed('zero', '{"n": 1, "s": []}');
    expect(await sumOf('tidemark_reads_total{tier="redis"}')).toBeGreaterThan(0);
    await expectSound();
  });

  test('takes a version for other bytes, and for nothing else', PATIENT, async () => {
    const logs = async (sql: string) => {
      const before = await headOf(db.a);
      await query(db.a, `UPDATE docs SET doc = ${sql} WHERE id = 'zero'`);
      return await logAfter(db.a, before);
    };
    await logs(`'{"a": 1}'`);
    expect(await logs(`'{"a": 1}'`)).toEqual([]);
    // To MySQL, they are the same document.
    expect(await logs(`'{"a":1}'`)).toEqual(flavor === 'mysql' ? [] : ['update zero']);
    expect(await logs(`'{"a":1.0}'`)).toEqual(['update zero']);
    await expectServed('zero', flavor === 'mysql' ? '{"a": 1.0}' : '{"a":1.0}');
    expect(await logs("'null'")).toEqual(['update zero']);
    expect(await logs('NULL')).toEqual(['update zero']);
    expect(await logs('NULL')).toEqual([]);
    expect(await logs("'0'")).toEqual(['update zero']);
    await expectServed('zero', '0');
  });

  test.runIf(flavor === 'mysql')(
    'arrives whole where only parts are replicated',
    PATIENT,
    async () => {
      await connected(db.a, async (connection) => {
        await connection.query("SET binlog_row_value_options = 'PARTIAL_JSON'");
        await connection.query(
          `UPDATE docs SET doc = JSON_REPLACE(doc, '$[7]', 'é', '$[19999]', 2.50) WHERE id = 'large'`,
        );
      });
      const texts = Array(20_000).fill('"ж"');
      texts[7] = '"é"';
      texts[19_999] = '2.50';
      await expectServed('large', `[${texts.join(', ')}]`);
      await expectSound();
    },
  );

  test(
    'is written by SQL: a writer takes no column that stores other bytes than it is given',
    PATIENT,
    async () => {
      const names = { table: 'docs', keyColumn: 'id', valueColumn: 'doc' };
      const writer = new Writer({ mysql: db.a, names });
      onTestFinished(() => writer.close());
      const put = writer.put('string', '{"b":1,"a":2}');
      if (flavor === 'mysql') {
        await expect(put).rejects.toThrow(SchemaError);
        await expect(put).rejects.toThrow(/doc LONGTEXT \(not JSON\)/);
        await expectServed('string', '"it\'s \\"x\\" \\\\ \\n?"');
      } else {
        await put;
        await expectServed('string', '{"b":1,"a":2}');
      }
    },
  );

  test('is audited: what changes without the triggers is found and served', PATIENT, async () => {
    await expectServed('false', 'false');
    await query(db.a, 'DROP TRIGGER docs_tidemark_update');
    await query(db.a, "UPDATE docs SET doc = 'true' WHERE id = 'false'");
    await until('a mismatch', () => sumOf('tidemark_audit_mismatches_total'));
    await until('the value', async () =>
      (await answers('false')).every(({ body }) => body === 'true'),
    );
  });
});
