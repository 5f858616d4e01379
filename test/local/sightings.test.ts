import { describe, expect, test } from 'vitest';
import { type LogRow, type LogSnapshot, positionOf } from '../../src/core/position.js';
import { Sightings } from '../../src/local/sightings.js';

function row(version: number, changedAt: string): LogRow {
  return { version, table: 'configs', key: 'a', changedAt };
}

function snapshot(...rows: LogRow[]): LogSnapshot {
  return { head: rows.at(-1)?.version ?? 0, beatAtMs: 0, clockMs: 0, rows };
}

describe('sightings', () => {
  test('are contradicted by another row in their place, and by no other', () => {
    const sightings = new Sightings();
    sightings.add(positionOf(row(6, 'one')));
    expect(sightings.contradictedBy(snapshot(row(5, 'any'), row(6, 'one')))).toBe(false);
    expect(sightings.contradictedBy(snapshot(row(5, 'any')))).toBe(false);
    expect(sightings.contradictedBy(snapshot(row(5, 'any'), row(6, 'other')))).toBe(true);
  });

  test('of a head without its row are contradicted by any row there: rows do not come back', () => {
    const sightings = new Sightings();
    sightings.add({ version: 6, fingerprint: '' });
    expect(sightings.contradictedBy(snapshot(row(5, 'any')))).toBe(false);
    expect(sightings.contradictedBy(snapshot(row(6, 'any')))).toBe(true);
  });

  test('that differ contradict each other, until nothing from there is held', () => {
    const sightings = new Sightings();
    sightings.add(positionOf(row(6, 'one')));
    sightings.add({ version: 6, fingerprint: '' }); // pruned meanwhile
    expect(sightings.contradictedBy(snapshot())).toBe(false);
    sightings.add(positionOf(row(6, 'other')));
    expect(sightings.contradictedBy(snapshot())).toBe(true);
    sightings.forget(6);
    expect(sightings.contradictedBy(snapshot())).toBe(false);
  });
});
