/**
 * The upper bounds of every histogram of a time, in seconds: from 10 µs, what memory answers in, to
 * 10 s, beyond which the gauges of ages tell more than a distribution. One set for all, so that
 * times can be compared and added up.
 */
export const SECONDS_BUCKETS: readonly number[] = Object.freeze([
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 5, 10,
]);
