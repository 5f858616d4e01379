/**
 * Routes that both apps have: live, ready and metrics for machines, without a token (they say
 * nothing about keys or values), and status for people, with one.
 */
import type { FastifyInstance } from 'fastify';
import type { MetricsText } from '../merged-metrics.js';
import type { AssertKeepsUp } from './guard.js';
import { refuseOtherMethods } from './methods.js';
import { problemResponse, problemResponses } from './problem.js';

export interface HealthParts {
  /** Why traffic should not come here now; empty when it should. */
  readonly faults: () => Promise<readonly string[]> | readonly string[];
  readonly status: () => Promise<object> | object;
  readonly metrics: MetricsText;
}

const OPEN = { tidemark: { open: true } } as const;

function json(description: string, schema: object) {
  return { description, content: { 'application/json': { schema } } };
}

const live = json('The process answers', {
  type: 'object',
  required: ['live'],
  properties: { live: { type: 'boolean' } },
});

const readiness = {
  type: 'object',
  required: ['ready', 'reasons'],
  properties: {
    ready: { type: 'boolean' },
    reasons: { type: 'array', items: { type: 'string' } },
  },
} as const;

const metricsResponse = {
  description: 'Metrics in the text format of Prometheus',
  content: { 'text/plain': { schema: { type: 'string' } } },
} as const;

export function healthRoutes(scope: FastifyInstance, parts: HealthParts): void {
  const [liveUrl, readyUrl, metricsUrl] = ['/health/live', '/health/ready', '/metrics'];
  const liveSchema = {
    operationId: 'live',
    summary: 'Whether the process answers',
    response: { 200: live, 500: problemResponse(500) },
  };
  scope.get(liveUrl, { schema: liveSchema, config: OPEN }, async () => ({ live: true }));
  const readySchema = {
    operationId: 'ready',
    summary: 'Whether traffic should come here',
    response: {
      200: json('It should', readiness),
      503: json('It should not, for these reasons', readiness),
      500: problemResponse(500),
    },
  };
  scope.get(readyUrl, { schema: readySchema, config: OPEN }, async (_request, reply) => {
    const reasons = await parts.faults();
    reply.code(reasons.length === 0 ? 200 : 503);
    return { ready: reasons.length === 0, reasons };
  });
  const metricsSchema = {
    operationId: 'metrics',
    summary: 'Metrics for Prometheus',
    response: { 200: metricsResponse, 500: problemResponse(500) },
  };
  scope.get(metricsUrl, { schema: metricsSchema, config: OPEN }, async (_request, reply) =>
    reply.type(parts.metrics.contentType).send(await parts.metrics.metrics()),
  );
  refuseOtherMethods(scope, [liveUrl, readyUrl, metricsUrl], ['GET', 'HEAD']);
}

/** @param refusals statuses by which the scope refuses requests */
export function statusRoute(
  scope: FastifyInstance,
  parts: Pick<HealthParts, 'status'>,
  assertKeepsUp: AssertKeepsUp,
  refusals: readonly number[],
): void {
  const schema = {
    operationId: 'status',
    summary: 'The state of this process, for people',
    response: {
      200: json('What it is differs between the apps', {
        type: 'object',
        required: ['role'],
        properties: { role: { type: 'string' } },
        additionalProperties: true,
      }),
      ...problemResponses([...refusals, 500, 503]),
    },
  };
  scope.get('/v1/status', { schema }, async () => {
    assertKeepsUp();
    return await parts.status();
  });
  refuseOtherMethods(scope, ['/v1/status'], ['GET', 'HEAD']);
}
