/**
 * Readers in a process of their own, so that only their work is measured: its memory, the delays of
 * its event loop. The first one is behind HTTP. Its parent is readers-process.ts.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { type CreateReaderOptions, createReader } from '../../src/index.js';
import type { Answers, Question, ReadersOptions, Watched } from './readers-process.js';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const MIB = 1024 * 1024;
const PAGE = 500;

const { count, ...own } = JSON.parse(process.env.READERS ?? '{}') as ReadersOptions; // the parent's
const options: CreateReaderOptions = { ...own, logger: SILENT };
const readers = Array.from({ length: count }, () => createReader(options));
const [first] = readers;
if (first === undefined) throw new Error('Expected a reader, got none');
await Promise.all(readers.map((reader) => reader.start()));
const server = createServer({ logLevel: 'silent' });
await server.register(readApp, { reader: first });
const url = await server.listen({ host: '127.0.0.1', port: 0 });

let delays: IntervalHistogram | undefined;

const answers: {
  readonly [Name in keyof Answers]: (keys: readonly string[]) => Promise<Answers[Name]>;
} = {
  /** The version that all of them have applied, and how often they have polled together. */
  async status() {
    const polls = await Promise.all(
      readers.map((reader) => reader.metrics.getSingleMetric('tidemark_polls_total')?.get()),
    );
    return {
      applied: Math.min(...readers.map((reader) => reader.status().applied)),
      polls: polls.reduce((sum, metric) => sum + (metric?.values[0]?.value ?? 0), 0),
    };
  },
  /** Has the first reader hold these keys. @returns bytes of memory in use afterwards */
  async hold(keys) {
    for (let start = 0; start < keys.length; start += PAGE) {
      await first.getMany(keys.slice(start, start + PAGE));
    }
    if (globalThis.gc === undefined) throw new Error('Expected node --expose-gc: `npm run bench`');
    globalThis.gc();
    globalThis.gc();
    const { heapUsed, external } = process.memoryUsage();
    return { bytes: heapUsed + external, entries: first.status().local.entries };
  },
  /** Starts to watch memory and event loop; tells what they were since the last time. */
  async watch() {
    const watched = await watchedNow();
    await writeFile('/proc/self/clear_refs', '5'); // the peak starts again from here
    delays?.disable();
    delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    return watched;
  },
};

async function watchedNow(): Promise<Watched> {
  const [, peakKiB] = /VmHWM:\s+(\d+) kB/.exec(await readFile('/proc/self/status', 'utf8')) ?? [];
  return {
    memoryMiB: process.memoryUsage.rss() / MIB,
    peakMiB: Number(peakKiB) / 1024,
    delayP99Ms: (delays?.percentile(99) ?? 0) / 1e6,
    delayMaxMs: (delays?.max ?? 0) / 1e6,
  };
}

process.on('message', async ({ ask, keys }: Question) => {
  try {
    process.send?.({ answer: await answers[ask](keys) });
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
process.on('disconnect', () => process.exit());
process.send?.({ answer: url });
