/**
 * Connections that break in the middle of a write: before COMMIT was sent nothing has happened and
 * the writer tries again; after it nobody knows, and the writer says so.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OutcomeUnknownError, PreconditionFailedError } from '../../src/errors.js';
import { openPool } from '../../src/mysql/pool.js';
import { Writer } from '../../src/writer/writer.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';

/** A way to MySQL that breaks once, at the first statement that ends in `words`. */
class BreakingRoute {
  breaks: { words: string; cut: 'before it' | 'before its answer' } | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(private readonly target: URL) {
    this.#server = createServer((client) => this.#join(client));
  }

  async open(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as AddressInfo).port); // it listens on TCP
    return url.href;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #join(client: Socket): void {
    const server = connect(Number(this.target.port), this.target.hostname);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          client.destroy();
          server.destroy();
        });
    }
    let silent = false;
    server.on('data', (bytes) => {
      if (silent) client.destroy();
      else client.write(bytes);
    });
    client.on('data', (bytes) => {
      const isIt =
        this.breaks !== undefined && bytes.toString('latin1').endsWith(this.breaks.words);
      const cut = isIt ? this.breaks?.cut : undefined;
      if (cut) this.breaks = undefined;
      if (cut === 'before it') return client.destroy();
      silent = cut === 'before its answer';
      server.write(bytes);
    });
  }
}

describe.each(flavors)('a connection that breaks, on %s', (flavor) => {
  let database: TestDatabase;
  let route: BreakingRoute;
  let url: string;
  let writer: Writer;

  beforeEach(async () => {
    database = await createDatabase(flavor);
    route = new BreakingRoute(new URL(database.a));
    url = await route.open();
    writer = new Writer({ mysql: url, timeoutMs: 5_000 });
    await writer.put('a', '1');
  });

  afterEach(async () => {
    await writer.close();
    route.close();
    await database.drop();
  });

  const stored = async () => (await query(database.a, 'SELECT config_value FROM configs'))[0];

  async function expectTriedAgain(one: Writer, words: string): Promise<void> {
    for (const cut of ['before it', 'before its answer'] as const) {
      route.breaks = { words, cut };
      const { version } = await one.put('a', '2');
      expect(route.breaks).toBeUndefined();
      expect(await stored()).toEqual({ config_value: '2' });
      expect(version).toBe(
        Number((await query(database.a, 'SELECT head FROM config_stream'))[0]?.head),
      );
    }
  }

  test.each(['FOR UPDATE NOWAIT', "IN ('a')"])('at %s: is tried again', async (words) => {
    await expectTriedAgain(writer, words);
  });

  test('of a pool that was passed in: is tried again', async () => {
    const pool = openPool(url, { connectionLimit: 2 });
    const one = new Writer({ mysql: pool });
    await one.put('a', '1');
    await expectTriedAgain(one, 'START TRANSACTION');
    await expectTriedAgain(one, 'READ COMMITTED');
    await one.close();
    await pool.end();
  });

  test.each([
    ['before it', { a: '1' }],
    ['before its answer', { a: '2', b: '1', c: '1' }],
  ] as const)('COMMIT of a group, cut %s: unknown for all that were in it', async (cut, then) => {
    route.breaks = { words: 'COMMIT', cut };
    const settled = await Promise.allSettled([
      writer.put('b', '1'),
      writer.put('a', '2'),
      writer.put('d', '1', { ifMatch: '*' }),
      writer.batch({ put: { c: '1' } }),
    ]);
    for (const index of [0, 1, 3]) {
      expect(settled[index]).toMatchObject({ reason: expect.any(OutcomeUnknownError) });
    }
    // It was refused, whatever became of the others.
    expect(settled[2]).toMatchObject({ reason: expect.any(PreconditionFailedError) });
    const rows = await query(database.a, 'SELECT config_key AS k, config_value AS v FROM configs');
    expect(Object.fromEntries(rows.map(({ k, v }) => [k, v]))).toEqual(then);
  });

  test('before COMMIT arrives: the outcome is unknown, and nothing was written', async () => {
    route.breaks = { words: 'COMMIT', cut: 'before it' };
    await expect(writer.put('a', '2')).rejects.toThrow(OutcomeUnknownError);
    expect(await stored()).toEqual({ config_value: '1' });
    await writer.put('a', '3');
  });

  test('after COMMIT arrived: the outcome is unknown, and it was written once', async () => {
    const [before] = await query(database.a, 'SELECT head FROM config_stream');
    route.breaks = { words: 'COMMIT', cut: 'before its answer' };
    await expect(writer.put('a', '2')).rejects.toThrow(OutcomeUnknownError);
    expect(await stored()).toEqual({ config_value: '2' });
    const [after] = await query(database.a, 'SELECT head FROM config_stream');
    expect(after?.head).toBe(before?.head + 1);
  });
});
