/** The last line of `chaos --json`, which programs read. */
import { expect, test } from 'vitest';
import { three } from './check-run.js';
import { failureOf, summaryOf } from './report.js';

const options = { seed: 7, seconds: 60, flavor: 'mysql', redis: 'standalone' } as const;
const faults = { 'redis-flush': 2, 'b-kill': 1 };

test('of a run with a verdict, all its figures; a process that died counts as a violation', () => {
  const run = three().read('v3', 3, 40).error(100).error(350).read('v3', 3, 600);
  run.stale('v1', 1, 720, { reader: 'r2' }); // 700 ms after its successor
  run.write({ value: 'v4', version: 4, sentMs: 730, doneMs: 731 }); // of which the log knows nothing
  const verdict = run.checker.finish();
  const summary = summaryOf(options, {
    ...{ verdict, faults, convergencesMs: [30.4, 10, 20], deaths: ['reader-2 ended'] },
    ...{ statuses: {}, misses: {} },
  });
  expect(JSON.parse(JSON.stringify(summary))).toMatchObject({
    ...{ ...options, reads: 5, writes: 4, faults, lost: 1 },
    violations: 2,
    byGuarantee: { lost: 1 },
    staleMaxMs: 700,
    unavailableMs: { p50: 501, p99: 501, max: 501 },
    convergenceMs: { p50: 20, p99: 30, max: 30 },
  });
});

test('of a run in which a reader was stuck, what was found until then', () => {
  const soFar = { reads: 5, writes: 3, faults, violations: 1, convergencesMs: [10, 20] };
  expect(failureOf(options, new Error('Expected reader-2'), soFar)).toEqual({
    ...{ ...options, reads: 5, writes: 3, faults, violations: 1 },
    convergenceMs: { p50: 10, p99: 20, max: 20 },
    failed: 'Error: Expected reader-2',
  });
  const never = failureOf(options, new Error('at once'), { ...soFar, convergencesMs: [] });
  expect(never).not.toHaveProperty('convergenceMs'); // zeros would look like figures
});

test('of a run that failed itself, nothing that could be taken for a verdict', () => {
  expect(failureOf(options, new Error('no server'))).toEqual({
    ...options,
    failed: 'Error: no server',
  });
});
