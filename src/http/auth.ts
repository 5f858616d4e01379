/** Bearer tokens, compared in constant time, for all routes of one scope. */
import bearerAuth from '@fastify/bearer-auth';
import type { FastifyInstance } from 'fastify';

/** Does nothing without tokens: whether that is allowed is decided where the server listens. */
export async function demandToken(
  scope: FastifyInstance,
  tokens: readonly string[] | undefined,
): Promise<void> {
  if (tokens === undefined || tokens.length === 0) return;
  // Without its own hook it hands the refusal to the scope's error handler, as a 401.
  await scope.register(bearerAuth, {
    keys: [...tokens],
    addHook: false,
    verifyErrorLogLevel: 'debug',
  });
  const { verifyBearerAuth } = scope;
  if (verifyBearerAuth === undefined) throw new Error('Expected @fastify/bearer-auth to be there');
  scope.addHook('onRequest', verifyBearerAuth);
}
