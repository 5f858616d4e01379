/** 405 for a path that exists, with another method, naming those it has. */
import type { FastifyInstance } from 'fastify';
import { problem, sendProblem } from './problem.js';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

export function refuseOtherMethods(
  scope: FastifyInstance,
  urls: readonly string[],
  allowed: readonly string[],
): void {
  const method = METHODS.filter((candidate) => !allowed.includes(candidate));
  const allow = allowed.join(', ');
  for (const url of urls) {
    scope.route({
      method,
      url,
      schema: { hide: true }, // from the OpenAPI document
      // The answer is known before the body is: it goes out from the first hook that may send.
      onRequest: (_request, reply) => {
        reply.header('allow', allow);
        sendProblem(reply, problem(405, 'method_not_allowed', `Expected ${allow} for this path.`));
      },
      handler: (_request, reply) => reply,
    });
  }
}
