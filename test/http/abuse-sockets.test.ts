/** Clients that are slow, many, greedy or wrong, over real sockets, on the standalone server. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readApp } from '../../src/http/read-app.js';
import { createServer, type ServerOptions } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { until } from '../support/until.js';
import { FakeReader } from './fake-reader.js';
import { FakeWriter } from './fake-writer.js';
import { portOf, sendRaw } from './fuzz-run.js';

const MIB = 1024 * 1024;
const HOST = 'Host: a\r\n';

async function listening(server: FastifyInstance): Promise<number> {
  onTestFinished(async () => void (await server.close()));
  await server.listen({ host: '127.0.0.1', port: 0 });
  return portOf(server);
}

async function serveReads(options: Partial<ServerOptions> = {}) {
  const reader = new FakeReader();
  reader.put('a', '1');
  const server = createServer({ logLevel: 'silent', ...options });
  await server.register(readApp, { reader });
  return { reader, server, port: await listening(server) };
}

async function serveWrites(options: Partial<ServerOptions> = {}) {
  const writer = new FakeWriter();
  const server = createServer({ logLevel: 'silent', ...options });
  await server.register(writeApp, { writer });
  return { writer, server, port: await listening(server) };
}

/** A client that stays; it ends with the test. */
function client(port: number): { socket: Socket; text: () => string; ended: () => boolean } {
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  let hasEnded = false;
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  for (const event of ['end', 'close', 'error']) {
    socket.on(event, () => {
      hasEnded = true;
    });
  }
  onTestFinished(() => void socket.destroy());
  return { socket, text: () => text, ended: () => hasEnded };
}

const statusIn = (answer: string) => Number(answer.slice('HTTP/1.1 '.length).slice(0, 3));

function expectProblem(answer: string, status: number, code: string): void {
  expect(statusIn(answer)).toBe(status);
  expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
  const [, body = ''] = answer.split('\r\n\r\n');
  expect(JSON.parse(body)).toMatchObject({ status, code });
}

describe('what is not HTTP, or two things at once', () => {
  const get = 'GET /v1/configs/a HTTP/1.1\r\n';
  const put = 'PUT /v1/configs/a HTTP/1.1\r\n';
  test.each([
    ['both lengths', `${put}${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1`],
    ['two lengths', `${put}${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n1`],
    ['a length that is none', `${put}${HOST}Content-Length: +1\r\n\r\n1`],
    ['a chunk size that is none', `${put}${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ['another coding', `${put}${HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    ['a space before the colon', `${get}${HOST}Content-Length : 1\r\n\r\n1`],
    ['a folded header', `${get}${HOST}A: b\r\n\tc: d\r\n\r\n`],
    ['a null byte in a header', `${get}${HOST}A: b\0c\r\n\r\n`],
    ['a bare line feed', `${get}${HOST}A: b\n\rc\r\n\r\n`],
    ['a space in the path', `GET /v1/configs/a b HTTP/1.1\r\n${HOST}\r\n`],
    ['an unknown method', `NONSENSE /v1/configs/a HTTP/1.1\r\n${HOST}\r\n`],
    ['an unknown version', `GET /v1/configs/a HTTP/9.9\r\n${HOST}\r\n`],
    ['TLS', Buffer.from('160301020001000', 'hex')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('%s: 400, and the connection ends', async (_what, bytes) => {
    const { port, writer } = await serveWrites();
    expectProblem(await sendRaw(port, bytes), 400, 'invalid_request');
    expect(writer.asked).toEqual([]);
  });

  test('no Host: 400', async () => {
    const { port } = await serveReads();
    expect(statusIn(await sendRaw(port, `${get}\r\n`))).toBe(400);
  });

  test('headers over 16 KiB: 431', async () => {
    const { port } = await serveReads();
    const bytes = `${get}${HOST}A: ${'x'.repeat(17_000)}\r\n\r\n`;
    expectProblem(await sendRaw(port, bytes), 431, 'headers_too_large');
  });

  test('a refusal is never taken for the answer to a write that is under way', async () => {
    const { port, writer } = await serveWrites();
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const put = writer.put.bind(writer);
    writer.put = async (...write) => {
      await held;
      return await put(...write);
    };
    const bytes = `PUT /v1/configs/a HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\n1\0garbage\r\n\r\n`;
    expect(await sendRaw(port, bytes)).toBe(''); // ended: whether it was written is not known
    go();
    await until('the write', () => writer.asked.length === 1);
  });

  test('requests in a pipeline are answered in order', async () => {
    const { port, reader } = await serveReads();
    reader.put('b', '2');
    const bytes = ['a', 'b', 'a'].map((key) => `GET /v1/configs/${key} HTTP/1.1\r\n${HOST}\r\n`);
    const answer = await sendRaw(port, bytes.join(''), { end: true });
    expect(answer.split('HTTP/1.1 200 OK').length).toBe(4);
    expect(answer.match(/\r\n\r\n\d/g)).toEqual(['\r\n\r\n1', '\r\n\r\n2', '\r\n\r\n1']);
  });
});

describe('methods and URLs', () => {
  test('no header overrides the method', async () => {
    const { port, writer } = await serveWrites();
    const override = 'X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n';
    const bytes = `PUT /v1/configs/a?_method=DELETE HTTP/1.1\r\n${HOST}${override}Content-Length: 1\r\n\r\n1`;
    expect(statusIn(await sendRaw(port, bytes, { end: true }))).toBe(201);
    expect(writer.asked).toMatchObject([{ key: 'a', text: '1' }]);
  });

  test('OPTIONS and TRACE are refused, HEAD has no body, CONNECT ends', async () => {
    const { port } = await serveReads();
    const ask = (method: string) =>
      sendRaw(port, `${method} /v1/configs/a HTTP/1.1\r\n${HOST}\r\n`, { end: true });
    expect(statusIn(await ask('OPTIONS'))).toBe(405);
    expect(statusIn(await ask('TRACE'))).toBe(405);
    expect(await ask('HEAD')).toMatch(/^HTTP\/1.1 200 OK\r\n(.+\r\n)+\r\n$/);
    expect(await ask('CONNECT')).toBe('');
  });

  test.each([
    ['/v1/configs/../status', '../status'],
    ['/v1/configs/%2e%2e/status', '../status'],
    ['/v1/configs/..%2f..%2fetc', '../../etc'],
    ['/v1/configs/a%252e', 'a%2e'],
    ['/v1/configs//a', '/a'],
    ['/v1/configs/a;x=y', 'a;x=y'],
    ['/v1/configs/a#b', 'a'],
  ])('%s is the key %s, and no other path', async (url, key) => {
    const { port, reader } = await serveReads();
    reader.put(key, '"found"');
    const answer = await sendRaw(port, `GET ${url} HTTP/1.1\r\n${HOST}\r\n`, { end: true });
    expect([statusIn(answer), answer.includes('"found"')]).toEqual([200, true]);
  });

  test.each(['http://elsewhere', 'HTTPS://elsewhere:8443'])(
    'an absolute URL, %s, is that of the same key and query',
    async (start) => {
      const { port, reader } = await serveReads();
      reader.put('b', '2');
      const ask = (path: string) =>
        sendRaw(port, `GET ${start}${path} HTTP/1.1\r\n${HOST}\r\n`, { end: true });
      expect(await ask('/v1/configs/b?x=/')).toMatch(/200 OK[\s\S]*\r\n\r\n2$/);
      expect(await ask('/v1/configs?keys=b')).toContain('{"key":"b","version":7,"value":2}');
      const writes = await serveWrites();
      const put = `PUT ${start}/v1/configs/b HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\n1`;
      expect(statusIn(await sendRaw(writes.port, put, { end: true }))).toBe(201);
      expect(writes.writer.asked).toMatchObject([{ key: 'b' }]);
    },
  );
});

describe('bodies', () => {
  const head = (headers: string) => `PUT /v1/configs/a HTTP/1.1\r\n${HOST}${headers}\r\n`;

  test('Expect: 100-continue is honored, anything else is 417', async () => {
    const { port } = await serveWrites();
    const { socket, text } = client(port);
    socket.write(head('Expect: 100-continue\r\nContent-Length: 1\r\n'));
    await until('100', () => text().startsWith('HTTP/1.1 100 Continue'));
    socket.write('1');
    await until('201', () => text().includes('HTTP/1.1 201 Created'));
    const refused = await sendRaw(port, head('Expect: magic\r\nContent-Length: 1\r\n'));
    expectProblem(refused, 417, 'expectation_failed');
  });

  test('a body over the limit is refused before all of it was sent', async () => {
    const { port, writer } = await serveWrites();
    const chunk = `400\r\n${'x'.repeat(1024)}\r\n`; // of a body that never ends
    const chunked = await sendRaw(port, [head('Transfer-Encoding: chunked\r\n'), chunk]);
    expectProblem(chunked, 413, 'value_too_large');
    const long = await sendRaw(port, head('Content-Length: 1000000000\r\n'));
    expectProblem(long, 413, 'value_too_large');
    expect(writer.asked).toEqual([]);
  });

  test('a compressed body is refused with 415', async () => {
    const { port, writer } = await serveWrites();
    for (const coding of ['gzip', 'br, gzip', 'x-unknown']) {
      const headers = `Content-Encoding: ${coding}\r\nContent-Length: 1\r\n`;
      const answer = await sendRaw(port, `${head(headers)}1`, { end: true });
      expectProblem(answer, 415, 'unsupported_media_type');
    }
    expect(writer.asked).toEqual([]);
  });
});

describe('slow and many clients', () => {
  test('heads and bodies that never end are ended, and others are served meanwhile', async () => {
    const { port, server } = await serveWrites({ headersTimeoutMs: 400, requestTimeoutMs: 800 });
    const slow = Array.from({ length: 200 }, (_, index) => {
      const one = client(port);
      const body = 'Content-Length: 50\r\n\r\n1';
      one.socket.write(
        `PUT /v1/configs/a HTTP/1.1\r\n${HOST}${index % 2 === 0 ? body : 'A: b\r\n'}`,
      );
      return one;
    });
    let served = 0;
    while (!slow.every((one) => one.ended())) {
      const answer = await sendRaw(port, `GET /health/live HTTP/1.1\r\n${HOST}\r\n`, { end: true });
      expect(statusIn(answer)).toBe(200);
      served += 1;
    }
    expect(served).toBeGreaterThan(10);
    for (const { text } of slow) expectProblem(text(), 408, 'request_timeout');
    await until('no connections', async () => (await connectionsOf(server)) === 0);
  });

  test('a byte now and then does not keep a head open', async () => {
    const { port } = await serveReads({ headersTimeoutMs: 400, requestTimeoutMs: 800 });
    const { socket, ended, text } = client(port);
    socket.write('GET /v1/configs/a HTTP/1.1\r\n');
    const drip = setInterval(() => socket.writable && socket.write('A: b\r\n'), 20);
    onTestFinished(() => clearInterval(drip));
    await until('the end', ended);
    expectProblem(text(), 408, 'request_timeout');
  });

  test('clients that do not read their lists hold little together, and not for long', async () => {
    const { port, reader } = await serveReads({ idleTimeoutMs: 3_000 });
    for (const key of ['p1', 'p2', 'p3', 'p4']) reader.put(key, `"${'x'.repeat(2 * MIB)}"`);
    const before = process.memoryUsage().arrayBuffers;
    const sockets = Array.from({ length: 4 }, () => connect({ host: '127.0.0.1', port }).pause());
    for (const socket of sockets) {
      socket.on('error', () => undefined); // it is cut off, as it should be
      onTestFinished(() => void socket.destroy());
      socket.write(`GET /v1/configs?prefix=p HTTP/1.1\r\n${HOST}\r\n`.repeat(50)); // of 8 MiB each
    }
    let most = 0;
    await until('a request', () => reader.asked.length > 0);
    // Then they are cut off, and what they held is given back: as much is there for who reads.
    await until('room', async () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers);
      return (await fetch(`http://127.0.0.1:${port}/v1/configs?prefix=p`)).ok;
    });
    expect((most - before) / MIB).toBeLessThan(256 + 64);
    for (let one = 0; one < 40; one += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/configs?prefix=p`);
      expect([answer.status, (await answer.text()).length]).toEqual([200, expect.any(Number)]);
    }
  });

  test('a client that takes its answer slowly gets all of it', async () => {
    const { port, reader } = await serveReads({ idleTimeoutMs: 1_000 });
    const items = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'];
    for (const key of items) reader.put(key, `"${'x'.repeat(2 * MIB)}"`);
    const socket = connect({ host: '127.0.0.1', port }).pause();
    onTestFinished(() => void socket.destroy());
    socket.write(`GET /v1/configs?prefix=p HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    let [bytes, isOver] = [0, false];
    socket.on('end', () => {
      isOver = true;
    });
    await until('the end', async () => {
      await delay(15); // some 3 MiB a second
      bytes += (socket.read() as Buffer | null)?.byteLength ?? 0;
      return isOver || socket.destroyed;
    });
    expect([isOver, bytes > items.length * 2 * MIB]).toEqual([true, true]);
  });

  test('a connection on which nothing is asked is ended', async () => {
    const { port } = await serveReads({ headersTimeoutMs: 400 });
    const { ended } = client(port);
    await until('the end', ended);
  });

  test('one connection too many is closed at once, and room is used again', async () => {
    const { port, server } = await serveReads({ maxConnections: 20 });
    const first = Array.from({ length: 20 }, () => client(port));
    await until('20 connections', async () => (await connectionsOf(server)) === 20);
    const others = Array.from({ length: 50 }, () => client(port));
    await until('their end', () => others.every((one) => one.ended()));
    expect(first.some((one) => one.ended())).toBe(false);
    first[0]?.socket.write(`GET /health/live HTTP/1.1\r\n${HOST}\r\n`);
    await until('an answer', () => first[0]?.text().includes('200 OK'));
    for (const one of first) one.socket.destroy();
    await until('no connections', async () => (await connectionsOf(server)) === 0);
    const answer = await sendRaw(port, `GET /health/live HTTP/1.1\r\n${HOST}\r\n`, { end: true });
    expect(statusIn(answer)).toBe(200);
  });
});

function connectionsOf(server: FastifyInstance): Promise<number> {
  return new Promise((resolve, reject) => {
    server.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}
