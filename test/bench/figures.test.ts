import { expect, test } from 'vitest';
import { type Figure, figureOf, percentileFigures, Rounds } from './figure.js';
import { figuresOf } from './runner.js';
import { svgOf } from './svg.js';
import { jsonOf, lineOf, tableOf } from './table.js';

const comparison = { name: 'reads', peerName: 'a peer', unit: '1/s', better: 'higher' } as const;
const onMysql: Figure = {
  ...figureOf({ ...comparison, target: 0.9 }, [9, 10, 11], [10, 10, 10]),
  flavor: 'mysql',
};

test('a suite that throws is one figure that failed, and so is one that does not end', async () => {
  const thrown = await figuresOf('reads', () => Promise.reject(new Error('no server')), 1_000);
  expect(thrown.map(({ name, failure, holds }) => ({ name, failure, holds }))).toEqual([
    { name: 'reads', failure: 'no server', holds: false },
  ]);
  const [endless] = await figuresOf('reads', () => new Promise(() => undefined), 1);
  expect(endless?.failure).toContain('there was none');
  expect(await figuresOf('reads', async () => [onMysql], 1_000)).toEqual([onMysql]);
});

test('a figure that failed is told in every form', () => {
  const failed = { ...onMysql, flavor: 'mariadb', failure: 'no server' } as const;
  expect(lineOf(failed)).toBe('FAILED  reads (mariadb): no server');
  expect(JSON.parse(jsonOf(failed))).toMatchObject({ name: 'reads (mariadb)', holds: true });
  expect(tableOf([failed], 'bench')).toContain('| reads | a peer | >= 0.9 |  | failed |');
});

test('the table has one row for both databases, and says on which a target holds', () => {
  const onMariadb: Figure = {
    ...figureOf({ ...comparison, target: 0.9 }, [8, 8, 8], [10, 10, 10]),
    flavor: 'mariadb',
  };
  const [, , row] = tableOf([onMysql, onMariadb], 'bench').split('\n');
  expect(row).toBe(
    '| reads | a peer | >= 0.9 | 10 / 10 1/s = 1 (0.9 to 1.1) | 8 / 10 1/s = 0.8 (0.8 to 0.8) | on mysql |',
  );
});

test('rounds end when their time is over, but not before the first', () => {
  const over = new Rounds(7, performance.now() - 1);
  expect([0, 1].map((done) => over.hasMore(done))).toEqual([true, false]);
  const endless = new Rounds(7, Number.POSITIVE_INFINITY);
  expect([0, 6, 7].map((done) => endless.hasMore(done))).toEqual([true, true, false]);
  expect(endless.atMost(3).planned).toBe(3);
});

test('the picture has a panel for each set of latencies, not for each percentile', () => {
  const figures = percentileFigures(
    { name: 'propagation', peerName: 'a <listener>', unit: 'ms', better: 'lower' },
    [
      { percent: 50, target: 1 },
      { percent: 99, target: 1 },
    ],
    [[1, 2, 3]],
    [[2, 3, 40]],
  );
  const svg = svgOf(figures);
  expect(svg.match(/<polyline/g)?.length).toBe(2);
  expect(svg).toContain('a &lt;listener>');
});
