/** Errors and texts with secrets in them, at a real logger: no line that it prints may hold one. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { SchemaError } from '../../src/errors.js';
import { redacted } from '../../src/redaction.js';
import { printed } from '../support/printed.js';

const SECRET = 'hunter2-Zx9/q@w"e';
const ENCODED = encodeURIComponent(SECRET);

/** Every way in which a line of JSON could hold it. */
const FORMS = [SECRET, JSON.stringify(SECRET).slice(1, -1), ENCODED, 'hunter2', 'Zx9'];

/** What a logger prints for these fields and this message. */
function lineOf(fields: object, message = 'told'): string {
  const { logger, lines } = printed();
  logger.error(fields, message);
  expect(lines).toHaveLength(1);
  expect(() => JSON.parse(lines[0] ?? '')).not.toThrow();
  return lines[0] ?? '';
}

function expectNoSecret(line: string): void {
  for (const form of FORMS) expect(line).not.toContain(form);
}

async function errorOf(task: () => unknown): Promise<Error> {
  try {
    await task();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('Expected an error, got none');
}

test('a URL that does not parse, which Node hangs on its error', async () => {
  const error = await errorOf(() => new URL(`mysql://app:${ENCODED}@db-b:port/app`));
  expect(JSON.stringify({ ...error })).toContain(ENCODED); // else this tests nothing
  expectNoSecret(lineOf({ err: error }));
});

test('a header that cannot be sent, which fetch quotes', async () => {
  const headers = { authorization: `Bearer ${SECRET}\n-` };
  const error = await errorOf(() => fetch('http://127.0.0.1:1/', { headers }));
  expect(error.message).toContain('hunter2');
  expectNoSecret(lineOf({ err: error }));
  expectNoSecret(lineOf({ reason: error.message }));
  expectNoSecret(lineOf({}, `a hint did not arrive: ${error.message}`));
});

test('a password that Redis refuses, which ioredis hangs on its error', async () => {
  const server = createServer((socket) => {
    socket.on('data', () => socket.write('-WRONGPASS invalid username-password pair\r\n'));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const options = { port, disableClientInfo: true, enableReadyCheck: false } as const;
  const client = new Redis({ ...options, protocol: 2, retryStrategy: () => null });
  client.on('error', () => undefined);
  onTestFinished(() => {
    client.disconnect();
    server.close();
  });
  const error = await errorOf(() => client.call('AUTH', 'reader', SECRET));
  expect(JSON.stringify({ ...error })).toContain('hunter2');
  const line = lineOf({ err: error });
  expectNoSecret(line);
  expect(line).toContain('WRONGPASS');
});

test('what MySQL says of a statement, in causes of causes', () => {
  const sqlMessage = `Duplicate entry '${SECRET}' for key 'PRIMARY'`;
  const sql = `INSERT INTO configs VALUES ('${SECRET}')`;
  const fault = Object.assign(new Error(sqlMessage), { sql, sqlMessage, code: 'ER_DUP_ENTRY' });
  const middle = new AggregateError([fault, new Error(`redis://:${ENCODED}@cache`)], 'two faults');
  const line = lineOf({ err: new SchemaError('Expected tables', { cause: middle }) });
  expectNoSecret(line);
  expect(line).toContain('ER_DUP_ENTRY');
  expect(line).toContain('two faults');
  expect(line).toContain('redaction.test.ts'); // the stacks are there
});

test.each<[string, object, string?]>([
  ['a URL in a message', {}, `cannot reach mysql://app:${ENCODED}@db-a/app now`],
  ['a URL that was not encoded', { url: `mysql://app:${SECRET}@db-a/app` }],
  [
    'several hosts',
    { url: `redis-sentinel://r:${ENCODED}@a:1,b:2/m?sentinel-password=${ENCODED}` },
  ],
  ['an option of a URL', { reason: `?sentinel-user=s&sentinel-password=${ENCODED}&x=1` }],
  ['a token in a query', { req: { url: `/v1/watch?access_token=${ENCODED}` } }],
  ['a header', { req: { headers: { authorization: SECRET } } }],
  ['a bearer', { reason: `got "Bearer ${ENCODED}"` }],
  ['options of a client', { options: { host: 'cache', sentinelPassword: SECRET, db: 0 } }],
  ['settings', { writeTokens: [SECRET, 'other'], readTokens: [SECRET] }],
  ['a document in a text', { body: JSON.stringify({ password: ENCODED, level: 'debug' }) }],
  ['an error that is none', { err: { message: SECRET } }],
])('%s', (_, fields, message) => {
  const line = lineOf({ ...fields, table: 'configs' }, message);
  expectNoSecret(line);
  expect(JSON.parse(line)).toMatchObject({ level: 50, table: 'configs' });
});

test('what is no secret stays', () => {
  const text = 'at load (file:///app/node_modules/@fastify/x/index.js:3:1) of http://db-b:8081/v1';
  expect(redacted(text)).toBe(text);
  expect(redacted('Access denied for user (using password: YES)')).toContain('YES');
  expect(redacted('mysql://app:pw@db-b:3306/app')).toBe('mysql://[redacted]@db-b:3306/app');
  expect(redacted('redis://cache-b:6379/0')).toBe('redis://cache-b:6379/0');
  expect(redacted('{"key":"checkout/tokens","keys":3}')).toBe('{"key":"checkout/tokens","keys":3}');
});

test('any password, in any place of a URL, in any depth of a line', () => {
  const passwords = fc.string({ minLength: 6, unit: 'grapheme-ascii' }).map((text) => {
    return `s3cr3t${text.replaceAll(/\s/g, '')}t3rc3s`;
  });
  const schemes = fc.constantFrom('mysql', 'redis', 'rediss-sentinel', 'https');
  fc.assert(
    fc.property(passwords, schemes, fc.boolean(), (password, scheme, isEncoded) => {
      const shown = isEncoded ? encodeURIComponent(password) : password;
      const url = `${scheme}://user:${shown}@host:1/db`;
      const deep = { a: [{ b: { note: `see ${url}, then` } }], password: shown };
      const line = lineOf({ ...deep, err: new Error(url, { cause: new Error(url) }) }, url);
      expect(line).not.toMatch(/s3cr3t|t3rc3s/);
      expect(line).toContain('host:1/db');
    }),
  );
});

test('a long line takes no long time', () => {
  const hostile = [':'.repeat(1e5), 'a://'.repeat(3e4), '"token":['.repeat(1e4), '\\'.repeat(1e5)];
  const startedAtMs = performance.now();
  for (const text of hostile) redacted(JSON.stringify({ text }));
  expect(performance.now() - startedAtMs).toBeLessThan(2_000);
});
