/** What a reader tells its logger, at which level, and how often. */
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { ReaderLogging } from '../../src/reader/reader-logging.js';
import type { ReconcilerEvents } from '../../src/reader/reconciler.js';
import { printed } from '../support/printed.js';

const at = (version: number) => ({ version, fingerprint: 'f' });
const PAGE = { from: at(41), to: at(43), rows: [] };

function scene(level: string) {
  const { logger, lines } = printed(level);
  const reconciler = new EventEmitter<ReconcilerEvents>();
  let nowMs = 0;
  const monotonicMs = () => nowMs;
  const logging = new ReaderLogging({ logger, table: 'configs', reconciler, monotonicMs });
  const told = () =>
    lines.splice(0).map((line) => {
      const { time, pid, hostname, ...fields } = JSON.parse(line);
      return fields;
    });
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { logging, reconciler, told, pass };
}

test('a page of changes is one line at info, one of other tables none', () => {
  const { reconciler, told } = scene('info');
  reconciler.emit('page', PAGE, ['a', 'b']);
  reconciler.emit('page', PAGE, []);
  expect(told()).toEqual([
    { level: 30, table: 'configs', from: 41, to: 43, keys: 2, msg: 'applied a page of changes' },
  ]);
});

test('a key that was refreshed is one line at debug, with the tier that it came from', () => {
  const { logging, reconciler, told } = scene('debug');
  const entry = new Entry(at(43), 7, Buffer.from('a value, which is in no line'));
  logging.refreshed('k', entry, 'redis');
  reconciler.emit('refresh', 'k', entry);
  const line = { level: 20, table: 'configs', key: 'k', version: 7, asOf: 43 };
  expect(told()).toEqual([
    { ...line, tier: 'redis', msg: 'refreshed a key' },
    { ...line, tier: 'mysql', msg: 'refreshed a key' },
  ]);
});

test('faults of Redis are told each 10 s, with how many there were', () => {
  const { logging, told, pass } = scene('info');
  for (let fault = 1; fault <= 25; fault += 1) {
    logging.redisFault(new Error('gone'), fault);
    pass(1_000);
  }
  expect(told().map(({ faults, reason }) => [faults, reason])).toEqual([
    [1, 'gone'],
    [11, 'gone'],
    [21, 'gone'],
  ]);
});

test('polls that fail in a row are told ever more rarely', () => {
  const { logging, told } = scene('info');
  for (let failures = 1; failures <= 100; failures += 1) {
    logging.pollFailed(new Error('gone'), failures);
  }
  expect(told().map(({ failures }) => failures)).toEqual([1, 2, 4, 8, 16, 32, 64]);
});

test('a listener that throws at each page is told each 10 s, with its stack', () => {
  const { logging, told, pass } = scene('info');
  for (let page = 0; page < 3; page += 1) {
    logging.listenerThrew('change', new TypeError('no such thing'));
    pass(9_000);
  }
  const lines = told();
  expect(lines.map(({ heldBack }) => heldBack)).toEqual([0, 1]);
  expect(lines[0].err).toMatchObject({
    type: 'TypeError',
    message: 'no such thing',
    stack: expect.stringContaining('reader-logging.test.ts'),
  });
});
