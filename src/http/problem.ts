/**
 * Errors as `application/problem+json` (RFC 9457) with a stable `code` for programs.
 *
 * Only messages that were written for a caller are shown: Tidemark's own, and Fastify's of requests
 * it refuses. Anything else is a 500 that names the request's id, and its text goes to the log.
 */
import { STATUS_CODES } from 'node:http';
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { TidemarkError, UnavailableError } from '../errors.js';
import { Repeats } from '../repeats.js';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

const STATUS_BY_CODE = new Map([
  ['invalid_key', 400],
  ['invalid_value', 400],
  ['invalid_batch', 400],
  ['invalid_request', 400],
  ['invalid_position', 400],
  ['invalid_options', 400],
  ['read_only_collection', 403],
  ['not_found', 404],
  ['key_collision', 409],
  ['precondition_failed', 412],
  ['value_too_large', 413],
  ['response_too_large', 413],
  ['unsupported_media_type', 415],
  ['too_many_requests', 429],
  ['schema', 503],
  ['access_denied', 503],
  ['unavailable', 503],
  ['not_running', 503],
  ['outcome_unknown', 504],
  ['not_fresh', 504],
]);

const CODE_BY_STATUS = new Map([
  [401, 'unauthorized'],
  [404, 'no_such_route'],
  [405, 'method_not_allowed'],
  [408, 'request_timeout'],
  [413, 'value_too_large'],
  [415, 'unsupported_media_type'],
  [417, 'expectation_failed'],
  [429, 'too_many_requests'],
  [431, 'headers_too_large'],
  [500, 'internal'],
  [503, 'unavailable'],
]);

/** Refused because there is more to do than the process manages. Not logged one by one. */
export class OverloadedError extends UnavailableError {
  constructor() {
    super('Expected less work at once, the process is behind with it. Try again later.');
  }
}

const RETRY_AFTER_SECONDS = 1;

/** Of a response's schema, for the routes and their document. */
export interface ProblemResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, object>>;
  readonly content: Readonly<Record<typeof PROBLEM_TYPE, { readonly schema: object }>>;
}

/** What an answer with this status looks like, with each code that it may have. */
export function problemResponse(status: number): ProblemResponse {
  const own = [...STATUS_BY_CODE].filter(([, its]) => its === status).map(([code]) => code);
  const usual = CODE_BY_STATUS.get(status) ?? (own.length === 0 ? 'invalid_request' : undefined);
  const codes = new Set(usual === undefined ? own : [...own, usual]);
  const headers: Record<string, object> = {};
  if (status === 503 || status === 429) headers['Retry-After'] = { type: 'integer', minimum: 1 };
  if (status === 401) headers['WWW-Authenticate'] = { type: 'string', const: 'Bearer' };
  if (status === 405) headers.Allow = { type: 'string' };
  return {
    description: STATUS_CODES[status] ?? 'Error',
    headers,
    content: {
      [PROBLEM_TYPE]: {
        schema: {
          type: 'object',
          required: ['type', 'title', 'status', 'code', 'detail'],
          properties: {
            type: { type: 'string', const: 'about:blank' },
            title: { type: 'string' },
            status: { type: 'integer', const: status },
            code: { type: 'string', enum: [...codes] },
            detail: { type: 'string' },
          },
          additionalProperties: false,
        },
      },
    },
  };
}

/** For the schema of a route: its statuses that are problems. */
export function problemResponses(statuses: readonly number[]): Record<number, ProblemResponse> {
  return Object.fromEntries(statuses.map((status) => [status, problemResponse(status)]));
}

export function problem(status: number, code: string, detail: string): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, code, detail };
}

/** The problem document of an error, without anything that was not meant for the caller.
 * @param requestId where the log has it; none when it holds others like it */
export function problemOf(error: FastifyError | TidemarkError, requestId?: string): Problem {
  if (error instanceof TidemarkError) {
    return problem(STATUS_BY_CODE.get(error.code) ?? 500, error.code, error.message);
  }
  const status = error.statusCode ?? 500;
  if (status < 400 || status > 599 || status === 500) {
    const where = requestId === undefined ? 'others like it' : `it under request ${requestId}`;
    return problem(500, 'internal', `Something unexpected went wrong. The log has ${where}.`);
  }
  return problem(status, CODE_BY_STATUS.get(status) ?? 'invalid_request', detailOf(error));
}

function detailOf(error: FastifyError): string {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return 'Expected a smaller body. MAX_VALUE_BYTES is the limit of one value.';
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return 'Expected Content-Type: application/json.';
    case 'FST_ERR_BAD_URL':
      return 'Expected a percent-encoded URL in UTF-8, got a stray %.';
    default:
      return error.message;
  }
}

export function sendProblem(reply: FastifyReply, document: Problem): FastifyReply {
  if (document.status === 503 || document.status === 429) {
    reply.header('retry-after', RETRY_AFTER_SECONDS);
  }
  if (document.status === 401) reply.header('www-authenticate', 'Bearer');
  // As bytes, because Fastify would add a charset, which this type does not have, to an object's.
  return reply
    .code(document.status)
    .type(PROBLEM_TYPE)
    .send(Buffer.from(JSON.stringify(document)));
}

const QUIET_MS = 10_000;
/** By each server's logger: what its requests have failed with lately. */
const lately = new WeakMap<FastifyBaseLogger, Repeats>();

/** Fastify's error handler for a scope, or for a whole server. An outage fails every request, and
 * is told now and then. */
export function handleError(
  error: FastifyError | TidemarkError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { id } = request;
  const { log } = request.server; // a request has none of its own where requests are not logged
  const repeats = lately.get(log) ?? new Repeats(QUIET_MS);
  lately.set(log, repeats);
  const document = problemOf(error, id);
  if (document.code === 'internal') {
    const told = repeats.next(placeOf(error));
    if (told === undefined) return sendProblem(reply, problemOf(error));
    log.error({ err: error, request: id, ...told }, 'a request failed');
  } else if (error instanceof OverloadedError) log.debug('refused, the process is behind');
  else if (document.status >= 500) {
    const told = repeats.next(document.code);
    if (told) log.warn({ reason: error.message, request: id, ...told }, document.code);
  }
  return sendProblem(reply, document);
}

/** Where a bug is, so that one does not hide another. */
function placeOf({ name, stack = '' }: Error): string {
  return `${name} ${/\n +at .*/.exec(stack)?.[0] ?? ''}`;
}

export function handleNotFound(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const detail = 'Expected a path of this service, got another. docs/http.md lists them.';
  return sendProblem(reply, problem(404, 'no_such_route', detail));
}
