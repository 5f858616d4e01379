/** Sends fuzzed requests to an app that listens, over real sockets, and judges each answer. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { Declared } from './declared.js';
import { type FuzzRequest, fuzzRequests } from './fuzz-requests.js';

export interface FuzzResult {
  readonly requests: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** What was not as declared, each once; empty when all is well. */
  readonly faults: readonly string[];
}

const AT_ONCE = 16;
const PATIENCE_MS = 20_000;
/** What an app may answer that is not the client's fault: each says to try again. */
const HONEST_FAULTS = [503, 504];

export function fuzzCount(): number {
  return Number(process.env.TIDEMARK_FUZZ_REQUESTS ?? 2_000);
}

export function fuzzSeed(): number {
  return Number(process.env.TIDEMARK_FUZZ_SEED ?? Math.trunc(Math.random() * 2 ** 31));
}

export async function fuzz(
  server: FastifyInstance,
  { requests, seed, token }: { requests: number; seed: number; token: string },
): Promise<FuzzResult> {
  const declared = await Declared.of(server);
  const sample = fc.sample(fuzzRequests(declared.document, token), { numRuns: requests, seed });
  const port = portOf(server);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const statuses: Record<string, number> = {};
  const faults = new Set<string>();
  let next = 0;
  const work = async () => {
    for (let one = sample[next++]; one !== undefined; one = sample[next++]) {
      const answer = await send(port, agent, one);
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      const isOurFault = answer.status >= 500 && !HONEST_FAULTS.includes(answer.status);
      const fault = isOurFault
        ? `${one.method} ${one.url.slice(0, 200)} answered ${answer.status} ${answer.body}`
        : declared.fault({ ...one, ...answer });
      if (fault !== undefined)
        faults.add(`${fault} [sent ${JSON.stringify(one.headers).slice(0, 300)}]`);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    agent.destroy();
  }
  return { requests, statuses, faults: [...faults] };
}

export function portOf(server: FastifyInstance): number {
  const address = server.server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('Expected a server that listens, got one that does not');
  }
  return address.port;
}

type Answer = { status: number; headers: Record<string, unknown>; body: string };

/** With a URL as it is, which Node's client would refuse with characters that it knows to be wrong. */
function send(port: number, agent: Agent, one: FuzzRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method, headers, body } = one;
    const path = one.url.replaceAll(/[^\x21-\x7e]/g, '?');
    const length = body === undefined ? {} : { 'content-length': body.byteLength };
    const client = request(
      { host: '127.0.0.1', port, agent, method, path, headers: { ...headers, ...length } },
      (response) => {
        collect(response).then(
          (text) =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
          reject,
        );
      },
    );
    client.setTimeout(PATIENCE_MS, () =>
      client.destroy(new Error(`Expected an answer to ${method} ${path.slice(0, 200)}, got none`)),
    );
    client.on('error', (error: NodeJS.ErrnoException) => {
      // The connection of the pool ended between two requests, or while a refused body was sent.
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
        send(port, agent, one).then(resolve, reject);
      } else if (error.code === 'HPE_CLOSED_CONNECTION' && method === 'HEAD') {
        // Refused by the parser, which does not know what method it was, so with a body: 431.
        const headers = { 'content-type': 'application/problem+json' };
        resolve({ status: 431, headers, body: '' });
      } else reject(new Error(`${JSON.stringify(one).slice(0, 2_000)} failed`, { cause: error }));
    });
    client.end(body);
  });
}

async function collect(response: IncomingMessage): Promise<string> {
  if (response.headers['content-type'] === 'text/event-stream') {
    response.destroy(); // there is no end to wait for
    return '';
  }
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Sends bytes as they are and returns all that came back until the connection ended.
 * @param end closes our side after the bytes; else the server has to */
export function sendRaw(
  port: number,
  bytes: string | Buffer | readonly (string | Buffer)[],
  { end = false, timeoutMs = PATIENCE_MS } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`Expected the connection to end, got ${Buffer.concat(chunks)} so far`));
    }, timeoutMs);
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', finish);
    socket.on('error', finish); // a reset is an end, too
    for (const part of [bytes].flat()) socket.write(part);
    if (end) socket.end();
  });
}
