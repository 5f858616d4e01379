/**
 * A prom-client histogram that hands on what is recorded. Counters and gauges can be read whenever
 * someone exports them; a distribution has to be recorded where it is measured, once for each place
 * that it goes to.
 */
import { Histogram, type HistogramConfiguration, type LabelValues } from 'prom-client';
import { SECONDS_BUCKETS } from './seconds-buckets.js';

export type Mirror = (value: number, labels: Record<string, string | number>) => void;

export class MirroredHistogram<Label extends string = string> extends Histogram<Label> {
  /** Called with each value that is recorded from now on. */
  readonly mirrors = new Set<Mirror>();
  readonly bounds: readonly number[];

  /** Its buckets are those of times in seconds, unless the configuration has others. */
  constructor(configuration: HistogramConfiguration<Label>) {
    const buckets = [...(configuration.buckets ?? SECONDS_BUCKETS)];
    super({ ...configuration, buckets });
    this.bounds = buckets;
  }

  /** `observe`, here and in the mirrors. */
  record(value: number, labels: Record<Label, string> | Record<string, never> = {}): void {
    this.observe(labels as LabelValues<Label>, value); // all of them, or there are none
    for (const mirror of this.mirrors) mirror(value, labels);
  }
}
