import { describe, expect, test } from 'vitest';
import type { ModelOptions, Rule } from './model-state.js';
import { explore } from './protocol-model.js';

const ONE: ModelOptions = { changes: 2, keys: ['a'], instances: 1, faults: {} };

/** The rule, and bounds within which its absence shows. */
const RULES: [Rule, ModelOptions][] = [
  ['R1 below', ONE],
  ['R1 above', { ...ONE, faults: { failover: 1, regress: 1 } }],
  ['R2', { ...ONE, faults: { regress: 1, redisError: 1 } }],
  ['R3', ONE],
  ['lost', { ...ONE, faults: { 'push-out': 1 } }],
  ['sightings', { ...ONE, faults: { failover: 1 } }],
  ['fingerprints', { ...ONE, changes: 3, faults: { failover: 1 } }],
];

describe('in every interleaving within the bounds, no read breaks a guarantee', () => {
  test.each<[string, ModelOptions]>([
    ['Redis that loses data', { ...ONE, faults: { regress: 1, flush: 1 } }],
    ['Redis that does not answer', { ...ONE, faults: { redisError: 2, regress: 1 } }],
    ['a small local tier', { ...ONE, faults: { 'push-out': 2, regress: 1 } }],
    ['a failover that loses changes', { ...ONE, changes: 3, faults: { failover: 1 } }],
    ['two instances', { ...ONE, instances: 2, changes: 1, faults: { regress: 1 } }],
  ])('%s', (_, options) => {
    const { states, violation } = explore(options);
    expect(violation).toBeUndefined();
    expect(states).toBeGreaterThan(500);
  });
});

test.each(RULES)('without %s some interleaving breaks one', (without, options) => {
  expect(explore({ ...options, without }).violation).toMatch(/monotonic|prompt|convergence/);
});
