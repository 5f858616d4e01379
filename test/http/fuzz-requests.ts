/**
 * Requests that no one should send, made from an app's own OpenAPI document: its operations with
 * arbitrary parameters, headers and bodies, among them what has broken other servers.
 */
import fc from 'fast-check';
import type { OpenApi, Operation, Schema } from './declared.js';

export interface FuzzRequest {
  readonly method: string;
  /** As it goes over the wire, percent-encoded or not. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** For paths and queries: what decoders, routers and databases trip over. */
const NASTY_PATHS = [
  '',
  '%00',
  '%0a%0d',
  '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '../../etc/passwd',
  './././',
  '//',
  '%2f%2f',
  '%c0%af',
  '%c0%ae%c0%ae',
  '%f0%82%82%ac',
  '%ed%a0%80',
  '%ff',
  '%',
  '%zz',
  '%25',
  '%2500',
  '%252e%252e%252f',
  '%u0041',
  '%EF%BB%BF',
  '%E2%80%AE',
  '%F0%9F%A7%AD',
  "'%20OR%201=1--",
  '%22%3B%20DROP%20TABLE%20configs%3B',
  '__proto__',
  'constructor',
  'toString',
  '*',
  ':key',
  ';a=b',
  'a;jsessionid=1',
  '%7Bkey%7D',
  'x'.repeat(255),
  'x'.repeat(256),
  '%F0%9F%A7%AD'.repeat(255),
  '%F0%9F%A7%AD'.repeat(256),
  'a/'.repeat(500),
  'x'.repeat(8_000),
  '%41'.repeat(3_000),
];

const NASTY_HEADERS = [
  '',
  ' ',
  '*',
  '"a"',
  'W/"a"',
  '"a", "b"',
  '"a", *',
  '"unterminated',
  ','.repeat(500),
  '"a",'.repeat(1_000),
  '0',
  '1',
  '-1',
  '9007199254740991',
  '9007199254740992',
  '1e3',
  'NaN',
  '0x10',
  '1.5',
  '00000000000000001',
  '\u00e9\u00ff',
  'a\tb',
  'x'.repeat(7_000),
];

const NASTY_TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'application/json;'.repeat(200),
  'text/plain',
  'multipart/form-data; boundary=x',
  'application/x-www-form-urlencoded',
  '/',
  ';',
  'application/json, text/html',
  'APPLICATION/JSON',
  'application/\u00ff',
  '*/*',
];

const NASTY_BODIES = [
  '',
  ' ',
  'null',
  '{}',
  '[]',
  '{"put":{"a":1,"a":2}}',
  '{"put":{},"put":{}}',
  '{"__proto__":{"put":{"a":1}}}',
  '{"put":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}}',
  '{"delete":["__proto__","constructor","toString"]}',
  '{"delete":[1,null,{}]}',
  '{"put":{"":1}}',
  '{"put":{"a\\u0000b":1}}',
  '{"put":{"\\ud800":1}}',
  '"\\ud800"',
  '"\\u0000"',
  '{"put":',
  '{"a":1}garbage',
  '\ufeff{}',
  '1e999',
  '-0',
  '12345678901234567890123456789012345678901234567890',
  `"${'x'.repeat(100_000)}"`,
  '['.repeat(50_000),
  `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
  `{"put":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
  `{"put":{${Array.from({ length: 500 }, (_, index) => `"k${index}":${index}`).join()}}}`,
];

const EXTRA_HEADERS: Readonly<Record<string, readonly string[]>> = {
  'x-http-method-override': ['DELETE', 'PUT'],
  'x-method-override': ['DELETE'],
  'x-forwarded-for': ['127.0.0.1', 'a, b, c'],
  'x-original-url': ['/v1/status'],
  accept: ['text/html', '*/*', 'application/xml;q=0'],
  'accept-encoding': ['gzip, br', '*;q=0'],
  'content-encoding': ['gzip', 'identity', 'br, gzip', ''],
  range: ['bytes=0-1', 'bytes=-'],
  'if-modified-since': ['Thu, 01 Jan 1970 00:00:00 GMT', 'x'],
  origin: ['https://evil.example'],
  cookie: ['a=b'.repeat(500)],
  upgrade: ['websocket', 'h2c'],
  __proto__x: ['1'],
};

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/** @param token one that opens the app */
export function fuzzRequests(document: OpenApi, token: string): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries(document.paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({
      arbitrary: requestOf(method.toUpperCase(), path, operation, token),
      weight: operation.parameters !== undefined || operation.requestBody !== undefined ? 8 : 1,
    })),
  );
  return fc.oneof(...operations);
}

function requestOf(
  method: string,
  path: string,
  operation: Operation,
  token: string,
): fc.Arbitrary<FuzzRequest> {
  const parameters = operation.parameters ?? [];
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  const inHeader = parameters.filter((parameter) => parameter.in === 'header');
  return fc
    .record({
      method: rarely(fc.constant(method), fc.constantFrom(...METHODS)),
      start: rarely(fc.constant(''), fc.constantFrom('http://elsewhere', '//', 'x')),
      key: segment(),
      tail: rarely(fc.constant(''), fc.constantFrom('/', '//', '?', '#', '/..', '%2f', '%00')),
      query: fc.record(
        Object.fromEntries(inQuery.map(({ name, schema }) => [name, queryValue(schema)])),
        { requiredKeys: [] },
      ),
      headers: fc.record(
        Object.fromEntries(inHeader.map(({ name, schema }) => [name, headerValue(name, schema)])),
        { requiredKeys: [] },
      ),
      extra: rarely(fc.constant({}), extraHeaders()),
      authorization: rarely(fc.constant(`Bearer ${token}`), authorizations(token)),
      type: rarely(fc.constant('application/json'), fc.constantFrom(...NASTY_TYPES)),
      body: bodyOf(operation),
    })
    .map(({ method, start, key, tail, query, headers, extra, authorization, type, body }) => {
      const pairs = Object.entries(query).map(([name, value]) => `${name}=${value}`);
      const hasBody = body !== undefined && method !== 'GET' && method !== 'HEAD';
      return {
        method,
        url: `${start}${path.replace('{key}', key)}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}${tail}`,
        headers: {
          ...(authorization === undefined ? {} : { authorization }),
          ...(hasBody ? { 'content-type': type } : {}),
          ...definedOf(headers),
          ...extra,
        },
        body: hasBody ? body : undefined,
      };
    });
}

/** Mostly `usual`, so that requests get past the first check. */
function rarely<T, U>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<U>): fc.Arbitrary<T | U> {
  return fc.oneof({ arbitrary: usual, weight: 6 }, { arbitrary: rare, weight: 1 });
}

function segment(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('a', 'b', 'c', 'a/b'), // often the same few, so that some exist
    fc.constantFrom(...NASTY_PATHS),
    fc.string({ unit: 'binary', maxLength: 40 }).map(encoded),
    fc.string({ unit: 'grapheme', maxLength: 40 }).map(encoded),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 20 }).map(percents),
  );
}

/** Lone surrogates cannot be percent-encoded; they go as the bytes that stand for them. */
function encoded(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : percents([0xed, 0xa0, 0x80]);
}

function percents(bytes: readonly number[]): string {
  return bytes.map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

function queryValue(schema: Schema): fc.Arbitrary<string> {
  // The one parameter with a pattern is a time to wait.
  if (schema.pattern !== undefined) return rarely(fc.constantFrom('0s', '1ms', '20ms'), segment());
  const usual =
    schema.type === 'integer' ? fc.integer({ min: -2, max: 1_002 }).map(String) : segment();
  const lists = fc.array(segment(), { maxLength: 30 }).map((all) => all.join());
  const many = fc.constant(Array.from({ length: 1_001 }, (_, index) => `k${index}`).join());
  return fc.oneof({ arbitrary: usual, weight: 5 }, { arbitrary: lists, weight: 3 }, many);
}

function headerValue(name: string, schema: Schema): fc.Arbitrary<string> {
  if (typeof schema.const === 'string') return rarely(fc.constant(schema.const), nastyHeader());
  if (schema.pattern !== undefined) {
    const usual = name.includes('staleness') ? ['60000', '5'] : ['1', '2', '3'];
    return rarely(fc.constantFrom(...usual), nastyHeader());
  }
  return fc.oneof(fc.constantFrom('*', '"1-0000000000000000"'), nastyHeader());
}

function nastyHeader(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(...NASTY_HEADERS),
    fc.string({ maxLength: 60 }).map((text) => text.replaceAll(/[^\t\x20-\x7e]/g, '?')),
  );
}

function extraHeaders(): fc.Arbitrary<Record<string, string>> {
  const known = Object.entries(EXTRA_HEADERS).map(([name, values]) =>
    fc.constantFrom(...values).map((value) => ({ [name]: value })),
  );
  const flood = fc.integer({ min: 1, max: 300 }).map((count) => {
    const names = Array.from({ length: count }, (_, index) => [`x-flood-${index}`, 'y'] as const);
    return Object.fromEntries(names);
  });
  return fc.oneof(...known, flood);
}

function authorizations(token: string): fc.Arbitrary<string | undefined> {
  return fc.constantFrom(
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `bearer ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(1)}`,
    `Bearer ${'z'.repeat(token.length)}`,
    `Bearer ${'z'.repeat(7_000)}`,
    `Basic ${token}`,
    `Bearer ${token}\u00ff`,
  );
}

function bodyOf(operation: Operation): fc.Arbitrary<Buffer | undefined> {
  const schema = operation.requestBody?.content['application/json']?.schema;
  if (schema === undefined) {
    return rarely(fc.constant(undefined), fc.constantFrom(...NASTY_BODIES).map(bytes));
  }
  return fc.oneof(
    described(schema).map((value) => bytes(JSON.stringify(value))),
    fc.constantFrom(...NASTY_BODIES).map(bytes),
    fc.uint8Array({ maxLength: 200 }).map((all) => Buffer.from(all)),
    fc.constant(undefined),
  );
}

/** What a schema describes, of the kinds that our documents have. */
function described(schema: Schema): fc.Arbitrary<unknown> {
  const { type, properties = {} } = schema;
  switch (type) {
    case 'object': {
      const members = Object.entries(properties).map(
        ([name, of]) => [name, described(of)] as const,
      );
      if (members.length > 0) return fc.record(Object.fromEntries(members), { requiredKeys: [] });
      return fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue(), { maxKeys: 8 });
    }
    case 'array':
      return fc.array(described(schema.items as Schema), { maxLength: 10 }); // arrays have items
    case 'string':
      return fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.string({ unit: 'binary', maxLength: 20 }));
    default:
      return fc.jsonValue();
  }
}

function bytes(text: string): Buffer {
  return Buffer.from(text);
}

function definedOf(values: Record<string, string | undefined>): Record<string, string> {
  const defined = Object.entries(values).filter((entry): entry is [string, string] => !!entry[1]);
  return Object.fromEntries(defined);
}
