/** Readers for tests: quick polls, no output, stopped when the test is over. */
import { onTestFinished } from 'vitest';
import { type CreateReaderOptions, createReader, type Reader } from '../../src/index.js';
import { query } from './data-centers.js';

export const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** Long enough for any machine: what must fail in time says its own. */
const PATIENT_MS = 30_000;

/** Where MySQL-B and Redis are. A reader takes the account that may only read, if there is one. */
export interface ReaderUrls {
  readonly b: string;
  readonly reader?: string;
  readonly redis: string;
}

/** What a reader of tests is created with, unless the test says otherwise. */
export function readerOptions(
  { b, reader = b, redis }: ReaderUrls,
  options: Partial<CreateReaderOptions> = {},
): CreateReaderOptions {
  return {
    mysql: reader,
    redis,
    logger: SILENT,
    pollIntervalMs: 20,
    readTimeoutMs: PATIENT_MS,
    redisTimeoutMs: 1_000,
    auditCron: 'off', // audits come when a test says so
    ...options,
  };
}

/** A reader that runs until the test is over. */
export async function startReader(
  urls: ReaderUrls,
  options: Partial<CreateReaderOptions> = {},
): Promise<Reader> {
  const reader = createReader(readerOptions(urls, options));
  onTestFinished(() => reader.stop());
  await reader.start();
  return reader;
}

/** The head of the log in data center A. */
export async function headOf(a: string): Promise<number> {
  const [stream] = await query(a, 'SELECT head FROM config_stream');
  return Number(stream?.head);
}

/** Resolves when each reader has taken in all that was committed in A so far. */
export async function taken(a: string, readers: readonly Reader[]): Promise<number> {
  const minVersion = await headOf(a);
  await Promise.all(readers.map((reader) => reader.get('(nobody)', { minVersion })));
  return minVersion;
}

/** The value as text; undefined when the key does not exist. */
export async function textOf(reader: Reader, key: string): Promise<string | undefined> {
  return (await reader.get(key)).value?.toString();
}

/** One metric's value, or the sum over its labels. */
export async function metricOf(reader: Reader, name: string, label?: string): Promise<number> {
  const metric = await reader.metrics.getSingleMetric(name)?.get();
  if (metric === undefined) throw new Error(`Expected a metric ${name}, got none`);
  return metric.values
    .filter(({ labels }) => label === undefined || Object.values(labels).includes(label))
    .reduce((sum, { value }) => sum + value, 0);
}

/** What a histogram of times has: how many, and their sum in seconds. */
export async function timesOf(
  reader: Reader,
  name: string,
): Promise<{ readonly count: number; readonly seconds: number }> {
  const metric = await reader.metrics.getSingleMetric(name)?.get();
  if (metric === undefined) throw new Error(`Expected a metric ${name}, got none`);
  const values = metric.values as { metricName?: string; value: number }[]; // of a histogram
  const at = (end: string) =>
    values.find(({ metricName }) => metricName === `${name}${end}`)?.value ?? 0;
  return { count: at('_count'), seconds: at('_sum') };
}
