/**
 * The read side as a Fastify plugin: GET /v1/configs/{key}, lists by keys or prefix, health.
 *
 * Values leave as the very bytes that are stored. Everything is registered in a scope of its own,
 * so its error handler and tokens touch no other route of the service that embeds it.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Reading, ReadOptions } from '../core/reading.js';
import type { Reader } from '../reader/reader.js';
import { demandToken } from './auth.js';
import { healthRoutes } from './health.js';
import { keyList, type ListAnswer, prefixList } from './lists.js';
import { refuseOtherMethods } from './methods.js';
import { handleError, problem, problemResponses, sendProblem } from './problem.js';
import {
  hasQuery,
  InvalidRequestError,
  integerInHeader,
  keyInPath,
  tagsInHeader,
} from './request.js';

/** The part of a Reader that the app calls. */
export type Readings = Pick<Reader, 'get' | 'getMany' | 'list' | 'ready' | 'status' | 'metrics'>;

export interface ReadAppOptions {
  readonly reader: Readings;
  /** Bearer tokens, any of which opens all but health and metrics. None: open to all. */
  readonly tokens?: readonly string[] | undefined;
  /** What to do when the server closes: stop the reader, if it was made for this app. */
  readonly onClose?: () => Promise<void>;
}

const JSON_TYPE = 'application/json';

const keyParams = { type: 'object', properties: { '*': { type: 'string' } } } as const;
const readHeaders = {
  type: 'object',
  properties: {
    'if-none-match': { type: 'string' },
    'tidemark-min-version': { type: 'string' },
    'tidemark-max-staleness-ms': { type: 'string' },
  },
} as const;
/** `keys`, `prefix` and `after` are read from the raw query, where %2C is not a comma yet. */
const listQuery = {
  type: 'object',
  properties: {
    keys: {},
    prefix: {},
    after: {},
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
  },
} as const;

export const readApp = fastifyPlugin<ReadAppOptions>(
  async (host, options) => {
    const { reader, tokens, onClose } = options;
    if (onClose !== undefined) host.addHook('onClose', onClose);
    await host.register(async (scope) => {
      scope.setErrorHandler(handleError);
      await healthRoutes(scope, {
        faults: () => readinessFaults(reader),
        status: () => ({ role: 'read', ...reader.status() }),
        metrics: reader.metrics,
        tokens,
      });
      await scope.register(async (inner) => configRoutes(inner, options));
    });
  },
  { name: 'tidemark-read-app', fastify: '5.x' },
);

async function configRoutes(scope: FastifyInstance, options: ReadAppOptions): Promise<void> {
  const { reader, tokens } = options;
  await demandToken(scope, tokens);
  const one = { params: keyParams, headers: readHeaders, response: problemResponses };
  scope.get('/v1/configs/*', { schema: one }, async (request, reply) => {
    const known = tagsInHeader(request, 'If-None-Match');
    return sendReading(reply, await reader.get(keyInPath(request), readOptions(request)), known);
  });
  const many = { querystring: listQuery, headers: readHeaders, response: problemResponses };
  scope.get<{ Querystring: { limit: number } }>(
    '/v1/configs',
    { schema: many },
    async (request, reply) => {
      const [byKeys, byPrefix] = [hasQuery(request, 'keys'), hasQuery(request, 'prefix')];
      if (byKeys === byPrefix) {
        throw new InvalidRequestError('Expected either ?keys=a,b or ?prefix=p&limit=&after=.');
      }
      const read = readOptions(request);
      const answer = byKeys
        ? await keyList(reader, request, read)
        : await prefixList(reader, request, request.query.limit, read);
      return sendList(reply, answer);
    },
  );
  refuseOtherMethods(scope, ['/v1/configs/*', '/v1/configs'], ['GET', 'HEAD']);
}

function readOptions(request: FastifyRequest): ReadOptions {
  const minVersion = integerInHeader(request, 'Tidemark-Min-Version', 1);
  const maxStalenessMs = integerInHeader(request, 'Tidemark-Max-Staleness-Ms', 0);
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
  reply.headers({
    'cache-control': 'no-cache',
    'tidemark-as-of': reading.asOf,
    'tidemark-tier': reading.tier,
  });
  if (reading.stale) reply.header('tidemark-stale', 'true');
  if (etag === undefined || value === undefined) {
    const detail = 'Expected a key that exists, it does not, as of Tidemark-As-Of.';
    return sendProblem(reply, problem(404, 'not_found', detail));
  }
  reply.headers({ etag, 'tidemark-version': version });
  if (known?.some((tag) => tag === '*' || tag.replace(/^W\//, '') === etag)) {
    return reply.code(304).send();
  }
  return reply.type(JSON_TYPE).send(value);
}

function sendList(reply: FastifyReply, answer: ListAnswer): FastifyReply {
  reply.headers({ 'cache-control': 'no-cache', 'tidemark-as-of': answer.asOf });
  if (answer.stale) reply.header('tidemark-stale', 'true');
  return reply.type(JSON_TYPE).send(answer.body);
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
