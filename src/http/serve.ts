/**
 * The standalone HTTP server of either side: logging without secrets, problem documents for what no
 * route answers, a refusal to serve writes to the network without tokens, and a graceful end.
 */
import { BlockList, isIP } from 'node:net';
import closeWithGrace from 'close-with-grace';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { InvalidOptionsError } from '../errors.js';
import { handleError, handleNotFound } from './problem.js';

/** What a log line never holds: tokens, passwords, and SQL with the values in it. */
const REDACTED = [
  'req.headers.authorization',
  '*.password',
  'err.sql',
  'err.sqlMessage',
  'err.cause.sql',
  'err.cause.sqlMessage',
];
const CLOSE_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

export function createServer({ logLevel }: { readonly logLevel: string }): FastifyInstance {
  const logsRequests = logLevel === 'debug' || logLevel === 'trace';
  const server = Fastify({
    logger: { level: logLevel, redact: REDACTED },
    logController: new LogController({ disableRequestLogging: !logsRequests }),
    requestTimeout: REQUEST_TIMEOUT_MS,
    frameworkErrors: (error, request, reply) => {
      handleError(error, request, reply);
    },
  });
  server.setErrorHandler(handleError);
  server.setNotFoundHandler(handleNotFound);
  return server;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

/** @throws InvalidOptionsError when anyone on the network could write */
export function assertMayServeWrites(host: string, tokens: readonly string[]): void {
  if (tokens.length > 0 || isLoopback(host)) return;
  throw new InvalidOptionsError([
    `WRITE_TOKENS: Expected at least one token to listen on ${host}, got none. ` +
      'Set WRITE_TOKENS, or HOST=127.0.0.1 to serve this machine only.',
  ]);
}

/** Listens, and closes the server on SIGTERM, SIGINT or a bug; then the process ends.
 * @returns the URL it listens on */
export async function serveUntilSignal(
  server: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  closeWithGrace({ delay: CLOSE_TIMEOUT_MS, logger: false }, async ({ err, signal }) => {
    if (err !== undefined) server.log.fatal({ err }, 'closing after an unexpected error');
    else server.log.info({ signal }, 'closing');
    await server.close();
  });
  return await server.listen({ host, port });
}
