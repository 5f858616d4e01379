/**
 * The write side as a Fastify plugin: PUT and DELETE /v1/configs/{key}, POST /v1/batch, health.
 *
 * Everything is registered in a scope of its own, so its body parsers, error handler and tokens
 * touch no other route of the service that embeds it. Bodies are taken as bytes and stored as sent.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Registry } from 'prom-client';
import { TidemarkError } from '../errors.js';
import type { MaintenanceStatus } from '../writer/maintenance.js';
import type { DeleteResult, PutResult, Writer } from '../writer/writer.js';
import { demandToken } from './auth.js';
import { parseBatchBody } from './batch-body.js';
import { healthRoutes } from './health.js';
import { refuseOtherMethods } from './methods.js';
import { handleError, problem, problemResponses, sendProblem } from './problem.js';
import { InvalidRequestError, keyInPath, tagsInHeader } from './request.js';

/** The part of a Writer that the app calls. */
export type Writing = Pick<Writer, 'put' | 'delete' | 'batch' | 'head' | 'maxValueBytes'> & {
  readonly metrics: Registry;
};

export interface WriteAppOptions {
  readonly writer: Writing;
  /** Shown by /v1/status. */
  readonly maintenance?: { status(): MaintenanceStatus } | undefined;
  /** Bearer tokens, any of which opens all but health and metrics. None: open to all. */
  readonly tokens?: readonly string[] | undefined;
  /** The largest body of POST /v1/batch; each value has the writer's own limit. */
  readonly maxBatchBytes?: number;
  /** What to do when the server closes: close the writer, if it was made for this app. */
  readonly onClose?: () => Promise<void>;
}

const DEFAULT_MAX_BATCH_BYTES = 16 * 1024 * 1024;
const READY_TIMEOUT_MS = 3_000;

const batchSchema = {
  type: 'object',
  required: ['version'],
  properties: { version: { type: 'integer' } },
} as const;
const writtenSchema = {
  type: 'object',
  required: ['key', 'version'],
  properties: { key: { type: 'string' }, version: { type: 'integer' } },
} as const;
const keyParams = { type: 'object', properties: { '*': { type: 'string' } } } as const;
const conditionHeaders = {
  type: 'object',
  properties: { 'if-match': { type: 'string' }, 'if-none-match': { type: 'string' } },
} as const;
const responses = { 200: writtenSchema, 201: writtenSchema, ...problemResponses };

export const writeApp = fastifyPlugin<WriteAppOptions>(
  async (host, options) => {
    const { onClose } = options;
    if (onClose !== undefined) host.addHook('onClose', onClose);
    await host.register(async (scope) => {
      scope.setErrorHandler(handleError);
      await healthRoutes(scope, healthParts(options));
      await scope.register(async (inner) => configRoutes(inner, options));
      await scope.register(async (inner) => batchRoute(inner, options));
    });
  },
  { name: 'tidemark-write-app', fastify: '5.x' },
);

async function configRoutes(scope: FastifyInstance, options: WriteAppOptions): Promise<void> {
  const { writer, tokens } = options;
  await demandToken(scope, tokens);
  takeBytes(scope, '*', writer.maxValueBytes);
  const url = '/v1/configs/*';
  const schema = { params: keyParams, headers: conditionHeaders, response: responses };
  scope.put(url, { schema, bodyLimit: writer.maxValueBytes }, async (request, reply) => {
    const ifMatch = tagsInHeader(request, 'If-Match');
    const ifNoneMatch = tagsInHeader(request, 'If-None-Match');
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
  });
  scope.delete(url, { schema }, async (request, reply) => {
    if (request.headers['if-none-match'] !== undefined) {
      throw new InvalidRequestError('Expected If-Match or no condition, got If-None-Match.');
    }
    const ifMatch = tagsInHeader(request, 'If-Match');
    const condition = ifMatch === undefined ? {} : { ifMatch };
    return sendDelete(reply, await writer.delete(keyInPath(request), condition));
  });
  refuseOtherMethods(scope, [url], ['PUT', 'DELETE']);
}

// Only application/json: a page of another origin cannot send that without being asked first.
async function batchRoute(scope: FastifyInstance, options: WriteAppOptions): Promise<void> {
  const { writer, tokens, maxBatchBytes = DEFAULT_MAX_BATCH_BYTES } = options;
  await demandToken(scope, tokens);
  takeBytes(scope, 'application/json', maxBatchBytes);
  const schema = { response: { 200: batchSchema, ...problemResponses } };
  scope.post('/v1/batch', { schema, bodyLimit: maxBatchBytes }, async (request, reply) => {
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
  scope.addContentTypeParser(
    contentType,
    { parseAs: 'buffer', bodyLimit },
    (_request, body, done) => done(null, body),
  );
}

function bodyOf(request: FastifyRequest): Uint8Array {
  return request.body instanceof Uint8Array ? request.body : new Uint8Array();
}

function healthParts({ writer, maintenance, tokens }: WriteAppOptions) {
  return {
    faults: async () => {
      try {
        await withinReadyTime(writer.head());
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
    tokens,
  };
}

async function withinReadyTime(step: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new InvalidRequestError(
      `Expected MySQL-A to answer within ${READY_TIMEOUT_MS} ms, it did not.`,
    );
    timer = setTimeout(() => reject(error), READY_TIMEOUT_MS);
  });
  try {
    await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}
