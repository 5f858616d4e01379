/** What is shown only in a terminal: the question of rebase, the live status, the progress of verify. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { freePort, LOOPBACK } from '../../src/demo/server-process.js';
import { openRedis } from '../../src/redis/client.js';
import { Roster } from '../../src/redis/roster.js';
import { ANNOUNCEMENT } from '../http/fake-reader.js';
import { tidemark } from '../support/cli.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { startFleet } from '../support/fleet.js';
import { headOf, taken } from '../support/readers.js';
import { CTRL_C, CTRL_D, hasTerminals, Terminal } from '../support/terminal.js';
import { until } from '../support/until.js';

/** From below three lines up to the first of them. */
const BACK_UP = '\u001b[2K\u001b[1A'.repeat(3);
/** The line of a bar is empty, and a prompt or the report begins in it. */
const BAR_IS_GONE = '\u001b[1G\u001b[2K';
const SIGINT = 128 + 2;

/** A read app that takes connections and never says a word. @returns its URL */
async function silentServer(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  const port = await freePort();
  server.listen(port, LOOPBACK);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://${LOOPBACK}:${port}`;
}

describe.skipIf(!hasTerminals).each(flavors)('in a terminal, on %s', (flavor) => {
  let db: TestDatabase;
  let env: Record<string, string>;
  beforeEach(async () => {
    db = await createDatabase(flavor);
    env = { MYSQL_B_URL: db.b, REDIS_URL: db.redis };
  });
  afterEach(() => db.drop());

  describe('rebase', () => {
    test('asks, and does it after yes', async () => {
      const [reader] = await startFleet(db, 1);
      const told: string[] = [];
      reader?.on('rebase', ({ reason }) => told.push(reason));
      const terminal = new Terminal(env, 'rebase');
      await terminal.shows(/All entries of configs in Redis .*Go on\? \[y\/N\] $/s);
      expect(told).toEqual([]);
      terminal.type('y\r');
      expect(await terminal.ended()).toBe(0);
      expect(terminal.text).toContain('Readers: 1 of 1 have started again.');
      expect(told).toEqual(['asked']);
    });

    test.each([
      ['no', 'n\r'],
      ['nothing', '\r'],
      ['something else', 'yesterday\r'],
      ['Ctrl-C', CTRL_C],
      ['Ctrl-D', CTRL_D],
    ])('does nothing after %s, and has exit code 1', async (_what, answer) => {
      const [reader] = await startFleet(db, 1);
      const told: string[] = [];
      reader?.on('rebase', ({ reason }) => told.push(reason));
      const terminal = new Terminal(env, 'rebase');
      await terminal.shows(/Go on\? \[y\/N\] $/);
      terminal.type(answer);
      expect(await terminal.ended()).toBe(1);
      expect(terminal.text).toMatch(/\nNothing was done\.\n$/);
      if (reader !== undefined) await taken(db.a, [reader]); // it has seen the marks since
      expect(told).toEqual([]);
      expect((await reader?.readers())?.map(({ asked }) => asked)).toEqual([0]);
    });

    test('is refused without a terminal and without --yes, and says what to do', async () => {
      const ended = await tidemark(env, 'rebase');
      expect(ended).toMatchObject({ exitCode: 2, stdout: '' });
      expect(ended.stderr).toContain('Expected --yes, or a terminal to ask in, got neither');
    });
  });

  test('status draws itself again in its place, until Ctrl-C', async () => {
    await startFleet(db, 1);
    const terminal = new Terminal(env, 'status');
    await terminal.shows(
      new RegExp(`1 reader of configs, MySQL-B at version ${await headOf(db.a)}`),
    );
    expect(terminal.isAsItWas).toBe(false); // no cursor in a picture
    await query(db.a, "INSERT INTO configs (config_key, config_value) VALUES ('a', '1')");
    await terminal.shows(new RegExp(`MySQL-B at version ${await headOf(db.a)}`));
    expect(terminal.output).toContain(BACK_UP);
    terminal.type(CTRL_C);
    expect(await terminal.ended()).toBe(0);
    expect(terminal.isAsItWas).toBe(true);
    expect(terminal.text).toMatch(/(ready|stale)\n(\^C)?\n$/); // the last picture stays, a shell goes on below
  });

  describe('verify', () => {
    test('shows how far it is, and nothing of that at its end', async () => {
      await startFleet(db, 1);
      const terminal = new Terminal(env, 'verify');
      expect(await terminal.ended()).toBe(0);
      expect(terminal.text).toMatch(/comparing \[.{24}\] \d+ %, \d+ of \d+, \S+ left/);
      expect(terminal.isAsItWas).toBe(true);
      const [, shown = ''] = terminal.output.split(BAR_IS_GONE);
      expect(shown.split('\r\n')[0]).toMatch(/^0 keys of configs in MySQL-B/);
      expect(shown).not.toContain('comparing');
    });

    test('gives the terminal back when Ctrl-C ends it', async () => {
      const silent = await silentServer();
      const client = openRedis(db.redis, () => undefined);
      onTestFinished(() => client.disconnect());
      await until('a connection', () => client.status === 'ready');
      await new Roster({ client, prefix: 'tidemark' }).announce({ ...ANNOUNCEMENT, url: silent });
      await query(db.a, "INSERT INTO configs (config_key, config_value) VALUES ('a', '1')");
      await db.caughtUp();
      const terminal = new Terminal(env, 'verify');
      await terminal.shows(/comparing \[/);
      expect(terminal.isAsItWas).toBe(false);
      terminal.type(CTRL_C);
      expect(await terminal.ended()).toBe(SIGINT);
      expect(terminal.isAsItWas).toBe(true);
      expect(terminal.output.endsWith(BAR_IS_GONE)).toBe(true); // the prompt comes there
    });

    test('shows none of it without a terminal', async () => {
      await startFleet(db, 1);
      const ended = await tidemark(env, 'verify');
      expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
    });
  });

  test('status once is no picture, and neither is a terminal that can do nothing', async () => {
    await startFleet(db, 1);
    for (const terminal of [
      new Terminal(env, 'status', '--once'),
      new Terminal({ ...env, TERM: 'dumb' }, 'status'),
    ]) {
      expect(await terminal.ended()).toBe(0);
      expect(terminal.text).toContain('1 reader of configs');
      expect(terminal.output).not.toContain('\u001b');
    }
  });
});
