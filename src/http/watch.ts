/**
 * GET /v1/watch/{collection}, or /v1/watch for the usual one: the changes of keys with a prefix as
 * server-sent events, for EventSource and curl.
 *
 * Each event's id is where to go on from; a client that comes back with it as `Last-Event-ID` gets
 * what it has missed, or a `reset`. Invariant: what waits for a client is bounded, in the watch and
 * in the stream. One that takes nothing for two heartbeats, or lets too much wait, is dropped: it may
 * come back, and reads the log at its own pace then.
 */
import { PassThrough } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Watch, WatchEvent } from '../reader/watch.js';
import type { Closing } from './closing.js';
import type { AssertKeepsUp } from './guard.js';
import { refuseOtherMethods } from './methods.js';
import { problemResponses } from './problem.js';
import type { Readings } from './readings.js';
import { textInQuery } from './request.js';

export interface WatchRouteOptions {
  /** The collection that the path names, if it names one. */
  readonly name?: string;
  readonly reader: Pick<Readings, 'watch'>;
  readonly assertKeepsUp: AssertKeepsUp;
  readonly closing: Closing;
  readonly refusals: readonly number[];
  readonly heartbeatMs?: number;
}

const EVENT_STREAM = 'text/event-stream';
const HEARTBEAT_MS = 15_000;
/** Clients come back after so long, at random, so that they do not all come at once. */
const RETRY_MS = { least: 500, more: 1_500 } as const;

const query = {
  type: 'object',
  properties: {
    prefix: { type: 'string', description: 'How keys begin; empty for all' },
    after: {
      type: 'string',
      description: 'As Last-Event-ID, for clients that cannot send it: an id, or a version',
    },
  },
} as const;
const headers = {
  type: 'object',
  properties: {
    'last-event-id': {
      type: 'string',
      description: 'The id of an event: what came after it follows. An id begins with the version',
    },
  },
} as const;
const responses = {
  200: {
    description:
      'Server-sent events without end: `change` with {"kind", "version", "key"} for each change, in ' +
      'the order of the log; `reset` with {"kind", "version", "reason"} when any key may have ' +
      'changed, so that you read again what you need. Now and then an id without an event.',
    headers: { 'Cache-Control': { type: 'string', const: 'no-cache' } },
    content: { [EVENT_STREAM]: { schema: {} } },
  },
  ...problemResponses([400, 500, 503]),
} as const;

export function watchRoute(scope: FastifyInstance, options: WatchRouteOptions): void {
  const { name } = options;
  const [url, id] =
    name === undefined ? ['/v1/watch', 'watch'] : [`/v1/watch/${name}`, `watch_${name}`];
  const schema = {
    operationId: id,
    summary: 'The changes of keys with a prefix, as they come',
    querystring: query,
    headers,
    response: { ...problemResponses(options.refusals), ...responses },
  };
  scope.get(url, { schema, exposeHeadRoute: false }, (request, reply) => {
    options.assertKeepsUp();
    const signal = options.closing.of(reply);
    const watch = options.reader.watch(textInQuery(request, 'prefix') ?? '', {
      after: placeIn(request),
      signal,
    });
    return stream(reply, watch, { signal, heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS });
  });
  refuseOtherMethods(scope, [url], ['GET']);
}

function placeIn(request: FastifyRequest): string | undefined {
  const header = request.headers['last-event-id'];
  return (header === undefined ? undefined : String(header)) || textInQuery(request, 'after');
}

function stream(
  reply: FastifyReply,
  watch: Watch,
  { signal, heartbeatMs }: { readonly signal: AbortSignal; readonly heartbeatMs: number },
): FastifyReply {
  const body = new PassThrough();
  const drop = () => {
    watch.end();
    reply.raw.destroy();
  };
  let isStuck = false;
  const heartbeat = setInterval(() => {
    if (body.writableNeedDrain && isStuck) drop();
    isStuck = body.writableNeedDrain;
    if (!isStuck) body.write(`:\nid: ${watch.id}\n\n`);
  }, heartbeatMs);
  const end = () => {
    clearInterval(heartbeat);
    if (body.writableNeedDrain)
      drop(); // it would not take the end, either
    else body.end();
  };
  body.on('error', drop);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  reply.headers({ 'cache-control': 'no-cache', 'x-accel-buffering': 'no' });
  // The connection is of no other use, and the server need not wait for it when it closes.
  if (reply.request.raw.httpVersionMajor === 1) reply.header('connection', 'close');
  const retryMs = Math.round(RETRY_MS.least + RETRY_MS.more * Math.random());
  body.write(`retry: ${retryMs}\nid: ${watch.id}\n\n`);
  pump(watch, body)
    .catch((error: unknown) =>
      reply.server.log.warn({ reason: String(error) }, 'a watch ended early'),
    )
    .finally(end);
  return reply.type(EVENT_STREAM).send(body);
}

/** Until one of the two ends. A reset for slowness ends both: its client need not read all again. */
async function pump(watch: Watch, body: PassThrough): Promise<void> {
  for await (const event of watch) {
    if (event.kind === 'reset' && event.reason === 'slow') return;
    if (!body.write(frameOf(event))) await drained(body);
    if (body.destroyed) return;
  }
}

function drained(body: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      body.off('drain', done);
      body.off('close', done);
      resolve();
    };
    body.on('drain', done);
    body.on('close', done);
    if (body.destroyed) done();
  });
}

/** An event is written for each of its watches, and made once. */
const frames = new WeakMap<WatchEvent, string>();

function frameOf(event: WatchEvent): string {
  const known = frames.get(event);
  if (known !== undefined) return known;
  const { id, ...data } = event;
  const frame = `event: ${event.kind}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
  frames.set(event, frame);
  return frame;
}
