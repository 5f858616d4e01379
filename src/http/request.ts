/**
 * What a request says in its path, query and headers, read from the raw URL: decoded exactly once,
 * and only after it was split, so that `%2F` and `%2C` are characters of a key.
 */
import type { FastifyRequest } from 'fastify';
import { InvalidKeyError, TidemarkError } from '../errors.js';

/** A header or a query parameter that says nothing, or too much. */
export class InvalidRequestError extends TidemarkError {
  readonly code = 'invalid_request';
}

/** For a scope whose schemas only describe: all of a request is checked here, on the raw text. */
export function describeOnly(): () => boolean {
  return () => true;
}

/** Gives the key in the path of requests to one route, which ends in `/*`; raw slashes belong to it.
 * @param route with the prefix of its scope
 * @throws InvalidKeyError (what it returns does) when it is not percent-encoded UTF-8 */
export function keyInPathOf(route: string): (request: FastifyRequest) => string {
  const slashes = route.split('/').length - 1;
  return (request) => {
    const target = targetOf(request);
    const end = target.search(/[?#]/);
    let start = 0;
    for (let passed = 0; passed < slashes; passed += 1) start = target.indexOf('/', start) + 1;
    return decodedKey(end === -1 ? target.slice(start) : target.slice(start, end));
  };
}

function decodedKey(encoded: string): string {
  try {
    return encoded.includes('%') ? decodeURIComponent(encoded) : encoded;
  } catch {
    throw new InvalidKeyError(
      'Expected a key in percent-encoded UTF-8, got a % without two digits or not UTF-8.',
    );
  }
}

/** The values of a query parameter, each split at its literal commas, then decoded. */
export function listInQuery(request: FastifyRequest, name: string): string[] {
  return rawQuery(request, name).flatMap((value) => value.split(',').map(decoded));
}

/** A query parameter that may be given once.
 * @throws InvalidRequestError when it is there twice, or not percent-encoded UTF-8 */
export function textInQuery(request: FastifyRequest, name: string): string | undefined {
  const [value, ...more] = rawQuery(request, name);
  if (more.length > 0) throw new InvalidRequestError(`Expected ${name} once, got it again.`);
  return value === undefined ? undefined : decoded(value);
}

export function hasQuery(request: FastifyRequest, name: string): boolean {
  return rawQuery(request, name).length > 0;
}

/** The raw URL from its path on: a client may send an absolute one, as to a proxy. */
function targetOf(request: FastifyRequest): string {
  const { url = '' } = request.raw;
  return url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?]*/i, '');
}

function rawQuery(request: FastifyRequest, name: string): string[] {
  const url = targetOf(request);
  const start = url.indexOf('?');
  if (start === -1) return [];
  return url
    .slice(start + 1)
    .split('&')
    .map((pair) => pair.split(/=(.*)/s, 2))
    .filter(([encoded = '']) => decoded(encoded) === name)
    .map(([, value = '']) => value);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new InvalidRequestError('Expected a query in percent-encoded UTF-8, got a stray %.');
  }
}

/** The number in a query parameter.
 * @throws InvalidRequestError unless it is an integer from `min` to `max` */
export function integerInQuery(
  request: FastifyRequest,
  name: string,
  { min, max, usual }: { readonly min: number; readonly max: number; readonly usual: number },
): number {
  const text = textInQuery(request, name);
  if (text === undefined) return usual;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : -1;
  if (number >= min && number <= max) return number;
  throw new InvalidRequestError(`Expected ${name} to be an integer from ${min} to ${max}.`);
}

/** The number in a header, whose name is in lower case.
 * @throws InvalidRequestError unless it is an integer from `min` to 2^53 - 1 */
export function integerInHeader(
  request: FastifyRequest,
  name: string,
  min: number,
): number | undefined {
  const text = request.headers[name];
  if (text === undefined) return undefined;
  const number = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : -1;
  if (number >= min && Number.isSafeInteger(number)) return number;
  throw new InvalidRequestError(`Expected ${name} to be an integer from ${min} to 2^53 - 1.`);
}

/** Entity tags of if-match or if-none-match, weak ones with their `W/`; `['*']` for any.
 * @throws InvalidRequestError when it is neither */
export function tagsInHeader(request: FastifyRequest, name: string): string[] | undefined {
  const text = request.headers[name];
  if (text === undefined) return undefined;
  if (text === '*') return ['*'];
  const tag = /\s*((?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*")\s*(?:,|$)/y;
  const tags: string[] = [];
  for (
    let found = tag.exec(String(text));
    found?.[1] !== undefined;
    found = tag.exec(String(text))
  ) {
    tags.push(found[1]);
    if (tag.lastIndex >= String(text).length) return tags;
  }
  throw new InvalidRequestError(`Expected ${name} to be * or entity tags in quotation marks.`);
}
