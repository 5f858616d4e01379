/**
 * The write side as a Fastify plugin: PUT and DELETE /v1/{collection}/{key}, POST /v1/batch, health.
 *
 * Everything is registered in a scope of its own, so its body parsers, error handler and tokens
 * touch no other route of the service that embeds it. Bodies are taken as bytes and stored as sent.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Registry } from 'prom-client';
import { DEFAULT_NAME } from '../core/collection.js';
import { TidemarkError, UnavailableError } from '../errors.js';
import { mergedMetrics } from '../merged-metrics.js';
import { within } from '../within.js';
import type { MaintenanceStatus } from '../writer/maintenance.js';
import type { DeleteResult, PutResult, Writer } from '../writer/writer.js';
import { parseBatchBody } from './batch-body.js';
import { type GuardOptions, guard, refusalsOf } from './guard.js';
import { healthRoutes, statusRoute } from './health.js';
import { refuseOtherMethods } from './methods.js';
import { documentRoutes, operationOf } from './openapi.js';
import { handleError, problem, problemResponse, problemResponses, sendProblem } from './problem.js';
import { describeOnly, InvalidRequestError, keyInPathOf, tagsInHeader } from './request.js';

/** The part of a Writer that the app calls. */
export type Writing = Pick<Writer, 'put' | 'delete' | 'batch' | 'head' | 'maxValueBytes'> & {
  readonly metrics: Registry;
};

/** Writers by the names of their collections; undefined of one that is written by SQL only. */
export type WritingByName = Iterable<readonly [name: string, writer: Writing | undefined]>;

export interface WriteAppOptions extends GuardOptions {
  /** One, whose collection is `configs`, or several by name. */
  readonly writer: Writing | WritingByName;
  /** More metrics to show, such as those of the process. */
  readonly registry?: Registry;
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

/** A write of a collection whose keys or values are several columns. */
class ReadOnlyCollectionError extends TidemarkError {
  readonly code = 'read_only_collection';
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
      const writers = new Map<string, Writing | undefined>(
        Symbol.iterator in options.writer ? options.writer : [[DEFAULT_NAME, options.writer]],
      );
      const parts = healthParts(writers, options);
      healthRoutes(scope, parts);
      await scope.register(async (guarded) => {
        const assertKeepsUp = await guard(guarded, options);
        guarded.addHook('onRequest', async () => assertKeepsUp()); // before a body is read
        statusRoute(guarded, parts, assertKeepsUp, refusalsOf(options));
        for (const [name, writer] of writers) {
          await guarded.register(async (inner) => {
            if (writer === undefined) readOnlyRoutes(inner, name, options);
            else collectionRoutes(inner, { ...options, name, writer });
          });
        }
        const writer = usualOf(writers);
        if (writer === undefined) return;
        await guarded.register(async (inner) => batchRoute(inner, { ...options, writer }));
      });
    });
  },
  { name: 'tidemark-write-app', fastify: '5.x' },
);

interface CollectionRoutes extends GuardOptions {
  readonly name: string;
  readonly writer: Writing;
}

/** The writer of paths without a collection's name: that of `configs`, or the only one. */
function usualOf(writers: ReadonlyMap<string, Writing | undefined>): Writing | undefined {
  const [first] = writers.values();
  return writers.get(DEFAULT_NAME) ?? (writers.size === 1 ? first : undefined);
}

function readOnlyRoutes(scope: FastifyInstance, name: string, options: GuardOptions): void {
  takeBytes(scope, '*', 0);
  const url = `/v1/${name}/*`;
  const response = problemResponses([...refusalsOf(options), 403, 500, 503]);
  const refuse = async () => {
    throw new ReadOnlyCollectionError(
      `Expected ${name} to be written by SQL in data center A: its keys or values are several ` +
        'columns. Readers see such changes as any other.',
    );
  };
  for (const method of ['PUT', 'DELETE'] as const) {
    const operation = operationOf(method === 'PUT' ? 'put' : 'delete', name);
    const schema = { operationId: operation, summary: 'Not here, but by SQL', response };
    scope.route({ method, url, schema, onRequest: refuse, handler: refuse });
  }
  refuseOtherMethods(scope, [url], ['PUT', 'DELETE']);
}

function collectionRoutes(scope: FastifyInstance, options: CollectionRoutes): void {
  const { name, writer } = options;
  takeBytes(scope, '*', writer.maxValueBytes);
  const url = `/v1/${name}/*`;
  const keyInPath = keyInPathOf(`${scope.prefix}${url}`);
  const refusals = problemResponses(refusalsOf(options));
  const put = {
    operationId: operationOf('put', name),
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
    operationId: operationOf('delete', name),
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
function batchRoute(
  scope: FastifyInstance,
  options: Omit<WriteAppOptions, 'writer'> & { readonly writer: Writing },
): void {
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

function healthParts(
  writers: ReadonlyMap<string, Writing | undefined>,
  { maintenance, registry }: WriteAppOptions,
) {
  const able = [...writers.values()].filter((writer) => writer !== undefined);
  return {
    faults: async () => {
      const faults = await Promise.all(able.map(faultOf));
      return faults.filter((fault) => fault !== undefined);
    },
    status: async () => {
      const head = (await able[0]?.head()) ?? null;
      const more = writers.size > 1 ? { collections: [...writers.keys()] } : {};
      return { role: 'write', head, maintenance: maintenance?.status() ?? null, ...more };
    },
    metrics: mergedMetrics(
      able.map((writer) => writer.metrics),
      registry,
    ),
  };
}

/** Why a writer cannot write now. */
async function faultOf(writer: Writing): Promise<string | undefined> {
  try {
    await within(writer.head(), READY_TIMEOUT_MS, lateForReady);
    return undefined;
  } catch (error) {
    return error instanceof TidemarkError ? error.message : 'Something unexpected went wrong.';
  }
}

function lateForReady(): Error {
  return new UnavailableError(
    `Expected MySQL-A to answer within ${READY_TIMEOUT_MS} ms, it did not. Check that it runs.`,
  );
}
