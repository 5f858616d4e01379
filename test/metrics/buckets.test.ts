import { expect, test } from 'vitest';
import { MirroredHistogram } from '../../src/metrics/mirrored-histogram.js';
import { SECONDS_BUCKETS } from '../../src/metrics/seconds-buckets.js';
import { registriesOfAll } from '../support/registries.js';

const registries = () => Object.values(registriesOfAll());

test('the buckets of times rise from 10 µs to 10 s, about threefold at the most', () => {
  expect(SECONDS_BUCKETS[0]).toBe(0.00001);
  expect(SECONDS_BUCKETS.at(-1)).toBe(10);
  for (const [index, bound] of SECONDS_BUCKETS.slice(1).entries()) {
    const ratio = bound / (SECONDS_BUCKETS[index] ?? 0);
    expect(ratio).toBeGreaterThan(1.9);
    expect(ratio).toBeLessThan(2.6);
  }
});

test('every histogram of a time has these buckets', () => {
  const histograms = registries()
    .flatMap((registry) => registry.getMetricsAsArray())
    .filter((metric) => String(metric.type) === 'histogram');
  const times = histograms.filter(({ name }) => name.endsWith('_seconds'));
  expect(times.map(({ name }) => name).toSorted()).toEqual([
    'tidemark_apply_seconds',
    'tidemark_load_seconds',
    'tidemark_poll_seconds',
    'tidemark_propagation_seconds',
    'tidemark_write_seconds',
  ]);
  for (const metric of histograms) expect(metric).toBeInstanceOf(MirroredHistogram);
  for (const metric of times) expect(metric).toMatchObject({ bounds: SECONDS_BUCKETS });
});

test('names follow the conventions of Prometheus: a counter ends in _total, a unit is a base unit', async () => {
  for (const registry of registries()) {
    for (const { name, type, help } of await registry.getMetricsAsJSON()) {
      expect(name).toMatch(/^tidemark_[a-z]+(_[a-z]+)*$/);
      expect(name.endsWith('_total'), name).toBe(String(type) === 'counter');
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|percent)\b/);
      expect(help).not.toBe('');
    }
  }
});

test('what happens once is an increase: labelled counters are there at zero from the start', async () => {
  const text = (await Promise.all(registries().map((one) => one.metrics()))).join('');
  for (const series of [
    'tidemark_rebases_total{reason="diverged"} 0',
    'tidemark_redis_generations_total{reason="missing"} 0',
    'tidemark_redis_fills_total{reply="refused"} 0',
    'tidemark_refused_fills_total{tier="local"} 0',
    'tidemark_reads_total{tier="mysql"} 0',
    'tidemark_watch_resets_total{reason="slow"} 0',
    'tidemark_hints_total{outcome="followed"} 0',
    'tidemark_maintenance_failures_total{task="heartbeat"} 0',
    'tidemark_write_seconds_count{operation="put",outcome="ok"} 0',
    'tidemark_load_seconds_count{tier="redis"} 0',
  ]) {
    expect(text).toContain(series);
  }
});
