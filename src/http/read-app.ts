/**
 * The read side as a Fastify plugin: GET /v1/{collection}/{key}, lists by keys or prefix, health.
 *
 * Values leave as the very bytes that are stored. Everything is registered in a scope of its own,
 * so its error handler and tokens touch no other route of the service that embeds it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Registry } from 'prom-client';
import { DEFAULT_NAME } from '../core/collection.js';
import type { Reading, ReadOptions } from '../core/reading.js';
import { mergedMetrics } from '../merged-metrics.js';
import { Closing } from './closing.js';
import { type AssertKeepsUp, type GuardOptions, guard, refusalsOf } from './guard.js';
import { healthRoutes, statusRoute } from './health.js';
import { hintRoute } from './hint.js';
import { keyList, type ListAnswer, prefixList } from './lists.js';
import { refuseOtherMethods } from './methods.js';
import { documentRoutes, operationOf } from './openapi.js';
import { pageFiles, pageRoute } from './page/routes.js';
import { handleError, problem, problemResponse, problemResponses, sendProblem } from './problem.js';
import { readersRoute } from './readers.js';
import type { Readings, ReadingsByName } from './readings.js';
import {
  describeOnly,
  hasQuery,
  InvalidRequestError,
  integerInHeader,
  integerInQuery,
  keyInPathOf,
  tagsInHeader,
} from './request.js';
import { Unsent } from './unsent.js';
import { isKnown, readWhenChanged, waitInQuery, waitQuery } from './wait.js';
import { watchRoute } from './watch.js';

export interface ReadAppOptions extends GuardOptions {
  /** One, whose collection is `configs`, or several by name. */
  readonly reader: Readings | ReadingsByName;
  /** More metrics to show, such as those of the process. */
  readonly registry?: Registry;
  /** What to do when the server closes: stop the reader, if it was made for this app. */
  readonly onClose?: () => Promise<void>;
  /** How often an open watch is written to when nothing changes, in ms, so that proxies keep it
   * open. Default: 15 s. */
  readonly heartbeatMs?: number;
  /** A page for people at `GET /`, read-only, with its data at `GET /v1/page`. Default: false. */
  readonly page?: boolean;
}

/** Of lists, whose bytes are built anew for each; a single value is shared by all who read it. */
const MAX_UNSENT_LIST_BYTES = 256 * 1024 * 1024;
const JSON_TYPE = 'application/json';

const readHeaders = {
  type: 'object',
  properties: {
    'if-none-match': { type: 'string', description: 'Entity tags, or *' },
    'tidemark-min-version': {
      type: 'string',
      pattern: '^\\d{1,16}$',
      description: 'Wait until this version, which a write answered, is applied here, else 504',
    },
    'tidemark-max-staleness-ms': {
      type: 'string',
      pattern: '^\\d{1,16}$',
      description: 'Wait until this reader is at most so far behind data center A, else 504',
    },
  },
} as const;
const LIMIT = { min: 1, max: 1000, usual: 100 } as const;
const text = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] } as const;
/** `keys`, `prefix` and `after` are read from the raw query, where %2C is not a comma yet. */
const listQuery = {
  type: 'object',
  properties: {
    keys: {
      ...text,
      description: 'Up to 1,000 keys, separated by commas; a comma of a key is %2C',
    },
    prefix: { ...text, description: 'Instead of keys: how keys begin; empty for all' },
    after: { ...text, description: 'With prefix: the `next` of the page before' },
    limit: {
      type: 'integer',
      minimum: LIMIT.min,
      maximum: LIMIT.max,
      default: LIMIT.usual,
      description: 'With prefix',
    },
  },
} as const;

const asOfHeaders = {
  'Tidemark-As-Of': {
    type: 'integer',
    description: 'The position in the log of which this is true',
  },
  'Tidemark-Stale': { type: 'string', const: 'true', description: 'Only there when it is stale' },
  'Cache-Control': { type: 'string', const: 'no-cache' },
} as const;
const readingHeaders = {
  ...asOfHeaders,
  'Tidemark-Tier': { type: 'string', enum: ['local', 'redis', 'mysql'] },
} as const;
const foundHeaders = {
  ...readingHeaders,
  ETag: { type: 'string' },
  'Tidemark-Version': { type: 'integer', description: 'The version of the row' },
} as const;
const oneResponses = {
  200: {
    description: 'The bytes that are stored (JSON, unless plain SQL stored something else)',
    headers: foundHeaders,
    content: { [JSON_TYPE]: { schema: {} } },
  },
  304: { description: 'The client has it', type: 'null', headers: foundHeaders },
  ...problemResponses([400, 500, 503, 504]),
  404: { ...problemResponse(404), headers: readingHeaders },
} as const;
const listSchema = {
  type: 'object',
  required: ['asOf', 'items'],
  properties: {
    asOf: { type: 'integer' },
    items: {
      type: 'array',
      items: {
        type: 'object',
        required: ['key', 'version'],
        properties: {
          key: { type: 'string' },
          version: { type: 'integer' },
          value: { description: 'The document' },
          text: { type: 'string', description: 'Instead of value, what is stored and is not JSON' },
        },
        additionalProperties: false,
      },
    },
    missing: {
      type: 'array',
      items: { type: 'string' },
      description: 'Of keys that were asked for',
    },
    next: { type: ['string', 'null'], description: 'Of a prefix: the next `after`' },
  },
  additionalProperties: false,
} as const;
const listResponses = {
  200: {
    description: 'Each value with its key',
    headers: asOfHeaders,
    content: { [JSON_TYPE]: { schema: listSchema } },
  },
  ...problemResponses([400, 413, 500, 503, 504]),
} as const;

export const readApp = fastifyPlugin<ReadAppOptions>(
  async (host, options) => {
    const { onClose } = options;
    const readers = new Map(
      Symbol.iterator in options.reader ? options.reader : [[DEFAULT_NAME, options.reader]],
    );
    if (onClose !== undefined) host.addHook('onClose', onClose);
    await host.register(async (scope) => {
      scope.setErrorHandler(handleError);
      scope.setValidatorCompiler(describeOnly);
      await documentRoutes(scope, {
        title: 'Tidemark: reads of data center B',
        description: 'Configurations, as fresh as replication allows.',
        tokens: options.tokens,
        refusals: refusalsOf(options),
      });
      const parts = {
        faults: () => [...readers.values()].flatMap(readinessFaults),
        status: () => ({ role: 'read', ...statusOfAll(readers) }),
        metrics: mergedMetrics(
          [...readers.values()].map((reader) => reader.metrics),
          options.registry,
        ),
      };
      healthRoutes(scope, parts);
      if (options.page) pageFiles(scope);
      await scope.register(async (guarded) => {
        const assertKeepsUp = await guard(guarded, options);
        statusRoute(guarded, parts, assertKeepsUp, refusalsOf(options));
        const closing = new Closing(guarded);
        const more = { ...options, assertKeepsUp, closing, refusals: refusalsOf(options) };
        const unsent = new Unsent(MAX_UNSENT_LIST_BYTES);
        for (const [name, reader] of readers) {
          collectionRoutes(guarded, { ...more, name, reader, unsent });
          watchRoute(guarded, { ...more, name, reader });
        }
        const usual = usualOf(readers);
        if (usual !== undefined) watchRoute(guarded, { ...more, reader: usual });
        if (options.page) {
          const shown = [...readers.values()];
          pageRoute(guarded, { ...more, readers: shown, faults: parts.faults });
        }
        readersRoute(guarded, { ...more, readers: [...readers.values()] });
        const [first] = readers.values(); // it hurries the others
        if (first !== undefined) {
          await guarded.register(async (inner) => hintRoute(inner, { ...more, reader: first }));
        }
      });
    });
  },
  { name: 'tidemark-read-app', fastify: '5.x' },
);

interface CollectionRoutes {
  readonly name: string;
  readonly reader: Readings;
  readonly assertKeepsUp: AssertKeepsUp;
  readonly closing: Closing;
  readonly refusals: readonly number[];
  readonly unsent: Unsent;
}

function collectionRoutes(scope: FastifyInstance, options: CollectionRoutes): void {
  const { name, reader, assertKeepsUp, closing, unsent } = options;
  const [allUrl, oneUrl] = [`/v1/${name}`, `/v1/${name}/*`];
  const refusals = problemResponses(options.refusals);
  const one = {
    operationId: operationOf('read', name),
    summary: 'The value of a key',
    querystring: waitQuery,
    headers: readHeaders,
    response: { ...refusals, ...oneResponses },
  };
  const keyInPath = keyInPathOf(`${scope.prefix}${oneUrl}`);
  // Not an async function: what is held here is answered without a promise.
  scope.get(oneUrl, { schema: one }, (request, reply) => {
    assertKeepsUp();
    const known = tagsInHeader(request, 'if-none-match');
    const [key, options] = [keyInPath(request), readOptions(request)];
    const waitMs = waitInQuery(request);
    if (waitMs > 0) {
      const wait = { known, waitMs, signal: closing.of(reply) };
      return readWhenChanged(reader, key, options, wait).then((reading) =>
        sendReading(reply, reading, known),
      );
    }
    const hit = options === undefined ? reader.peek(key) : undefined;
    if (hit === undefined) {
      return reader.get(key, options).then((reading) => sendReading(reply, reading, known));
    }
    sendReading(reply, hit, known); // not returned: Fastify would wait for its end, at a price
    return undefined;
  });
  const many = {
    operationId: operationOf('list', name),
    summary: 'The values of some keys, or of all that begin with a prefix',
    querystring: listQuery,
    headers: readHeaders,
    response: { ...refusals, ...listResponses },
  };
  scope.get(allUrl, { schema: many }, async (request, reply) => {
    assertKeepsUp();
    const [byKeys, byPrefix] = [hasQuery(request, 'keys'), hasQuery(request, 'prefix')];
    if (byKeys === byPrefix) {
      throw new InvalidRequestError('Expected either ?keys=a,b or ?prefix=p&limit=&after=.');
    }
    const read = readOptions(request) ?? {};
    const answer = byKeys
      ? await keyList(reader, request, read)
      : await prefixList(reader, request, integerInQuery(request, 'limit', LIMIT), read);
    return sendList(reply, answer, unsent);
  });
  refuseOtherMethods(scope, [oneUrl, allUrl], ['GET', 'HEAD']);
}

/** What paths without a collection's name mean: `configs`, or the only one. */
function usualOf(readers: ReadonlyMap<string, Readings>): Readings | undefined {
  const [first] = readers.values();
  return readers.get(DEFAULT_NAME) ?? (readers.size === 1 ? first : undefined);
}

/** Of one, its own; of several, that of the first, and each one's under its name. */
function statusOfAll(readers: ReadonlyMap<string, Readings>): object {
  const all = [...readers].map(([name, reader]) => [name, reader.status()] as const);
  const [[, first] = []] = all;
  if (all.length === 1) return { ...first };
  return {
    ...first,
    ready: all.every(([, { ready }]) => ready),
    stale: all.some(([, { stale }]) => stale),
    collections: Object.fromEntries(all),
  };
}

/** Undefined when the request demands nothing. */
function readOptions(request: FastifyRequest): ReadOptions | undefined {
  const minVersion = integerInHeader(request, 'tidemark-min-version', 1);
  const maxStalenessMs = integerInHeader(request, 'tidemark-max-staleness-ms', 0);
  if (minVersion === undefined && maxStalenessMs === undefined) return undefined;
  return {
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxStalenessMs === undefined ? {} : { maxStalenessMs }),
  };
}

function sendReading(
  reply: FastifyReply,
  reading: Reading,
  known: readonly string[] | undefined,
): FastifyReply {
  const { etag, version, value } = reading;
  reply.header('cache-control', 'no-cache');
  reply.header('tidemark-as-of', reading.asOf);
  reply.header('tidemark-tier', reading.tier);
  if (reading.stale) reply.header('tidemark-stale', 'true');
  if (etag === undefined || value === undefined) {
    const detail = 'Expected a key that exists, it does not, as of Tidemark-As-Of.';
    return sendProblem(reply, problem(404, 'not_found', detail));
  }
  reply.header('etag', etag);
  reply.header('tidemark-version', version);
  if (isKnown(etag, known)) {
    return reply.code(304).send();
  }
  return reply.header('content-type', JSON_TYPE).send(value);
}

function sendList(reply: FastifyReply, answer: ListAnswer, unsent: Unsent): FastifyReply {
  unsent.hold(reply, answer.bytes);
  reply.headers({ 'cache-control': 'no-cache', 'tidemark-as-of': answer.asOf });
  if (answer.stale) reply.header('tidemark-stale', 'true');
  return reply.type(JSON_TYPE).send(Buffer.concat(answer.parts, answer.bytes));
}

function readinessFaults(reader: Readings): string[] {
  if (reader.ready) return [];
  const { head, pollFailures } = reader.status();
  const polls = `polls that failed in a row: ${pollFailures}`;
  return [
    head === 0
      ? `Expected a first answer from MySQL-B (MYSQL_B_URL), got none yet; ${polls}.`
      : `Expected Redis to be coherent up to the head at the start, it is not yet; ${polls}.`,
  ];
}
