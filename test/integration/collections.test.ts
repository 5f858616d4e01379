/** Several tables as collections over one log: tracked in A, replicated, and read in B, end to end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Collection } from '../../src/core/collection.js';
import { formatCollection } from '../../src/core/collections-text.js';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import {
  createReaders,
  InvalidKeyError,
  type Reader,
  type Readers,
  Writer,
} from '../../src/index.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import {
  headOf,
  metricOf,
  readerOptions,
  startReader,
  taken,
  textOf,
  timesOf,
} from '../support/readers.js';
import {
  CORE_CONFIG_DATA,
  OC_APPCONFIG,
  OPTIONS_BY_ID,
  OPTIONS_BY_NAME,
} from '../support/sample-tables.js';
import { tracked } from '../support/tracking.js';
import { until } from '../support/until.js';

describe.each(flavors)('a collection on %s', (flavor) => {
  /** A database with the table, tracked, and a reader of it. */
  async function scene(table: typeof OPTIONS_BY_ID, collection = 'settings') {
    const db = await createDatabase(flavor);
    onTestFinished(() => db.drop());
    const described = await tracked(db.a, { ...table, collection });
    await db.caughtUp();
    const reader = await startReader(db, { collection: described });
    const run = async (...statements: string[]) => {
      for (const statement of statements) await query(db.a, statement);
      await taken(db.a, [reader]);
    };
    const read = (key: string) => textOf(reader, key);
    const listed = async (prefix: string, limit = 100, after?: string) => {
      const { readings, next } = await reader.list({ prefix, limit, after });
      return { keys: readings.map(({ key }) => key), next };
    };
    return { db, reader, run, read, listed, described };
  }

  test('with an integer key answers its decimal text, and nothing else', async () => {
    const { run, read, listed, reader } = await scene(OPTIONS_BY_ID);
    const biggest = '18446744073709551615';
    const near = ['9007199254740992', '9007199254740993'];
    const insert = 'INSERT INTO wp_options (option_id, option_name, option_value) VALUES';
    await run(
      `${insert} (7, 'seven', '"x"'), (10, 'ten', 'plain'), (1, 'one', 'é')`,
      `${insert} (${near[0]}, 'n0', '0'), (${near[1]}, 'n1', '1'), (${biggest}, 'big', 'b')`,
    );
    expect(JSON.parse((await read('7')) ?? '')).toEqual({
      option_name: 'seven',
      option_value: '"x"',
    });
    expect(JSON.parse((await read('1')) ?? '')).toEqual({ option_name: 'one', option_value: 'é' });
    for (const [index, key] of near.entries()) {
      expect(JSON.parse((await read(key)) ?? '')).toMatchObject({ option_name: `n${index}` });
    }
    expect(JSON.parse((await read(biggest)) ?? '')).toMatchObject({ option_name: 'big' });
    for (const key of ['007', '7.0', ' 7', '7 ', '+7', '7e0', '0x7', 'seven', '-7', "7'", '٧']) {
      expect(await read(key), key).toBeUndefined();
    }
    const asked = ['7', '007', near[1] ?? '', 'x', '10'];
    const many = await reader.getMany(asked);
    expect(asked.filter((key) => many.get(key)?.found)).toEqual(['7', near[1], '10']);
    expect(await listed('1')).toEqual({ keys: ['1', '10', biggest], next: undefined });
    expect(await listed('', 2)).toEqual({ keys: ['1', '7'], next: '7' });
    expect(await listed('', 2, '7')).toEqual({ keys: ['10', near[0]], next: near[0] });
    await run("UPDATE wp_options SET option_id = 8, option_value = 'new' WHERE option_id = 7");
    expect(await read('7')).toBeUndefined();
    expect(JSON.parse((await read('8')) ?? '')).toMatchObject({ option_value: 'new' });
    await run('DELETE FROM wp_options WHERE option_id = 8');
    expect(await read('8')).toBeUndefined();
  });

  test('with a utf8mb4_general_ci key answers its very spelling, and is told of a new one', async () => {
    const { run, read, listed } = await scene(OPTIONS_BY_NAME);
    const insert = 'INSERT INTO wp_options (option_name, option_value) VALUES';
    await run(`${insert} ('siteurl', '1'), ('é', '2'), ('space ', '3')`);
    expect(await read('siteurl')).toBe('1');
    expect(await read('é')).toBe('2');
    expect(await read('space ')).toBe('3');
    for (const key of ['SiteURL', 'siteurl ', 'e', 'É', 'space', 'Space ']) {
      expect(await read(key), key).toBeUndefined();
    }
    await run("UPDATE wp_options SET option_name = 'SiteURL' WHERE option_name = 'siteurl'");
    expect(await read('siteurl')).toBeUndefined();
    expect(await read('SiteURL')).toBe('1');
    expect(await listed('S')).toEqual({ keys: ['SiteURL'], next: undefined });
    expect(await listed('s')).toEqual({ keys: ['space '], next: undefined });
  });

  test('of several key columns is read, listed and watched by their texts', async () => {
    const { run, read, listed, reader } = await scene(CORE_CONFIG_DATA);
    const insert = 'INSERT INTO core_config_data (scope, scope_id, path, value) VALUES';
    await run(
      `${insert} ('default', 0, 'web/url', '1'), ('default', 0, '100%', '2')`,
      `${insert} ('stores', 2, 'web/url', '3'), ('stores', 11, 'web/url', '4')`,
      `${insert} ('stores', 11, 'none', NULL)`,
    );
    expect(await read('default/0/web%2Furl')).toBe('1');
    expect(await read('default/0/100%25')).toBe('2');
    expect(await read('stores/11/web%2Furl')).toBe('4');
    for (const key of [
      ...[
        'default/0/web/url',
        'default/0/web%2furl',
        'Default/0/web%2Furl',
        'default/00/web%2Furl',
      ],
      ...['default/0/100%', 'default', 'default/0', 'stores/11/none', '//'],
    ]) {
      expect(await read(key), key).toBeUndefined();
    }
    const stores = ['stores/2/web%2Furl', 'stores/11/web%2Furl'];
    expect((await listed('stores/')).keys).toEqual(stores);
    expect((await listed('stores/1')).keys).toEqual(stores.slice(1));
    expect((await listed('stores/11/web%2F')).keys).toEqual(stores.slice(1));
    expect((await listed('STORES/')).keys).toEqual([]);
    const pages: string[] = [];
    for (let after: string | undefined, more = true; more; ) {
      const page = await listed('', 1, after);
      pages.push(...page.keys);
      after = page.next;
      more = after !== undefined;
    }
    expect(pages).toEqual(['default/0/100%25', 'default/0/web%2Furl', ...stores]);
    await expect(reader.list({ prefix: '', limit: 1, after: 'x' })).rejects.toThrow(
      InvalidKeyError,
    );
    const watch = reader.watch('stores/11/');
    await run("UPDATE core_config_data SET value = '5' WHERE scope_id = 11 AND path = 'web/url'");
    const { value: event } = await watch.next();
    expect(event).toMatchObject({ kind: 'change', key: 'stores/11/web%2Furl' });
    watch.end();
    expect(await read('stores/11/web%2Furl')).toBe('5');
  });

  test('of several value columns is one JSON object, whatever is in them', async () => {
    const create = `CREATE TABLE t (id INT PRIMARY KEY, j JSON, n DECIMAL(20,2), big BIGINT, s TEXT,
      at DATETIME, e ENUM('a', 'b'), b TINYINT(1)) DEFAULT CHARACTER SET utf8mb4`;
    const value = ['j', 'n', 'big', 's', 'at', 'e', 'b'];
    const { run, read } = await scene({ table: 't', create, key: ['id'], value });
    await run(
      `INSERT INTO t VALUES (1, '{"a": [1, null]}', 123.40, 9007199254740993, 'it''s "x"\\n😀',
         '2026-11-26 12:00:00', 'b', 1, 0)`,
      'INSERT INTO t (id) VALUES (2)',
    );
    const text = (await read('1')) ?? '';
    expect(text).toContain('9007199254740993');
    expect(text).toContain('123.40');
    expect(JSON.parse(text)).toMatchObject({
      ...{ j: { a: [1, null] }, s: 'it\'s "x"\n😀', e: 'b', b: 1 },
      at: expect.stringMatching(/^2026-11-26 12:00:00/),
    });
    const nothing = Object.fromEntries(value.map((column) => [column, null]));
    expect(JSON.parse((await read('2')) ?? '')).toEqual(nothing);
  });

  test('keeps what it holds when a row changes in columns that are not tracked', async () => {
    const { db, reader, run, read } = await scene(OPTIONS_BY_NAME);
    await run("INSERT INTO wp_options (option_name, option_value) VALUES ('a', '1')");
    await read('a');
    const before = await headOf(db.a);
    await run("UPDATE wp_options SET autoload = 'no'");
    await db.caughtUp();
    expect(await headOf(db.a)).toBe(before);
    expect(reader.peek('a')?.value?.toString()).toBe('1');
  });

  test('of a table in Latin-1 is served in UTF-8', async () => {
    const create = `CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, k2 VARCHAR(20) NOT NULL UNIQUE,
      value TEXT) DEFAULT CHARACTER SET latin1`;
    const { run, read } = await scene({ table: 't', create, key: ['id', 'k2'], value: ['value'] });
    await run("INSERT INTO t (id, k2, value) VALUES ('é', 'ü/', 'ñ')");
    expect(await read('é/ü%2F')).toBe('ñ');
    await run("UPDATE t SET value = 'ñañ'");
    expect(await read('é/ü%2F')).toBe('ñañ');
    expect(await read('é/😀')).toBeUndefined();
  });

  test('finds nothing of a text that its character set does not have, and all the rest', async () => {
    const create = 'CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, value TEXT) CHARACTER SET latin1';
    const { run, reader, listed } = await scene({
      table: 't',
      create,
      key: ['id'],
      value: ['value'],
    });
    await run("INSERT INTO t (id, value) VALUES ('é1', '1'), ('é2', '2')");
    const asked = ['é1', '😀', 'é2', 'ж', '中'];
    const found = await reader.getMany(asked);
    expect(asked.filter((key) => found.get(key)?.found)).toEqual(['é1', 'é2']);
    expect(found.get('😀')?.asOf).toBeGreaterThan(1);
    expect((await listed('')).keys).toEqual(['é1', 'é2']);
    expect((await listed('é', 1)).next).toBe('é1');
    expect((await listed('é', 1, 'é1')).keys).toEqual(['é2']);
    expect((await listed('😀')).keys).toEqual([]);
  });
});

describe.each(flavors)('several collections on %s', (flavor) => {
  let db: TestDatabase;
  let out: string;
  let collections: Collection[];
  let readers: Readers;
  beforeAll(async () => {
    db = await createDatabase(flavor);
    out = await mkdtemp(join(tmpdir(), 'tidemark-track-'));
    collections = [];
    for (const [name, table] of Object.entries({ options: OPTIONS_BY_NAME, app: OC_APPCONFIG })) {
      collections.push(await tracked(db.a, { ...table, collection: name, out }));
    }
    await db.caughtUp();
  });
  afterAll(async () => {
    await db.drop();
    await rm(out, { recursive: true });
  });

  beforeEach(async () => {
    for (const { table } of collections) await query(db.a, `DELETE FROM ${table}`);
    await query(db.a, 'DELETE FROM configs');
  });

  async function started(options: Partial<Parameters<typeof createReaders>[0]> = {}) {
    const text = ['configs', ...collections.map(formatCollection)].join('; ');
    readers = createReaders({ ...readerOptions(db), collections: text, ...options });
    onTestFinished(() => readers.stop());
    await readers.start();
    await until('ready readers', () => readers.ready);
    return ['configs', 'options', 'app'].map((name) => readers.of(name)) as [
      Reader,
      Reader,
      Reader,
    ];
  }

  const insertAll = async (value: string) => {
    const statements = [
      'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)',
      'REPLACE INTO wp_options (option_name, option_value) VALUES (?, ?)',
      "REPLACE INTO oc_appconfig (appid, configkey, configvalue) VALUES ('k', ?, ?)",
    ];
    for (const statement of statements) await query(db.a, statement, ['k', value]);
  };

  test('are of one log, and each knows its own keys', async () => {
    const [configs, options, app] = await started();
    await insertAll('1');
    await taken(db.a, [configs, options, app]);
    expect(await textOf(configs, 'k')).toBe('1');
    expect(await textOf(options, 'k')).toBe('1');
    expect(await textOf(app, 'k')).toBeUndefined();
    expect(JSON.parse((await textOf(app, 'k/k')) ?? '')).toEqual({ configvalue: '1', type: 2 });
    await query(db.a, 'DELETE FROM wp_options');
    await taken(db.a, [configs, options, app]);
    expect(await textOf(configs, 'k')).toBe('1');
    expect(configs.peek('k')?.tier).toBe('local');
    expect(await textOf(options, 'k')).toBeUndefined();
    expect(Object.keys(readers.status())).toEqual(['configs', 'options', 'app']);
    expect(() => readers.of('nope')).toThrow(
      /Expected one of the collections configs, options, app/,
    );
  });

  test('take turns together: one poll of the log for all of them', async () => {
    const all = await started({ pollIntervalMs: 100 });
    const statements = async () => {
      const [row] = await query(db.b, "SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'");
      return Number(row?.Value);
    };
    const polls = async () =>
      await Promise.all(all.map((one) => metricOf(one, 'tidemark_polls_total')));
    const [from, executedFrom] = [await polls(), await statements()];
    await until('20 polls of each', async () => {
      const now = await polls();
      return now.every((count, index) => count >= (from[index] ?? 0) + 20);
    });
    const turns = (await polls()).reduce(
      (sum, count, index) => sum + count - (from[index] ?? 0),
      0,
    );
    const executed = (await statements()) - executedFrom; // with each wait of the early wake
    expect(executed).toBeLessThan(turns);
  });

  test('each count the changes of their own table, and no others', async () => {
    const all = await started();
    await taken(db.a, all);
    const counts = () =>
      Promise.all(
        all.map(async (one) => [
          await metricOf(one, 'tidemark_changes_total'),
          (await timesOf(one, 'tidemark_propagation_seconds')).count,
        ]),
      );
    const before = await counts();
    await insertAll('1');
    await query(db.a, "UPDATE wp_options SET option_value = '2'");
    await taken(db.a, all);
    const after = await counts();
    const added = after.map((each, index) => each.map((n, at) => n - (before[index]?.[at] ?? 0)));
    expect(added).toEqual([
      [1, 1],
      [2, 2],
      [1, 1],
    ]);
  });

  test('are woken early, all by one connection', async () => {
    const all = await started({ pollIntervalMs: 30_000 });
    const wakes = () => metricOf(all[0], 'tidemark_early_wakes_total');
    const before = await wakes();
    await insertAll('2');
    await until('the change in each', async () => {
      const texts = await Promise.all([
        textOf(all[0], 'k'),
        textOf(all[1], 'k'),
        textOf(all[2], 'k/k'),
      ]);
      return texts.every((text) => text?.includes('2'));
    });
    expect(await wakes()).toBeGreaterThan(before);
  });

  test('one that cannot be read keeps none of the others', async () => {
    const gone = { name: 'gone', table: 'never_there', key: 'id', value: 'value' };
    const urls = { b: db.b, redis: db.redis };
    readers = createReaders({ ...readerOptions(urls), collections: [gone, ...collections] });
    onTestFinished(() => readers.stop());
    await readers.start(); // it learns of the table with the first read
    await insertAll('3');
    await taken(db.a, [readers.of('options')]);
    expect(await textOf(readers.of('options'), 'k')).toBe('3');
    await expect(readers.of('gone').get('1')).rejects.toThrow(/Expected Tidemark's tables/);
  });

  test('over HTTP: each is written where it can be, read, and told of', async () => {
    const [options = collections[0]] = collections;
    const [reading, writing] = [
      createServer({ logLevel: 'silent' }),
      createServer({ logLevel: 'silent' }),
    ];
    await started();
    await reading.register(readApp, { reader: readers });
    const names = { table: 'wp_options', keyColumn: 'option_name', valueColumn: 'option_value' };
    const writer = new Writer({ mysql: db.a, names });
    const writers = [
      ['options', writer],
      ['app', undefined],
    ] as const;
    await writing.register(writeApp, { writer: writers, onClose: () => writer.close() });
    onTestFinished(async () => void (await Promise.all([reading.close(), writing.close()])));
    expect(options?.name).toBe('options');
    const put = (url: string, payload: string) => writing.inject({ method: 'PUT', url, payload });
    const made = await put('/v1/options/site', '"1"');
    expect(made.statusCode).toBe(201);
    const same = await put('/v1/options/site', '"1"');
    expect([same.statusCode, same.json()]).toEqual([200, made.json()]); // it changed nothing
    const changed = await put('/v1/options/site', '"2"');
    expect(changed.json().version).toBeGreaterThan(made.json().version);
    const taken = { 'tidemark-min-version': String(changed.json().version) };
    const read = await reading.inject({ url: '/v1/options/site', headers: taken });
    expect([read.body, read.headers.etag]).toEqual(['"2"', changed.headers.etag]);
    expect((await put('/v1/options/Site', '"3"')).json()).toMatchObject({ code: 'key_collision' });
    expect((await put('/v1/app/a%2Fb', '1')).json()).toMatchObject({
      code: 'read_only_collection',
    });
    const deleted = await writing.inject({ method: 'DELETE', url: '/v1/options/site' });
    expect(deleted.json().version).toBeGreaterThan(changed.json().version);
    const insert = "INSERT INTO oc_appconfig (appid, configkey) VALUES ('files', 'max/size')";
    await query(db.a, insert);
    const minVersion = { 'tidemark-min-version': String(await headOf(db.a)) };
    const url = `/v1/app/${encodeURIComponent('files/max%2Fsize')}`;
    expect((await reading.inject({ url, headers: minVersion })).json()).toMatchObject({ type: 2 });
    const status = (await reading.inject({ url: '/v1/status' })).json();
    expect(Object.keys(status.collections)).toEqual(['configs', 'options', 'app']);
    const { body } = await reading.inject({ url: '/metrics' });
    expect(body).toMatch(/tidemark_reads_total\{.*collection="app".*\} 1/);
  });

  test('a writer whose table has no triggers is told so, also of what changes nothing', async () => {
    await query(db.a, 'CREATE TABLE bare (k VARCHAR(9) PRIMARY KEY, v LONGTEXT, version BIGINT)');
    await query(db.a, "INSERT INTO bare VALUES ('a', '1', 0)");
    const names = { table: 'bare', keyColumn: 'k', valueColumn: 'v' };
    const writer = new Writer({ mysql: db.a, names });
    onTestFinished(() => writer.close());
    await expect(writer.put('a', '2')).rejects.toThrow(/Expected the triggers of bare/);
    expect(await query(db.a, 'SELECT v FROM bare')).toEqual([{ v: '1' }]);
  });
});
