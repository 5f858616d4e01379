/**
 * What stands before all routes but health, metrics and the document: the token, a rate limit per
 * token, or per address where there are no tokens, and a refusal of work while the process is behind
 * with its work.
 *
 * Invariant: no tier is asked for a request that is refused here.
 */
import rateLimit from '@fastify/rate-limit';
import underPressure from '@fastify/under-pressure';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TidemarkError } from '../errors.js';
import { demandToken } from './auth.js';
import type { Limits } from './limits.js';
import { OverloadedError } from './problem.js';

export interface GuardOptions {
  readonly tokens?: readonly string[] | undefined;
  readonly limits?: Limits | undefined;
}

/** More requests of one client than `rateLimitPerSecond`. */
export class TooManyRequestsError extends TidemarkError {
  readonly code = 'too_many_requests';
}

/** The statuses by which {@link guard} refuses requests with these options. */
export function refusalsOf({ tokens = [], limits = {} }: GuardOptions): number[] {
  const refusals: number[] = [];
  if (tokens.length > 0) refusals.push(401);
  if (limits.rateLimitPerSecond) refusals.push(429);
  if (limits.maxEventLoopDelayMs) refusals.push(503);
  return refusals;
}

/** Throws OverloadedError while the process is behind. A route calls it, because a hook, however
 * little it does, costs a local hit several times as much. */
export type AssertKeepsUp = () => void;

export async function guard(scope: FastifyInstance, options: GuardOptions): Promise<AssertKeepsUp> {
  const { maxEventLoopDelayMs = 0, rateLimitPerSecond = 0 } = options.limits ?? {};
  let assertKeepsUp: AssertKeepsUp = () => undefined;
  if (maxEventLoopDelayMs > 0) {
    await scope.register(underPressure); // without bounds it measures, and has no hook
    assertKeepsUp = () => {
      if (scope.memoryUsage().eventLoopDelay > maxEventLoopDelayMs) throw new OverloadedError();
    };
  }
  await demandToken(scope, options.tokens);
  if (rateLimitPerSecond > 0) {
    await scope.register(rateLimit, {
      max: rateLimitPerSecond,
      timeWindow: 1_000,
      addHeadersOnExceeding: NO_HEADERS,
      addHeaders: NO_HEADERS,
      errorResponseBuilder: () =>
        new TooManyRequestsError(
          `Expected at most ${rateLimitPerSecond} requests a second, got more. Try again later.`,
        ),
      ...(options.tokens !== undefined && options.tokens.length > 0 ? { keyGenerator: token } : {}),
    });
  }
  return assertKeepsUp;
}

const NO_HEADERS = {
  'x-ratelimit-limit': false,
  'x-ratelimit-remaining': false,
  'x-ratelimit-reset': false,
  'retry-after': false,
} as const;

/** It was verified before; spaces around it are no other token. */
function token(request: FastifyRequest): string {
  return request.headers.authorization?.slice('Bearer '.length).trim() ?? '';
}
