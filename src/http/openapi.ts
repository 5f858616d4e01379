/**
 * The OpenAPI 3.1 document of an app, made from the schemas of its routes and served at
 * GET /v1/openapi.json to whoever asks: it holds nothing of keys, values or tokens.
 *
 * It sees the routes of the scope it is registered in, and no others, so that a service which embeds
 * an app keeps a document of its own. What belongs to no route (a path or a method that there is not,
 * requests that Node refuses before there is a route) is in `components.responses`, by its status.
 */
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { DEFAULT_NAME } from '../core/collection.js';
import { packageVersion } from '../version.js';
import { refuseOtherMethods } from './methods.js';
import { problemResponse } from './problem.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a route's schema cannot say, because Fastify would act on it. */
    tidemark?: {
      /** Without a token, even where the app has some. */
      readonly open?: boolean;
      /** The body by content type; bodies are taken as bytes, and never validated by a schema. */
      readonly body?: object;
    };
  }
}

export interface DocumentOptions {
  readonly title: string;
  readonly description: string;
  readonly tokens: readonly string[] | undefined;
  /** Statuses by which requests are refused before it is known whether there is such a route. */
  readonly refusals: readonly number[];
}

const URL_OF_DOCUMENT = '/v1/openapi.json';
const SCHEME = 'token';
/** Statuses that may answer a request before it reaches any route. */
const WITHOUT_ROUTE = [400, 404, 405, 408, 413, 415, 417, 431];

const NOT_OF_ROUTES = `

Answers that belong to no operation are in \`components.responses\`, by their status: 404 for any
other path (413 or 415 when it came with such a body), 405 for another method of a path that there
is, 401, 429 and 503 as for the operations of that path, and what is refused before there is a path:
400, 408, 417 and 431, after which the connection ends.`;

/** To be called before the scope has routes. */
export async function documentRoutes(scope: FastifyInstance, options: DocumentOptions) {
  const hasTokens = options.tokens !== undefined && options.tokens.length > 0;
  const swaggerOptions: FastifyDynamicSwaggerOptions = {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: options.title,
        description: `${options.description}${NOT_OF_ROUTES}`,
        version: packageVersion(),
      },
      components: {
        responses: Object.fromEntries(
          [...WITHOUT_ROUTE, ...options.refusals].map((status) => [status, ofNoRoute(status)]),
        ),
        securitySchemes: hasTokens ? { [SCHEME]: { type: 'http', scheme: 'bearer' } } : {},
      },
    },
    exposeHeadRoutes: true,
    convertConstToEnum: false,
    transform: ({ schema = {}, url, route }) => {
      const { open = false, body } = route.config?.tidemark ?? {};
      return {
        url: url.replace('*', ':key'),
        schema: {
          ...schema,
          ...(url.includes('*') ? { params: keyParams } : {}),
          ...(body === undefined || route.method === 'HEAD' ? {} : { body: { content: body } }),
          security: hasTokens && !open ? [{ [SCHEME]: [] }] : [],
        },
      };
    },
  };
  await scope.register(swagger, swaggerOptions);
  let text: string | undefined;
  scope.get(
    URL_OF_DOCUMENT,
    { schema: documentSchema, config: { tidemark: { open: true } } },
    async (_request, reply) => {
      text ??= JSON.stringify(scope.swagger());
      return reply.type('application/json').send(text);
    },
  );
  refuseOtherMethods(scope, [URL_OF_DOCUMENT], ['GET', 'HEAD']);
}

/** The id of an operation on a collection; that of `configs` is the plain one. */
export function operationOf(operation: string, collection: string): string {
  return collection === DEFAULT_NAME ? operation : `${operation}_${collection}`;
}

/** Unlike the schemas of routes, components are taken as they are. */
function ofNoRoute(status: number) {
  const { headers = {}, ...response } = problemResponse(status);
  const wrapped = Object.entries(headers).map(([name, schema]) => [name, { schema }]);
  return { ...response, headers: Object.fromEntries(wrapped) };
}

const keyParams = {
  type: 'object',
  properties: {
    key: {
      type: 'string',
      minLength: 1,
      maxLength: 255,
      description: 'The key, percent-encoded; a slash may stay as it is.',
    },
  },
} as const;

const documentSchema = {
  operationId: 'openapi',
  summary: 'This document',
  response: {
    200: {
      description: 'OpenAPI 3.1',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['openapi', 'info', 'paths'],
            properties: { openapi: { type: 'string' } },
            additionalProperties: true,
          },
        },
      },
    },
    500: problemResponse(500),
  },
} as const;
