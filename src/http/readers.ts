/** GET /v1/readers: which readers of this data center run, as they say themselves. */
import type { FastifyInstance } from 'fastify';
import type { AssertKeepsUp } from './guard.js';
import { refuseOtherMethods } from './methods.js';
import { problemResponses } from './problem.js';
import type { Readings } from './readings.js';

export interface ReadersRouteOptions {
  /** Of the app, one for each collection. */
  readonly readers: readonly Pick<Readings, 'readers'>[];
  readonly assertKeepsUp: AssertKeepsUp;
  readonly refusals: readonly number[];
}

const count = { type: 'integer', minimum: 0 } as const;
const countOrNull = { type: ['integer', 'null'], minimum: 0 } as const;
const text = { type: 'string' } as const;

const properties = {
  id: { ...text, description: 'Of this process: host, process id, a random part' },
  host: text,
  pid: count,
  software: { ...text, description: 'The version of Tidemark that it runs' },
  url: { ...text, description: 'Where it can be asked, if it says so (ADVERTISE_URL)' },
  startedAt: { ...text, format: 'date-time' },
  seenAt: { ...text, format: 'date-time', description: 'When it said this, by its own clock' },
  table: text,
  applied: count,
  head: { ...count, description: 'The newest version that it has seen on MySQL-B' },
  stalenessMs: { ...countOrNull, description: 'How long ago, at most, it was complete' },
  mark: { ...countOrNull, description: 'The lowest of the marks in Redis, as it knows them' },
  generation: {
    type: ['string', 'null'],
    description: 'The same on all readers that trust the same entries in Redis',
  },
  asked: { ...count, description: 'The newest `tidemark rebase` that it has followed, or 0' },
  reads: {
    type: 'object',
    description: 'Reads that each tier has answered since the start',
    required: ['local', 'redis', 'mysql'],
    properties: { local: count, redis: count, mysql: count },
    additionalProperties: false,
  },
  ready: { type: 'boolean' },
  stale: { type: 'boolean' },
} as const;

const answer = {
  description: 'Those who have said within the last 15 s that they run, this one too',
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['readers'],
        properties: {
          readers: {
            type: 'array',
            items: {
              type: 'object',
              required: Object.keys(properties).filter((name) => name !== 'url'),
              properties,
              additionalProperties: false,
            },
          },
        },
        additionalProperties: false,
      },
    },
  },
} as const;

export function readersRoute(scope: FastifyInstance, options: ReadersRouteOptions): void {
  const schema = {
    operationId: 'readers',
    summary: 'The readers of these tables in this data center, as they told Redis',
    response: { 200: answer, ...problemResponses([...options.refusals, 500, 503]) },
  };
  scope.get('/v1/readers', { schema }, async () => {
    options.assertKeepsUp();
    const ofEach = await Promise.all(options.readers.map((reader) => reader.readers()));
    return { readers: ofEach.flat() };
  });
  refuseOtherMethods(scope, ['/v1/readers'], ['GET', 'HEAD']);
}
