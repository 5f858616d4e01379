/**
 * The read side as a Fastify plugin: GET /v1/configs/{key}, lists by keys or prefix, health.
 *
 * Values leave as the very bytes that are stored. Everything is registered in a scope of its own,
 * so its error handler and tokens touch no other route of the service that embeds it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Reading, ReadOptions } from '../core/reading.js';
import type { Reader, ReaderEvents } from '../reader/reader.js';
import { Closing } from './closing.js';
import { type AssertKeepsUp, type GuardOptions, guard, refusalsOf } from './guard.js';
import { healthRoutes, statusRoute } from './health.js';
import { hintRoute } from './hint.js';
import { keyList, type ListAnswer, prefixList } from './lists.js';
import { refuseOtherMethods } from './methods.js';
import { documentRoutes } from './openapi.js';
import { pageFiles, pageRoute } from './page/routes.js';
import { handleError, problem, problemResponse, problemResponses, sendProblem } from './problem.js';
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

/** The part of a Reader that the app calls. */
export type Readings = Pick<
  Reader,
  | 'peek'
  | 'get'
  | 'getMany'
  | 'list'
  | 'watch'
  | 'changed'
  | 'hint'
  | 'ready'
  | 'status'
  | 'metrics'
> &
  Telling;

/** Of an EventEmitter, what the page uses. */
interface Telling {
  on(event: 'change', listener: (...change: ReaderEvents['change']) => void): unknown;
  off(event: 'change', listener: (...change: ReaderEvents['change']) => void): unknown;
}

export interface ReadAppOptions extends GuardOptions {
  readonly reader: Readings;
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
    const { reader, onClose } = options;
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
        faults: () => readinessFaults(reader),
        status: () => ({ role: 'read', ...reader.status() }),
        metrics: reader.metrics,
      };
      healthRoutes(scope, parts);
      if (options.page) pageFiles(scope);
      await scope.register(async (guarded) => {
        const assertKeepsUp = await guard(guarded, options);
        statusRoute(guarded, parts, assertKeepsUp, refusalsOf(options));
        const closing = new Closing(guarded);
        configRoutes(guarded, options, assertKeepsUp, closing);
        const more = { ...options, assertKeepsUp, closing, refusals: refusalsOf(options) };
        watchRoute(guarded, more);
        if (options.page) pageRoute(guarded, { ...more, readers: [reader], faults: parts.faults });
        await guarded.register(async (inner) => hintRoute(inner, more));
      });
    });
  },
  { name: 'tidemark-read-app', fastify: '5.x' },
);

function configRoutes(
  scope: FastifyInstance,
  options: ReadAppOptions,
  assertKeepsUp: AssertKeepsUp,
  closing: Closing,
): void {
  const { reader } = options;
  const refusals = problemResponses(refusalsOf(options));
  const unsent = new Unsent(MAX_UNSENT_LIST_BYTES);
  const one = {
    operationId: 'read',
    summary: 'The value of a key',
    querystring: waitQuery,
    headers: readHeaders,
    response: { ...refusals, ...oneResponses },
  };
  const keyInPath = keyInPathOf(`${scope.prefix}/v1/configs/*`);
  // Not an async function: what is held here is answered without a promise.
  scope.get('/v1/configs/*', { schema: one }, (request, reply) => {
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
    operationId: 'list',
    summary: 'The values of some keys, or of all that begin with a prefix',
    querystring: listQuery,
    headers: readHeaders,
    response: { ...refusals, ...listResponses },
  };
  scope.get('/v1/configs', { schema: many }, async (request, reply) => {
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
  refuseOtherMethods(scope, ['/v1/configs/*', '/v1/configs'], ['GET', 'HEAD']);
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
