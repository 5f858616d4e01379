/** The bridge to OpenTelemetry, into a real SDK with an exporter in memory. */
import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { Counter, Gauge, Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { bridgeToOpenTelemetry } from '../../src/index.js';
import { MirroredHistogram } from '../../src/metrics/mirrored-histogram.js';
import { registriesOfAll } from '../support/registries.js';

/** The SDK of a process: what it exports, when it is asked to. */
function startSdk(): () => Promise<Map<string, MetricData>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  metrics.setGlobalMeterProvider(provider);
  onTestFinished(async () => {
    metrics.disable();
    await provider.shutdown();
  });
  return async () => {
    exporter.reset();
    await provider.forceFlush();
    const scopes = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
    expect(scopes.every(({ scope }) => scope.name === 'tidemark')).toBe(true);
    const all = scopes.flatMap((scope) => scope.metrics);
    return new Map(all.map((metric) => [metric.descriptor.name, metric]));
  };
}

function points(metric: MetricData | undefined) {
  return metric?.dataPoints.map(({ attributes, value }) => [attributes, value]);
}

test('counters, gauges and histograms arrive with their labels, units and buckets', async () => {
  const exported = startSdk();
  const registers = [new Registry()];
  const reads = new Counter({
    name: 'tidemark_reads_total',
    help: 'Reads.',
    labelNames: ['tier'],
    registers,
  });
  const bytes = new Gauge({ name: 'tidemark_local_bytes', help: 'Size.', registers });
  const age = new Gauge({ name: 'tidemark_staleness_seconds', help: 'Age.', registers });
  const seconds = new MirroredHistogram({
    name: 'tidemark_load_seconds',
    help: 'Time.',
    labelNames: ['tier'],
    registers,
  });
  new Counter({ name: 'process_cpu_seconds_total', help: 'Not ours.', registers });
  const end = await bridgeToOpenTelemetry(registers[0] ?? new Registry());
  reads.inc({ tier: 'local' }, 3);
  bytes.set(512);
  age.set(Number.POSITIVE_INFINITY);
  seconds.record(0.00002, { tier: 'redis' });
  seconds.record(0.2, { tier: 'redis' });

  const first = await exported();
  expect([...first.keys()].toSorted()).toEqual([
    'tidemark.load',
    'tidemark.local',
    'tidemark.reads', // and no age: it is no number yet
  ]);
  expect(points(first.get('tidemark.reads'))).toEqual([[{ tier: 'local' }, 3]]);
  expect(points(first.get('tidemark.local'))).toEqual([[{}, 512]]);
  expect(first.get('tidemark.local')?.descriptor).toMatchObject({
    unit: 'By',
    description: 'Size.',
  });
  expect(first.get('tidemark.load')?.descriptor.unit).toBe('s');
  const [load] = points(first.get('tidemark.load')) ?? [];
  expect(load).toEqual([
    { tier: 'redis' },
    expect.objectContaining({
      count: 2,
      buckets: expect.objectContaining({ boundaries: [...seconds.bounds] }),
    }),
  ]);
  reads.inc({ tier: 'local' });
  expect(points((await exported()).get('tidemark.reads'))).toEqual([[{ tier: 'local' }, 4]]);

  end();
  reads.inc({ tier: 'local' });
  seconds.record(1, { tier: 'redis' });
  const after = await exported();
  expect(points(after.get('tidemark.reads'))).toEqual([[{ tier: 'local' }, 4]]);
  expect(points(after.get('tidemark.load'))?.[0]?.[1]).toMatchObject({ count: 2 });
});

test('all that readers, writers and their maintenance count is offered', async () => {
  const exported = startSdk();
  const registries = Object.values(registriesOfAll());
  await Promise.all(registries.map(bridgeToOpenTelemetry));
  for (const metric of registries.flatMap((registry) => registry.getMetricsAsArray())) {
    if (metric instanceof MirroredHistogram) metric.record(1, {});
  }
  const all = (await Promise.all(registries.map((one) => one.getMetricsAsJSON()))).flat();
  const isNumber = (sample: { readonly value: number }) => Number.isFinite(sample.value);
  const measured = all.filter(({ values }) => values.some(isNumber));
  const offered = await exported();
  expect(measured.length).toBeGreaterThan(30);
  expect(offered.size).toBe(measured.length);
  for (const { name, help } of measured) {
    const bare = name.replace(/(_seconds|_bytes|_total)$/, '').replace('_', '.');
    expect(offered.get(bare)?.descriptor.description).toBe(help);
  }
});

test('a label that a registry gives to all of its metrics is there too, on times as well', async () => {
  const exported = startSdk();
  for (const collection of ['one', 'other']) {
    const registry = new Registry();
    const registers = [registry];
    registry.setDefaultLabels({ collection });
    const polls = new Counter({ name: 'tidemark_polls_total', help: 'Polls.', registers });
    const seconds = new MirroredHistogram({
      ...{ name: 'tidemark_load_seconds', help: 'Time.', labelNames: ['tier'], registers },
    });
    await bridgeToOpenTelemetry(registry);
    polls.inc();
    seconds.record(1, { tier: 'redis' });
  }
  const offered = await exported();
  const labels = (name: string) => points(offered.get(name))?.map(([attributes]) => attributes);
  expect(labels('tidemark.polls')).toEqual([{ collection: 'one' }, { collection: 'other' }]);
  expect(labels('tidemark.load')).toEqual([
    { collection: 'one', tier: 'redis' },
    { collection: 'other', tier: 'redis' },
  ]);
});

test('without an SDK it is harmless', async () => {
  const registry = new Registry();
  const seconds = new MirroredHistogram({
    name: 'tidemark_x_seconds',
    help: 'Time.',
    registers: [registry],
  });
  const end = await bridgeToOpenTelemetry(registry);
  seconds.record(1);
  end();
  expect(await registry.metrics()).toContain('tidemark_x_seconds_count 1');
});
