/**
 * The bridge to OpenTelemetry: what a prom-client registry holds of Tidemark, offered by the same
 * names and units through `@opentelemetry/api`, for an SDK that the process has set up.
 *
 * The package is looked for only when someone asks for the bridge; Tidemark works without it.
 * Counters and gauges are read when the SDK collects, and cost nothing in between.
 */
import type {
  Attributes,
  BatchObservableResult,
  Histogram,
  MetricOptions,
  Observable,
} from '@opentelemetry/api';
import { Counter, Gauge, type Registry } from 'prom-client';
import { InvalidOptionsError } from '../errors.js';
import { type Mirror, MirroredHistogram } from './mirrored-histogram.js';

/**
 * Offers the metrics that are in `registry` now to the global meter provider. Set up the SDK first.
 * @returns a function that ends it
 * @throws InvalidOptionsError when `@opentelemetry/api` is not installed
 */
export async function bridgeToOpenTelemetry(registry: Registry): Promise<() => void> {
  const meter = (await openTelemetry()).metrics.getMeter('tidemark');
  const observables = new Map<string, Observable>();
  const ends: (() => void)[] = [];
  for (const metric of registry.getMetricsAsArray()) {
    if (!metric.name.startsWith('tidemark_')) continue;
    const [name, options] = asInstrument(metric);
    if (metric instanceof MirroredHistogram) {
      const histogram = meter.createHistogram(name, withBounds(options, metric));
      ends.push(mirrorOn(histogram, metric, registry));
    }
    if (metric instanceof Counter) {
      observables.set(metric.name, meter.createObservableCounter(name, options));
    }
    if (metric instanceof Gauge) {
      observables.set(metric.name, meter.createObservableGauge(name, options));
    }
  }
  const collect = async (result: BatchObservableResult) => {
    for (const { name, values } of await registry.getMetricsAsJSON()) {
      const observable = observables.get(name);
      if (observable === undefined) continue;
      for (const { value, labels } of values) {
        if (Number.isFinite(value)) result.observe(observable, value, labels);
      }
    }
  };
  const all = [...observables.values()];
  meter.addBatchObservableCallback(collect, all);
  ends.push(() => meter.removeBatchObservableCallback(collect, all));
  return () => {
    for (const end of ends) end();
  };
}

function withBounds(options: MetricOptions, { bounds }: MirroredHistogram): MetricOptions {
  return { ...options, advice: { explicitBucketBoundaries: [...bounds] } };
}

/** What is recorded has only its own labels; the registry adds those of all when it is asked. */
function mirrorOn(histogram: Histogram, metric: MirroredHistogram, registry: Registry): () => void {
  const mirror: Mirror = (value, labels) =>
    histogram.record(value, { ...labelsOfAll(registry), ...labels });
  metric.mirrors.add(mirror);
  return () => metric.mirrors.delete(mirror);
}

function labelsOfAll(registry: Registry): Attributes {
  // prom-client takes them by a function that its types have, and gives them by none.
  const { _defaultLabels = {} } = registry as Registry & { _defaultLabels?: Attributes };
  return _defaultLabels;
}

const UNITS = [
  ['_seconds', 's'],
  ['_bytes', 'By'],
] as const;

/** By OpenTelemetry's conventions: dots, and the unit beside the name. An exporter for Prometheus
 * makes the name of it that the metric has there. */
function asInstrument({ name, help }: { name: string; help: string }): [string, MetricOptions] {
  const [suffix, unit] = UNITS.find(([end]) => name.endsWith(end)) ?? ['', ''];
  const bare = name.slice(0, name.length - suffix.length).replace(/_total$/, '');
  return [bare.replace('_', '.'), { description: help, unit }];
}

async function openTelemetry(): Promise<typeof import('@opentelemetry/api')> {
  try {
    return await import('@opentelemetry/api');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error;
    if (!isMissing || error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new InvalidOptionsError([
      'Expected the package @opentelemetry/api beside Tidemark, got none. ' +
        'Run `npm install @opentelemetry/api` and set up an SDK, or do without OPENTELEMETRY=on',
    ]);
  }
}
