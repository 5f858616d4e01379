/** POST /v1/hint: someone who has written says which version there is now, so that it is here soon. */
import type { FastifyInstance } from 'fastify';
import type { AssertKeepsUp } from './guard.js';
import { refuseOtherMethods } from './methods.js';
import { problemResponses } from './problem.js';
import type { Readings } from './readings.js';
import { InvalidRequestError } from './request.js';

export interface HintRouteOptions {
  readonly reader: Pick<Readings, 'hint'>;
  readonly assertKeepsUp: AssertKeepsUp;
  readonly refusals: readonly number[];
}

const MAX_BODY_BYTES = 1024;

const hint = {
  'application/json': {
    schema: {
      type: 'object',
      required: ['version'],
      properties: {
        version: { type: 'integer', minimum: 1, description: 'What a write returned' },
      },
    },
  },
} as const;

const responses = {
  202: {
    description: 'It is taken as what it is: a hint',
    content: {
      'application/json': {
        schema: {
          type: 'object',
          required: ['outcome'],
          properties: { outcome: { type: 'string', enum: ['known', 'followed', 'absurd'] } },
          additionalProperties: false,
        },
      },
    },
  },
  ...problemResponses([400, 413, 415, 500, 503]),
} as const;

/** For a scope of its own, because of its parser of bodies. */
export function hintRoute(scope: FastifyInstance, options: HintRouteOptions): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  );
  const schema = {
    operationId: 'hint',
    summary: 'Say that the log has reached a version: MySQL-B is polled for it at once',
    response: { ...problemResponses(options.refusals), ...responses },
  };
  const route = { schema, config: { tidemark: { body: hint } }, bodyLimit: MAX_BODY_BYTES };
  scope.post('/v1/hint', route, async (request, reply) => {
    options.assertKeepsUp();
    const outcome = options.reader.hint(versionIn(String(request.body)));
    return await reply.code(202).send({ outcome });
  });
  refuseOtherMethods(scope, ['/v1/hint'], ['POST']);
}

/** @throws InvalidRequestError */
function versionIn(text: string): number {
  try {
    const { version }: { version?: unknown } = JSON.parse(text);
    if (typeof version === 'number' && Number.isSafeInteger(version) && version > 0) return version;
  } catch {
    // Told below, as any body that is none.
  }
  throw new InvalidRequestError('Expected {"version": n} with an integer from 1 to 2^53 - 1.');
}
