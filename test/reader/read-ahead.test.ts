import { beforeEach, describe, expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import {
  type Change,
  decide,
  type LogRow,
  type LogSnapshot,
  type Position,
  positionOf,
} from '../../src/core/position.js';
import type { ChangeLog } from '../../src/mysql/log.js';
import { PageLoader } from '../../src/reader/page-loader.js';
import { ReadAhead } from '../../src/reader/read-ahead.js';

const HEAD = 9;
const FIRST: Position = { version: 3, fingerprint: '' };
/** What was asked of the log, in order. */
let asked: string[];
let fault: Error | undefined;
let ahead: ReadAhead;

/** Rows after a position that has none of its own, as many as there are. */
function shown(version: number): LogSnapshot {
  const rows = Array.from({ length: HEAD - version }, (_, index) => ({
    version: version + 1 + index,
    table: 'configs',
    key: `k${version + 1 + index}`,
    changedAt: '2026-01-01 00:00:00',
  }));
  return { head: HEAD, beatAtMs: 0, clockMs: 0, rows };
}

let nowMs = 0;
/** Where values are read. */
let at: Position;

beforeEach(() => {
  asked = [];
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
  );
});

/** What a turn does with its snapshot. */
async function turn(from: Position, newest?: Change): Promise<number> {
  const verdict = decide(from, (await ahead.poll(from, newest)).snapshot);
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
  ahead = new ReadAhead(log as ChangeLog, pages, 3, () => nowMs);
  ahead.go(FIRST);
  const verdict = decide(FIRST, (await ahead.poll(FIRST)).snapshot);
  if (verdict.kind !== 'page') throw new Error(`Expected a page, got ${verdict.kind}`);
  const { page } = await ahead.load(verdict.page);
  expect(asked).toEqual(['poll from 3', 'fetch 2', 'poll from 5']);
  ahead.go(page.to);
  await ahead.poll(page.to);
  expect(asked.filter((what) => what === 'poll from 5')).toHaveLength(1);
});

describe('a change that a wake has named', () => {
  const BEFORE: Position = { version: HEAD - 1, fingerprint: '' };
  const NEWEST: Change = { version: HEAD, table: 'configs', key: `k${HEAD}` };
  const END = positionOf(shown(HEAD - 1).rows[0] as LogRow); // the one after BEFORE

  test('has its value asked for with the poll, which is all of the page', async () => {
    at = END;
    expect(await turn(BEFORE, NEWEST)).toBe(1);
    expect(asked).toEqual(['poll from 8', 'fetch 1']);
  });

  test.each([
    ['earlier', { version: HEAD - 1, fingerprint: '' }],
    ['in another history', { ...END, fingerprint: 'another' }],
    ['later, where nobody knows the history', { version: HEAD + 1, fingerprint: 'any' }],
  ])('has it asked for again when it was read %s', async (_, elsewhere) => {
    at = elsewhere;
    await turn(BEFORE, NEWEST).catch(() => undefined); // the earlier one is no answer to the page
    expect(asked).toEqual(['poll from 8', 'fetch 1', 'fetch 1']);
  });

  test('is none of the page: what the page names is asked for', async () => {
    at = END;
    expect(await turn(BEFORE, { ...NEWEST, key: 'another' })).toBe(1);
    expect(asked).toEqual(['poll from 8', 'fetch 1', 'fetch 1']);
  });

  test('is not asked for when there are others before it', async () => {
    expect(await turn(FIRST, NEWEST)).toBe(HEAD - FIRST.version);
    expect(asked).toEqual(['poll from 3', `fetch ${HEAD - FIRST.version}`]);
  });

  test('of another table is not asked for', async () => {
    at = END;
    await turn(BEFORE, { ...NEWEST, table: 'others' });
    expect(asked).toEqual(['poll from 8', 'fetch 1']); // the page's own
  });

  test('is not asked for when the page has been read ahead', async () => {
    ahead.go(BEFORE);
    await turn(BEFORE, NEWEST);
    expect(asked).toEqual(['poll from 8', 'fetch 1']);
  });
});
