/** Watches, long polls and hints over HTTP, over a reader of the test's own. */
import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { UnavailableError } from '../../src/errors.js';
import { type ReadAppOptions, readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { Events } from '../support/events.js';
import { until } from '../support/until.js';
import { observed } from './declared.js';
import { FakeReader, HEAD } from './fake-reader.js';
import { portOf } from './fuzz-run.js';

let reader: FakeReader;
let server: FastifyInstance;
let url: string;

async function serve(options: Partial<ReadAppOptions> = {}): Promise<void> {
  server = createServer({ logLevel: 'silent' });
  const { faults } = observed(server);
  let isClosed = false;
  server.addHook('onClose', async () => {
    isClosed = true;
  });
  onTestFinished(async () => {
    if (isClosed) return; // by the test
    const found = await faults();
    await server.close();
    expect(found).toEqual([]);
  });
  await server.register(readApp, { reader, ...options });
  await server.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${portOf(server)}`;
}

async function events(path: string, headers?: Readonly<Record<string, string>>): Promise<Events> {
  const opened = await Events.open(`${url}${path}`, headers);
  onTestFinished(() => opened.close());
  return opened;
}

beforeEach(() => {
  reader = new FakeReader();
});

describe('GET /v1/watch', () => {
  test('tells the changes of a prefix as they come, and where to go on from', async () => {
    await serve();
    const watch = await events('/v1/watch?prefix=p%2F');
    expect(watch.status).toBe(200);
    expect(watch.response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
    });
    expect(await watch.frame()).toMatchObject({ event: '', id: String(HEAD) });
    reader.change('p/b', 'q/a', 'p/\u00e9\n"');
    expect(await watch.frame()).toEqual({
      event: 'change',
      id: expect.stringMatching(/^43\.[\w-]{12}$/),
      data: { kind: 'change', version: 43, key: 'p/b' },
    });
    expect(await watch.take(1)).toEqual(['45 p/\u00e9\n"']);
    watch.close();
    await until('no watch', () => reader.watches.size === 0);

    reader.change('p/c', 'p/d');
    const resumed = await events('/v1/watch?prefix=p/', { 'last-event-id': watch.lastId });
    expect(await resumed.take(2)).toEqual(['46 p/c', '47 p/d']);
    reader.change('p/e');
    expect(await resumed.take(1)).toEqual(['48 p/e']);
    const inQuery = await events('/v1/watch?after=46');
    expect(await inQuery.take(2)).toEqual(['47 p/d', '48 p/e']);
  });

  test('tells by a reset what it cannot continue', async () => {
    await serve();
    reader.change('a', 'b', 'c');
    reader.log.splice(0, 2); // pruned
    const watch = await events('/v1/watch', { 'last-event-id': '43' });
    expect(await watch.take(1)).toEqual(['reset 45 pruned']);
    reader.change('d');
    reader.watches.rebase('diverged');
    expect(await watch.take(1)).toEqual(['reset 46 diverged']); // in place of what waited
  });

  test('keeps the connection open, and tells the position, while nothing changes', async () => {
    await serve({ heartbeatMs: 10 });
    const watch = await events('/v1/watch?prefix=none');
    reader.change('a');
    await until('a heartbeat at 43', async () => (await watch.frame())?.id.startsWith('43.'));
  });

  test('drops a client that takes nothing, and holds little for it until then', async () => {
    await serve({ heartbeatMs: 20 });
    const slow = await events('/v1/watch');
    slow.response.pause();
    const quick = await events('/v1/watch');
    const keys = Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(250, 'x'));
    let told = 0;
    await until('the slow one to be dropped', async () => {
      reader.change(...keys);
      told += (await quick.take(keys.length)).length;
      return reader.watches.size === 1;
    });
    expect(told % keys.length).toBe(0); // the other one has missed nothing
    reader.change('after');
    expect(await quick.take(1)).toEqual([expect.stringContaining('after')]);
    // It comes back, and goes on where it was.
    const before = await slow.take(10);
    const after = await events('/v1/watch', { 'last-event-id': slow.lastId });
    const [next] = await after.take(1);
    expect(Number(next?.split(' ')[0])).toBe(HEAD + before.length + 1);
  });

  test('drops a client that lets too much wait, in place of a reset', async () => {
    await serve();
    const slow = await events('/v1/watch');
    slow.response.pause();
    const keys = Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(250, 'x'));
    await until('too much to wait', () => {
      reader.change(...keys);
      return reader.resets.includes('slow');
    });
    const taken = await slow.take(Number.POSITIVE_INFINITY);
    expect(taken.length).toBeGreaterThan(0);
    expect(taken).toEqual(taken.map((_, index) => expect.stringMatching(`^${HEAD + 1 + index} `)));
    await until('no watch', () => reader.watches.size === 0);
  });

  test('is one of a bounded number: 503, and when to come again', async () => {
    await serve();
    const open = await Promise.all([1, 2, 3].map(() => events('/v1/watch')));
    const refused = await fetch(`${url}/v1/watch`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ code: 'unavailable' });
    for (const one of open) one.close();
    await until('no watch', () => reader.watches.size === 0);
    expect((await events('/v1/watch')).status).toBe(200);
  });

  test('refuses what is no place to go on from, and other methods', async () => {
    await serve();
    const bad = await fetch(`${url}/v1/watch`, { headers: { 'last-event-id': 'x' } });
    expect(bad.status).toBe(400);
    expect(await bad.json()).toMatchObject({ code: 'invalid_position' });
    for (const method of ['HEAD', 'POST']) {
      expect((await fetch(`${url}/v1/watch`, { method })).status).toBe(405);
    }
    expect(reader.watches.size).toBe(0);
  });

  test('needs a token where the app has some', async () => {
    await serve({ tokens: ['secret'] });
    expect((await events('/v1/watch')).status).toBe(401);
    const allowed = await events('/v1/watch', { authorization: 'Bearer secret' });
    expect(allowed.status).toBe(200);
  });

  test('ends at once when the server closes, also for a client that takes nothing', async () => {
    await serve();
    const stuck = await events('/v1/watch');
    stuck.response.pause();
    const idle = await events('/v1/watch');
    await idle.frame();
    const keys = Array.from({ length: 50 }, (_, index) => `${index}`.padEnd(250, 'x'));
    await until('a full connection', async () => {
      reader.change(...keys);
      await idle.take(keys.length);
      return reader.resets.includes('slow');
    });
    await server.close();
    expect(await idle.frame()).toBeUndefined();
    expect(reader.watches.size).toBe(0);
  });
});

describe('GET /v1/configs/{key}?wait=', () => {
  async function tagOf(key: string): Promise<string> {
    return (await fetch(`${url}/v1/configs/${key}`)).headers.get('etag') ?? '';
  }
  function poll(key: string, wait: string, tag?: string): Promise<Response> {
    const headers = tag === undefined ? undefined : { 'if-none-match': tag };
    return fetch(`${url}/v1/configs/${key}?wait=${wait}`, headers && { headers });
  }

  test('answers at once what the client does not have', async () => {
    await serve();
    reader.put('a', '1');
    for (const tag of ['"other"', undefined]) {
      const answer = await poll('a', '60s', tag);
      expect([answer.status, await answer.text()]).toEqual([200, '1']);
    }
    expect((await poll('absent', '60s', '"other"')).status).toBe(404);
    expect(reader.changes.size).toBe(0);
  });

  test('answers when the key changes, and not when another one does', async () => {
    await serve();
    reader.put('a', '1');
    const waiting = poll('a', '60s', await tagOf('a'));
    await until('a waiter', () => reader.changes.size === 1);
    reader.change('b');
    reader.change('a'); // written, and as it was
    await until('a read', () => reader.asked.length >= 4);
    await until('a waiter', () => reader.changes.size === 1);
    reader.put('a', '2', 8);
    reader.change('a');
    const answer = await waiting;
    expect([answer.status, await answer.text()]).toEqual([200, '2']);
    expect(reader.changes.size).toBe(0);
  });

  test('does not miss a change that comes while it reads', async () => {
    await serve();
    // poll:   read, absent --> subscribe --> read, absent --> wait
    // writer:                                         put --^
    const { get } = reader;
    let reads = 0;
    reader.get = async (key, options) => {
      const reading = await get.call(reader, key, options);
      reads += 1;
      if (reads === 2) {
        reader.put('a', '1');
        reader.change('a');
      }
      return reading;
    };
    expect((await poll('a', '60s')).status).toBe(200);
    expect(reads).toBe(3);
  });

  test('answers when an absent key comes, and when a key goes', async () => {
    await serve();
    const coming = poll('a', '60s');
    await until('a waiter', () => reader.changes.size === 1);
    reader.put('a', '1');
    reader.change('a');
    expect((await coming).status).toBe(200);
    const going = poll('a', '60s', '*');
    await until('a waiter', () => reader.changes.size === 1);
    reader.rows.delete('a');
    reader.changes.rebase(); // any key may have changed
    expect((await going).status).toBe(404);
  });

  test('answers 304 after the wait, or 404', async () => {
    await serve();
    reader.put('a', '1');
    expect((await poll('a', '20ms', await tagOf('a'))).status).toBe(304);
    expect((await poll('absent', '20ms')).status).toBe(404);
    expect((await poll('a', '0s', await tagOf('a'))).status).toBe(304);
  });

  test('takes a time up to 60s', async () => {
    await serve();
    for (const wait of [
      '61s',
      '60001ms',
      '5',
      '1m',
      '-1s',
      's',
      '',
      '1.5s',
      '999999s',
      '1s&wait=1s',
    ]) {
      const refused = await poll('a', wait);
      expect(refused.status, wait).toBe(400);
      expect(await refused.json()).toMatchObject({ code: 'invalid_request' });
    }
  });

  test('is one of a bounded number: 503, and when to come again', async () => {
    await serve();
    const waiting = ['x', 'y', 'z'].map((key) => poll(key, '60s'));
    await until('three waiters', () => reader.changes.size === 3);
    const refused = await poll('a', '60s');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    reader.put('b', '1');
    expect((await poll('b', '60s')).status).toBe(200); // need not wait
    reader.changes.close();
    for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(404);
  });

  test('is over when its client goes, its reader fails, or the server closes', async () => {
    await serve();
    const control = new AbortController();
    const gone = fetch(`${url}/v1/configs/a?wait=60s`, { signal: control.signal });
    await until('a waiter', () => reader.changes.size === 1);
    control.abort();
    await expect(gone).rejects.toThrow();
    await until('no waiter', () => reader.changes.size === 0);

    const failing = poll('a', '60s');
    await until('a waiter', () => reader.changes.size === 1);
    reader.failure = new UnavailableError('away');
    reader.change('a');
    expect((await failing).status).toBe(503);
    reader.failure = undefined;

    const last = poll('a', '60s');
    await until('a waiter', () => reader.changes.size === 1);
    await server.close();
    expect((await last).status).toBe(404);
  });
});

describe('POST /v1/hint', () => {
  function hint(body: string, headers: Record<string, string> = {}): Promise<Response> {
    const type = { 'content-type': 'application/json' };
    return fetch(`${url}/v1/hint`, { method: 'POST', body, headers: { ...type, ...headers } });
  }

  test('passes a version on to the reader', async () => {
    await serve();
    for (const [version, outcome] of [
      [HEAD, 'known'],
      [HEAD + 1, 'followed'],
    ] as const) {
      const answer = await hint(JSON.stringify({ version }));
      expect([answer.status, await answer.json()]).toEqual([202, { outcome }]);
    }
    expect(reader.hints).toEqual([HEAD, HEAD + 1]);
  });

  test('refuses anything else', async () => {
    await serve();
    for (const body of ['', '{}', 'null', '[]', '1', '{"version":"1"}', '{"version":0}', '{']) {
      const refused = await hint(body);
      expect(refused.status, body).toBe(400);
      expect(await refused.json()).toMatchObject({ code: 'invalid_request' });
    }
    expect((await hint('{"version":9007199254740992}')).status).toBe(400);
    expect((await hint(`{"version":1${' '.repeat(2_000)}}`)).status).toBe(413);
    expect((await hint('1', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await fetch(`${url}/v1/hint`)).status).toBe(405);
    expect(reader.hints).toEqual([]);
  });
});
