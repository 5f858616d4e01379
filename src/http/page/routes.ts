/**
 * The page on a read app, off unless asked for: `GET /`, its files, and `GET /v1/page`, all that it
 * shows in one answer, for which it asks each second while someone looks. It changes nothing.
 */
import type { FastifyInstance } from 'fastify';
import { Spread } from '../../core/spread.js';
import type { ReaderEvents } from '../../reader/reader.js';
import type { AssertKeepsUp } from '../guard.js';
import { refuseOtherMethods } from '../methods.js';
import { problemResponses } from '../problem.js';
import type { Readings } from '../readings.js';
import { CHART_FILES, fileRoutes, publicFile } from './files.js';
import { Recent, SLOT_MS, type Slot } from './recent.js';
import { together } from './together.js';

export interface PageRouteOptions {
  /** Those of this process; one at least. */
  readonly readers: readonly Pick<Readings, 'status' | 'on' | 'off'>[];
  /** Why traffic should not come here now. */
  readonly faults: () => readonly string[];
  readonly assertKeepsUp: AssertKeepsUp;
  readonly refusals: readonly number[];
}

/** Of the bars that the page draws, in ms: ends of a spread's cells. */
const BAR_ENDS_MS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000],
];

const PARTS = ['base.css', 'page.css', 'icon.svg'];
const MODULES = ['page.js', 'feed.js', 'charts.js', 'readers.js', 'view.js', 'dom.js', 'format.js'];

/** What anyone may load. */
export function pageFiles(scope: FastifyInstance): void {
  const own = [...PARTS, ...MODULES].map((name) => ({
    url: `/page/${name}`,
    file: publicFile(name),
  }));
  fileRoutes(scope, [{ url: '/', file: publicFile('index.html') }, ...own, ...CHART_FILES]);
}

const number = { type: 'number' } as const;
const perhaps = { type: ['number', 'null'] } as const;
const integer = { type: 'integer' } as const;
const text = { type: 'string' } as const;

function object(properties: Readonly<Record<string, object>>) {
  const required = Object.keys(properties);
  return { type: 'object', required, properties, additionalProperties: false } as const;
}
function list(items: object) {
  return { type: 'array', items } as const;
}

const percentiles = { count: integer, p50Ms: perhaps, p99Ms: perhaps, maxMs: perhaps } as const;
const change = object({
  version: integer,
  table: text,
  key: text,
  changedAtMs: { ...number, description: 'By the clock of A' },
  latencyMs: {
    ...number,
    description: 'Until the old value was let go here, by the clocks of both',
  },
});
const page = object({
  nowMs: { ...number, description: 'The clock of this process, ms since the epoch' },
  status: { type: 'object', additionalProperties: true, description: 'As GET /v1/status says' },
  reasons: { ...list(text), description: 'Why this reader is not ready' },
  latency: object({
    ...percentiles,
    slotMs: number,
    slots: { ...list(object({ startMs: number, ...percentiles })), description: 'Over time' },
    barEndsMs: list(number),
    bars: { ...list(integer), description: 'Up to each end; one more over the last' },
  }),
  changes: { ...list(change), description: 'The newest first' },
});

/** What needs a token where the app has some. */
export function pageRoute(scope: FastifyInstance, options: PageRouteOptions): void {
  const { readers, faults, assertKeepsUp } = options;
  const recent = new Recent(Date.now);
  const take = ({ rows }: ReaderEvents['change'][0]) => recent.take(rows);
  for (const reader of readers) reader.on('change', take);
  scope.addHook('onClose', async () => {
    for (const reader of readers) reader.off('change', take);
  });
  const schema = {
    operationId: 'page',
    summary: 'What the page shows: this reader, the latest changes, how long changes took',
    response: {
      200: {
        description: 'Of the last ten minutes',
        headers: { 'Cache-Control': { type: 'string', const: 'no-store' } },
        content: { 'application/json': { schema: page } },
      },
      ...problemResponses([...options.refusals, 500, 503]),
    },
  };
  scope.get('/v1/page', { schema }, async (_request, reply) => {
    assertKeepsUp();
    reply.header('cache-control', 'no-store');
    return {
      nowMs: Date.now(),
      status: together(readers.map((reader) => reader.status())),
      reasons: faults(),
      latency: latencyOf(recent.slots),
      changes: recent.changes,
    };
  });
  refuseOtherMethods(scope, ['/v1/page'], ['GET', 'HEAD']);
}

function latencyOf(slots: readonly Slot[]) {
  const all = new Spread();
  for (const { spread } of slots) all.addAll(spread);
  return {
    ...percentilesOf(all),
    slotMs: SLOT_MS,
    slots: slots.map(({ startMs, spread }) => ({ startMs, ...percentilesOf(spread) })),
    barEndsMs: BAR_ENDS_MS,
    bars: all.countsUpTo(BAR_ENDS_MS),
  };
}

function percentilesOf(spread: Spread) {
  return {
    count: spread.count,
    p50Ms: spread.percentileMs(0.5) ?? null,
    p99Ms: spread.percentileMs(0.99) ?? null,
    maxMs: spread.maxMs ?? null,
  };
}
