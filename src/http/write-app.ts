/**
 * The write side as a Fastify plugin: PUT and DELETE /v1/configs/{key}, POST /v1/batch, health.
 *
 * Everything is registered in a scope of its own, so its body parsers, error handler and tokens
 * touch no other route of the service that embeds it. Bodies are taken as bytes and stored as sent.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Registry } from 'prom-client';
import { TidemarkError, UnavailableError } from '../errors.js';
import { within } from '../within.js';
import type { MaintenanceStatus } from '../writer/maintenance.js';
import type { DeleteResult, PutResult, Writer } from '../writer/writer.js';
import { parseBatchBody } from './batch-body.js';
import { type GuardOptions, guard, refusalsOf } from './guard.js';
import { healthRoutes, statusRoute } from './health.js';
import { refuseOtherMethods } from './methods.js';
import { documentRoutes } from './openapi.js';
import { handleError, problem, problemResponse, problemResponses, sendProblem } from './problem.js';
import { describeOnly, InvalidRequestError, keyInPathOf, tagsInHeader } from './request.js';

/** The part of a Writer that the app calls. */
export type Writing = Pick<Writer, 'put' | 'delete' | 'batch' | 'head' | 'maxValueBytes'> & {
  readonly metrics: Registry;
};

export interface WriteAppOptions extends GuardOptions {
  readonly writer: Writing;
  /** Shown by /v1/status. */
  readonly maintenance?: { status(): MaintenanceStatus } | undefined;
  /** The largest body of POST /v1/batch; each value has the writer's own limit. */
  readonly maxBatchBytes?: number;
  /** What to do when the server closes: close the writer, if it was made for this app. */
  readonly onClose?: () => Promise<void>;
}

/** A body that is compressed. */
class UnsupportedMediaTypeError extends TidemarkError {
  readonly code = 'unsupported_media_type';
}

const DEFAULT_MAX_BATCH_BYTES = 16 * 1024 * 1024;
const READY_TIMEOUT_MS = 3_000;

const version = { type: 'integer', description: 'At which the write is in the log' } as const;
const versionHeaders = { 'Tidemark-Version': { type: 'integer' } } as const;
const ifMatch = { type: 'string', description: 'Entity tags, or * for any value' } as const;
const ifNoneMatch = { type: 'string', const: '*', description: 'There must be no value' } as const;
const conditions = {
  type: 'object',
  properties: { 'if-match': ifMatch, 'if-none-match': ifNoneMatch },
} as const;

const document = {
  'application/json': { schema: { description: 'Any JSON document, stored byte for byte' } },
  '*/*': { schema: { description: 'The same: the content type is not looked at' } },
} as const;
const batch = {
  'application/json': {
    schema: {
      type: 'object',
      properties: {
        put: { type: 'object', additionalProperties: true },
        delete: { type: 'array', items: { type: 'string' } },
      },
      additionalProperties: false,
    },
  },
} as const;

/** A write that happened. */
function written(description: string, headers: object, ...members: string[]) {
  const properties = { key: { type: 'string' }, version };
  return {
    description,
    headers: { ...versionHeaders, ...headers },
    content: {
      'application/json': { schema: { type: 'object', required: members, properties } },
    },
  };
}

const etagHeader = { ETag: { type: 'string' } } as const;
const putResponses = {
  200: written('It replaced a value', etagHeader, 'key', 'version'),
  201: written('It is a new key', etagHeader, 'key', 'version'),
  ...problemResponses([400, 409, 412, 413, 415, 500, 503, 504]),
};
const deleteResponses = {
  200: written('It is deleted', {}, 'key', 'version'),
  ...problemResponses([400, 412, 413, 415, 500, 503, 504]),
  404: { ...problemResponse(404), headers: versionHeaders },
};
const batchResponses = {
  200: written('All of it is written', {}, 'version'),
  ...problemResponses([400, 409, 413, 415, 500, 503, 504]),
};

export const writeApp = fastifyPlugin<WriteAppOptions>(
  async (host, options) => {
    const { onClose } = options;
    if (onClose !== undefined) host.addHook('onClose', onClose);
    await host.register(async (scope) => {
      scope.setErrorHandler(handleError);
      scope.setValidatorCompiler(describeOnly);
      await documentRoutes(scope, {
        title: 'Tidemark: writes of data center A',
        description: 'Configurations, each write with its place in one ordered log.',
        tokens: options.tokens,
        refusals: refusalsOf(options),
      });
      const parts = healthParts(options);
      healthRoutes(scope, parts);
      await scope.register(async (guarded) => {
        const assertKeepsUp = await guard(guarded, options);
        guarded.addHook('onRequest', async () => assertKeepsUp()); // before a body is read
        statusRoute(guarded, parts, assertKeepsUp, refusalsOf(options));
        await guarded.register(async (inner) => configRoutes(inner, options));
        await guarded.register(async (inner) => batchRoute(inner, options));
      });
    });
  },
  { name: 'tidemark-write-app', fastify: '5.x' },
);

function configRoutes(scope: FastifyInstance, options: WriteAppOptions): void {
  const { writer } = options;
  takeBytes(scope, '*', writer.maxValueBytes);
  const url = '/v1/configs/*';
  const keyInPath = keyInPathOf(`${scope.prefix}${url}`);
  const refusals = problemResponses(refusalsOf(options));
  const put = {
    operationId: 'put',
    summary: 'Store a document under a key',
    headers: conditions,
    response: { ...refusals, ...putResponses },
  };
  const body = { tidemark: { body: document } };
  scope.put(
    url,
    { schema: put, config: body, bodyLimit: writer.maxValueBytes },
    async (request, reply) => {
      const ifMatch = tagsInHeader(request, 'if-match');
      const ifNoneMatch = tagsInHeader(request, 'if-none-match');
      if (ifNoneMatch !== undefined && (ifNoneMatch[0] !== '*' || ifMatch !== undefined)) {
        throw new InvalidRequestError('Expected If-Match alone, or If-None-Match: * alone.');
      }
      return sendPut(
        reply,
        await writer.put(keyInPath(request), bodyOf(request), {
          ...(ifMatch === undefined ? {} : { ifMatch }),
          ifAbsent: ifNoneMatch !== undefined,
        }),
      );
    },
  );
  const remove = {
    operationId: 'delete',
    summary: 'Delete a key',
    headers: { type: 'object', properties: { 'if-match': ifMatch } },
    response: { ...refusals, ...deleteResponses },
  };
  scope.delete(url, { schema: remove }, async (request, reply) => {
    if (request.headers['if-none-match'] !== undefined) {
      throw new InvalidRequestError('Expected If-Match or no condition, got If-None-Match.');
    }
    const ifMatch = tagsInHeader(request, 'if-match');
    const condition = ifMatch === undefined ? {} : { ifMatch };
    return sendDelete(reply, await writer.delete(keyInPath(request), condition));
  });
  refuseOtherMethods(scope, [url], ['PUT', 'DELETE']);
}

// Only application/json: a page of another origin cannot send that without being asked first.
function batchRoute(scope: FastifyInstance, options: WriteAppOptions): void {
  const { writer, maxBatchBytes = DEFAULT_MAX_BATCH_BYTES } = options;
  takeBytes(scope, 'application/json', maxBatchBytes);
  const schema = {
    operationId: 'batch',
    summary: 'Put and delete many keys, all of it or nothing',
    response: { ...problemResponses(refusalsOf(options)), ...batchResponses },
  };
  const config = { tidemark: { body: batch } };
  const route = { schema, config, bodyLimit: maxBatchBytes };
  scope.post('/v1/batch', route, async (request, reply) => {
    const { version } = await writer.batch(parseBatchBody(bodyOf(request)));
    return reply.header('tidemark-version', version).send({ version });
  });
  refuseOtherMethods(scope, ['/v1/batch'], ['POST']);
}

function sendPut(reply: FastifyReply, { key, version, etag, created }: PutResult): FastifyReply {
  reply.headers({ etag, 'tidemark-version': version });
  return reply.code(created ? 201 : 200).send({ key, version });
}

function sendDelete(reply: FastifyReply, { key, version, deleted }: DeleteResult): FastifyReply {
  reply.header('tidemark-version', version);
  if (deleted) return reply.send({ key, version });
  return sendProblem(reply, problem(404, 'not_found', 'Expected a key that exists, it does not.'));
}

function takeBytes(scope: FastifyInstance, contentType: string, bodyLimit: number): void {
  scope.removeAllContentTypeParsers();
  scope.addHook('preParsing', refuseEncoded);
  scope.addContentTypeParser(
    contentType,
    { parseAs: 'buffer', bodyLimit },
    (_request, body, done) => done(null, body),
  );
}

/** What is sent is what is stored: a compressed body would be a value that is no JSON. */
async function refuseEncoded(request: FastifyRequest): Promise<void> {
  const encoding = request.headers['content-encoding'];
  if (encoding === undefined || /^identity$/i.test(encoding)) return;
  throw new UnsupportedMediaTypeError('Expected a body as it is, got one with Content-Encoding.');
}

function bodyOf(request: FastifyRequest): Uint8Array {
  return request.body instanceof Uint8Array ? request.body : new Uint8Array();
}

function healthParts({ writer, maintenance }: WriteAppOptions) {
  return {
    faults: async () => {
      try {
        await within(writer.head(), READY_TIMEOUT_MS, lateForReady);
        return [];
      } catch (error) {
        return [
          error instanceof TidemarkError ? error.message : 'Something unexpected went wrong.',
        ];
      }
    },
    status: async () => {
      const head = await writer.head();
      return { role: 'write', head, maintenance: maintenance?.status() ?? null };
    },
    metrics: writer.metrics,
  };
}

function lateForReady(): Error {
  return new UnavailableError(
    `Expected MySQL-A to answer within ${READY_TIMEOUT_MS} ms, it did not. Check that it runs.`,
  );
}
