/** What a user of OpenTelemetry loads before an app: an SDK; this one prints what it would export. */
import { metrics } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
const provider = new MeterProvider({ readers: [reader] });
metrics.setGlobalMeterProvider(provider);

setInterval(async () => {
  exporter.reset();
  await provider.forceFlush();
  const all = exporter.getMetrics().flatMap((one) => one.scopeMetrics);
  const names = all.flatMap((scope) => scope.metrics.map(({ descriptor }) => descriptor.name));
  console.log(`exported ${names.join(' ')}`);
}, 100).unref();
