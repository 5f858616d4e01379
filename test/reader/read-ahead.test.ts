import { beforeEach, describe, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import {
  decide,
  type LogRow,
  type LogSnapshot,
  type Position,
  positionOf,
} from '../../src/core/position.js';
import type { Glance } from '../../src/mysql/glance.js';
import type { ChangeLog } from '../../src/mysql/log.js';
import { PageLoader } from '../../src/reader/page-loader.js';
import { ReadAhead } from '../../src/reader/read-ahead.js';

const HEAD = 9;
const FIRST: Position = { version: 3, fingerprint: '' };
/** What was asked of the log, in order. */
let asked: string[];
let fault: Error | undefined;
let ahead: ReadAhead;

function rowAt(version: number): LogRow {
  return { version, table: 'configs', key: `k${version}`, changedAt: '2026-01-01 00:00:00' };
}

/** Rows after a position that has none of its own, as many as there are. */
function shown(version: number): LogSnapshot {
  const length = Math.max(0, HEAD - version);
  const rows = Array.from({ length }, (_, index) => rowAt(version + 1 + index));
  return { head: HEAD, beatAtMs: 0, clockMs: 0, rows };
}

let nowMs = 0;
let polledMs: number[];
/** Where values are read. */
let at: Position;

beforeEach(() => {
  asked = [];
  polledMs = [];
  fault = undefined;
  at = { version: HEAD, fingerprint: '' };
  const log: Pick<ChangeLog, 'poll' | 'fetchSmall'> = {
    poll: async (version) => {
      asked.push(`poll from ${version}`);
      if (fault !== undefined) throw fault;
      return shown(version);
    },
    fetchSmall: async (keys) => {
      asked.push(`fetch ${keys.length}`);
      return { kind: 'small', entries: new Map(keys.map((key) => [key, new Entry(at, 0, null)])) };
    },
  };
  ahead = new ReadAhead(
    log as ChangeLog,
    new PageLoader(log as ChangeLog, 'configs'),
    10,
    () => nowMs,
    (ms) => polledMs.push(ms),
  );
});

/** What a turn does with its snapshot. */
async function turn(from: Position, glance?: Glance): Promise<number> {
  const verdict = decide(from, (await ahead.poll(from, glance)).snapshot);
  if (verdict.kind !== 'page') throw new Error(`Expected a page, got ${verdict.kind}`);
  return (await ahead.load(verdict.page)).entries.size;
}

test('the turn after it finds snapshot and values read, and asks for nothing', async () => {
  ahead.go(FIRST);
  expect(await turn(FIRST)).toBe(HEAD - FIRST.version);
  expect(asked).toEqual(['poll from 3', `fetch ${HEAD - FIRST.version}`]);
});

test('the turn after it is told when that was asked', async () => {
  nowMs = 7;
  ahead.go(FIRST);
  nowMs = 50;
  expect((await ahead.poll(FIRST)).askedAtMs).toBe(7);
  expect((await ahead.poll(FIRST)).askedAtMs).toBe(50);
});

test('a turn that begins elsewhere reads for itself, also at the same version', async () => {
  ahead.go(FIRST);
  expect(await turn({ ...FIRST })).toBe(HEAD - FIRST.version);
  expect(asked.filter((what) => what === 'poll from 3').length).toBe(2);
});

test('it is for one turn', async () => {
  ahead.go(FIRST);
  await turn(FIRST);
  asked = [];
  await turn(FIRST);
  expect(asked).toEqual(['poll from 3', `fetch ${HEAD - FIRST.version}`]);
});

test('a fault is told to that turn, and forgotten with it', async () => {
  fault = new Error('gone');
  ahead.go(FIRST);
  await expect(turn(FIRST)).rejects.toThrow('gone');
  fault = undefined;
  expect(await turn(FIRST)).toBe(HEAD - FIRST.version);
});

test('what is forgotten is read again, and its fault is told to no one', async () => {
  fault = new Error('gone');
  ahead.go(FIRST);
  ahead.forget();
  fault = undefined;
  expect(await turn(FIRST)).toBe(HEAD - FIRST.version);
});

test('the log after a page is read while its values are loaded, once', async () => {
  const log: Pick<ChangeLog, 'poll' | 'fetchSmall'> = {
    poll: async (version) => {
      asked.push(`poll from ${version}`);
      return { ...shown(version), rows: shown(version).rows.slice(0, 2) };
    },
    fetchSmall: async (keys) => {
      asked.push(`fetch ${keys.length}`);
      const at = { version: HEAD, fingerprint: '' };
      return { kind: 'small', entries: new Map(keys.map((key) => [key, new Entry(at, 0, null)])) };
    },
  };
  const pages = new PageLoader(log as ChangeLog, 'configs');
  ahead = new ReadAhead(
    log as ChangeLog,
    pages,
    3,
    () => nowMs,
    () => undefined,
  );
  ahead.go(FIRST);
  const verdict = decide(FIRST, (await ahead.poll(FIRST)).snapshot);
  if (verdict.kind !== 'page') throw new Error(`Expected a page, got ${verdict.kind}`);
  const { page } = await ahead.load(verdict.page);
  expect(asked).toEqual(['poll from 3', 'fetch 2', 'poll from 5']);
  ahead.go(page.to);
  await ahead.poll(page.to);
  expect(asked.filter((what) => what === 'poll from 5')).toHaveLength(1);
});

describe('the glance of a wake', () => {
  const [before, newest] = [rowAt(HEAD - 1), rowAt(HEAD)];
  const BEFORE = positionOf(before);
  const GLANCE: Glance = {
    snapshot: { head: HEAD, beatAtMs: 0, clockMs: 3, rows: [before, newest] },
    askedAtMs: 5,
    newest: { key: newest.key, entry: new Entry(positionOf(newest), HEAD, Buffer.from('new')) },
  };

  test('is all of the page after the change before, and MySQL-B is asked for nothing', async () => {
    expect(await ahead.poll(BEFORE, GLANCE)).toMatchObject({ askedAtMs: 5 });
    expect(await turn(BEFORE, GLANCE)).toBe(1);
    expect([asked, polledMs]).toEqual([[], []]);
  });

  test('shows who stands at its end that there is no news', async () => {
    const position = positionOf(newest);
    const { snapshot } = await ahead.poll(position, GLANCE);
    expect(decide(position, snapshot).kind).toBe('idle');
    expect(asked).toEqual([]);
  });

  test.each<[string, Position, Partial<Glance>]>([
    ['further behind', { version: HEAD - 3, fingerprint: '' }, {}],
    ['in another history', { ...BEFORE, fingerprint: 'another' }, {}],
    ['ahead of it', { version: HEAD + 1, fingerprint: 'any' }, {}],
    ['where the log was pruned', BEFORE, { snapshot: { ...GLANCE.snapshot, rows: [newest] } }],
  ])('is nothing to who stands %s: the log is polled', async (_, from, but) => {
    await ahead.poll(from, { ...GLANCE, ...but });
    expect(asked).toEqual([`poll from ${from.version}`]);
    expect(polledMs).toHaveLength(1);
  });

  test.each<[string, Glance['newest']]>([
    ['without a value', undefined],
    ['with the value of another key', { key: 'another', entry: new Entry(BEFORE, 0, null) }],
  ])('%s leaves the value to be asked for', async (_, value) => {
    at = positionOf(newest);
    expect(await turn(BEFORE, { ...GLANCE, newest: value })).toBe(1);
    expect(asked).toEqual(['fetch 1']);
  });

  test('is not needed when the page has been read ahead', async () => {
    ahead.go(FIRST);
    await turn(FIRST, GLANCE);
    expect(asked).toEqual(['poll from 3', `fetch ${HEAD - FIRST.version}`]);
  });
});
