/**
 * Routes that both apps have: live, ready and metrics for machines, without a token (they say
 * nothing about keys or values), and status for people, with one.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Registry } from 'prom-client';
import { demandToken } from './auth.js';
import { refuseOtherMethods } from './methods.js';
import { problemResponses } from './problem.js';

export interface HealthParts {
  /** Why traffic should not come here now; empty when it should. */
  readonly faults: () => Promise<readonly string[]> | readonly string[];
  readonly status: () => Promise<object> | object;
  readonly metrics: Registry;
  readonly tokens: readonly string[] | undefined;
}

const liveSchema = {
  type: 'object',
  required: ['live'],
  properties: { live: { type: 'boolean' } },
} as const;

const readySchema = {
  type: 'object',
  required: ['ready', 'reasons'],
  properties: {
    ready: { type: 'boolean' },
    reasons: { type: 'array', items: { type: 'string' } },
  },
} as const;

const statusSchema = { type: 'object', additionalProperties: true } as const;

export async function healthRoutes(scope: FastifyInstance, parts: HealthParts): Promise<void> {
  scope.get('/health/live', { schema: { response: { 200: liveSchema } } }, async () => ({
    live: true,
  }));
  scope.get(
    '/health/ready',
    { schema: { response: { 200: readySchema, 503: readySchema } } },
    async (_request, reply) => {
      const reasons = await parts.faults();
      reply.code(reasons.length === 0 ? 200 : 503);
      return { ready: reasons.length === 0, reasons };
    },
  );
  scope.get('/metrics', async (_request, reply: FastifyReply) =>
    reply.type(parts.metrics.contentType).send(await parts.metrics.metrics()),
  );
  refuseOtherMethods(scope, ['/health/live', '/health/ready', '/metrics'], ['GET', 'HEAD']);
  await scope.register(async (inner) => {
    await demandToken(inner, parts.tokens);
    const schema = { response: { 200: statusSchema, ...problemResponses } };
    inner.get('/v1/status', { schema }, async () => await parts.status());
    refuseOtherMethods(inner, ['/v1/status'], ['GET', 'HEAD']);
  });
}
