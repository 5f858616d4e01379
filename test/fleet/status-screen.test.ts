import pico from 'picocolors';
import { describe, expect, test } from 'vitest';
import type { Announcement } from '../../src/core/announcement.js';
import {
  type FleetView,
  lagOf,
  statusScreen,
  statusScreens,
} from '../../src/fleet/status-screen.js';
import { ANNOUNCEMENT, HEAD } from '../http/fake-reader.js';

const plain = pico.createColors(false);

function view(readers: Partial<Announcement>[], more: Partial<FleetView> = {}): FleetView {
  return {
    table: 'configs',
    head: HEAD,
    readers: readers.map((change) => ({ ...ANNOUNCEMENT, ...change })),
    nowMs: Date.parse(ANNOUNCEMENT.startedAt) + 3 * 3_600_000,
    ...more,
  };
}

describe('the table of readers', () => {
  test.each([
    [80, 24, 2],
    [80, 24, 100],
    [120, 40, 30],
    [200, 50, 60],
    [40, 3, 5],
  ])('fits %i columns and %i rows with %i readers', (columns, rows, count) => {
    const host = 'a-very-long-name-of-a-host-that-no-terminal-has-room-for'.repeat(2);
    const many = view(Array(count).fill({ host, applied: 2 ** 53 - 1, stalenessMs: 9e12 }), {
      problem: 'Expected Redis to answer within 1000 ms. '.repeat(9),
    });
    const lines = statusScreen(many, { columns: Math.max(columns, 80), rows }, plain).split('\n');
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.max(columns, 80));
  });

  test('says how far each is, how fresh, and which tier answers', () => {
    const reads = { local: 970, redis: 25, mysql: 5 };
    const screen = statusScreen(
      view([{ applied: 40, reads }, { stale: true }]),
      { columns: 80, rows: 24 },
      plain,
    );
    const [top, heading = '', first, second] = screen.split('\n');
    expect(top).toBe('2 readers of configs, MySQL-B at version 42');
    expect(heading.trim().split(/\s+/)).toEqual([
      'reader',
      'applied',
      'lag',
      'age',
      'local',
      'redis',
      'mysql',
      'state',
    ]);
    expect(first).toMatch(/^web-1:7 +40 +2 +40 ms +97\.0% +2\.5% +0\.5% +ready$/);
    expect(second).toMatch(/ stale$/);
  });

  test('has generation, version and age of the process where there is room', () => {
    const wide = statusScreen(view([{}]), { columns: 120, rows: 24 }, plain).split('\n');
    expect(wide[1]).toMatch(/generation +version +up$/);
    expect(wide[2]).toMatch(/ g +0\.1\.0 +3 h$/);
  });

  test('tells of more readers than there are rows', () => {
    const screen = statusScreen(view(Array(10).fill({})), { columns: 80, rows: 6 }, plain);
    expect(screen.split('\n').at(-1)).toBe('and 7 more');
  });

  test('shows nothing that a terminal would obey', () => {
    const screen = statusScreen(
      view([{ host: '\u001b[2J\u0007' }]),
      { columns: 80, rows: 9 },
      plain,
    );
    expect(screen.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
  });

  test('is without readers, and without MySQL-B', () => {
    const screen = statusScreen(view([], { head: null }), { columns: 80, rows: 9 }, plain);
    expect(screen).toBe('0 readers of configs\nnone has announced itself in Redis');
  });

  test('has several tables one below the other, each with its part of the rows', () => {
    const views = [view(Array(9).fill({})), view([], { table: 'flags' })];
    const lines = statusScreens(views, { columns: 80, rows: 12 }, plain).split('\n');
    expect(lines.length).toBeLessThanOrEqual(12);
    expect(lines).toContain('and 7 more');
    expect(lines).toContain('0 readers of flags, MySQL-B at version 42');
  });

  test('takes the lag from MySQL-B, or from what the reader has seen of it', () => {
    const reader = { ...ANNOUNCEMENT, applied: 40, head: 41 };
    expect([lagOf(reader, 50), lagOf(reader, null), lagOf(reader, 3)]).toEqual([10, 1, 0]);
  });
});
