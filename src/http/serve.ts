/**
 * The standalone HTTP server of either side: logging without secrets, problem documents for what no
 * route answers, bounds on what one client can hold, a refusal to serve writes to the network without
 * tokens, and a graceful end.
 */
import type { Server, ServerResponse } from 'node:http';
import { BlockList, isIP, type Socket } from 'node:net';
import closeWithGrace from 'close-with-grace';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { InvalidOptionsError } from '../errors.js';
import { loggerOptions } from '../logger.js';
import { SERVER_DEFAULTS, type ServerLimits } from './limits.js';
import { handleError, handleNotFound, PROBLEM_TYPE, type Problem, problem } from './problem.js';

const CLOSE_TIMEOUT_MS = 10_000;

export interface ServerOptions extends Partial<ServerLimits> {
  readonly logLevel: string;
  /** Addresses and networks of the load balancers whose X-Forwarded-For is believed; by default
   * nobody's is, because any client can send one. */
  readonly trustProxy?: readonly string[];
}

export function createServer(options: ServerOptions): FastifyInstance {
  const { logLevel, maxConnections, headersTimeoutMs, requestTimeoutMs, idleTimeoutMs } = {
    ...SERVER_DEFAULTS,
    ...options,
  };
  const { trustProxy = [] } = options;
  const logsRequests = logLevel === 'debug' || logLevel === 'trace';
  const log: FastifyBaseLogger = pino(loggerOptions(logLevel));
  const server = Fastify({
    // A logger costs each request something, also one that logs no requests. Without it the few lines
    // that errors write, which name their request themselves, go to the server's own.
    ...(logsRequests ? { loggerInstance: log } : { logger: false }),
    trustProxy: trustProxy.length > 0 ? [...trustProxy] : false,
    requestTimeout: requestTimeoutMs,
    http: {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      // How often Node looks for connections that are over their time.
      connectionsCheckingInterval: Math.ceil(headersTimeoutMs / 10),
    },
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => {
      handleError(error, request, reply);
    },
  });
  if (!logsRequests) server.log = log;
  server.server.maxConnections = maxConnections;
  endStuckConnections(server.server, idleTimeoutMs);
  server.server.on('checkExpectation', (_request, response: ServerResponse) => {
    const detail = 'Expected no Expect header but 100-continue.';
    const [head, body] = asBytes(problem(417, 'expectation_failed', detail));
    response.writeHead(417, head).end(body);
  });
  server.setErrorHandler(handleError);
  server.setNotFoundHandler(handleNotFound);
  return server;
}

/**
 * Ends connections whose clients take nothing of their answers for `idleTimeoutMs`, and a tenth of it.
 * A timeout for each connection (`server.timeout`) is set anew with each request, which takes an eighth
 * of what the server takes for a local hit; so only those have one whose answers did not go out at once.
 */
function endStuckConnections(server: Server, idleTimeoutMs: number): void {
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  const look = setInterval(() => {
    for (const socket of open) {
      // Node takes it back when the answer is out; and what it has sent meanwhile, it has seen.
      if (socket.writableLength > 0 && !socket.timeout) socket.setTimeout(idleTimeoutMs);
    }
  }, idleTimeoutMs / 10);
  look.unref();
  server.once('close', () => clearInterval(look));
}

/** Answers what Node's parser refuses, and what takes too long to arrive; the connection ends. */
function refuseConnection(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || owesAnswer(socket)) {
    socket.destroy();
    return;
  }
  const document = refusal(error.code);
  const [head, body] = asBytes(document);
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  const start = `HTTP/1.1 ${document.status} ${document.title}\r\n`;
  // Ended rather than destroyed at once, which could take the answer back; then time is short.
  socket.end(`${start}${lines.join('')}\r\n${body}`, () => socket.destroy());
}

function refusal(code: string | undefined): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return problem(408, 'request_timeout', 'Expected all of the request sooner.');
    case 'HPE_HEADER_OVERFLOW':
      return problem(431, 'headers_too_large', 'Expected less than 16 KiB of URL and headers.');
    default:
      return problem(400, 'invalid_request', 'Expected a request in HTTP/1.1, got another.');
  }
}

/** Whether the next bytes on this socket are those of an answer to an earlier request: a refusal
 * in between would be taken for it, and a write that happened for one that did not. */
function owesAnswer(socket: Socket): boolean {
  // Node's own handler looks at the same member, which has no public name.
  const { _httpMessage: response } = socket as { _httpMessage?: ServerResponse | null };
  return (
    response !== undefined && response !== null && (response.headersSent || response.req.complete)
  );
}

function asBytes(document: Problem): [Record<string, string | number>, string] {
  const body = JSON.stringify(document);
  const head = {
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': Buffer.byteLength(body),
    Connection: 'close',
  };
  return [head, body];
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
