/**
 * GETs of one URL over one connection, again and again until the answer is the one waited for. Between
 * them this process sleeps for a moment, so that who asks takes no processor from those who answer:
 * what is measured is at most so much too long, on both sides. They are written by hand, since Node's
 * client takes more than three times the processor for each.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const GIVE_UP_MS = 30_000;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));
/** Shorter pauses than a timer's, in which nothing else of this process may be under way. */
const SHORT_MS = 1;

export class HttpPoll {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<string>;
  readonly #request: string;

  /** @param pauseMs between two GETs */
  constructor(
    url: string,
    private readonly pauseMs: number,
  ) {
    const { host, hostname, port, pathname } = new URL(url);
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#chunks = this.#socket.setEncoding('latin1')[Symbol.asyncIterator]();
    this.#request = `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  }

  /** Resolves with the first answer that is `expected`, or rejects in time. */
  async until(expected: string): Promise<void> {
    const endMs = performance.now() + GIVE_UP_MS;
    for (let got = ''; ; ) {
      if (performance.now() > endMs) {
        throw new Error(`Expected ${expected} within ${GIVE_UP_MS} ms, got ${got.slice(0, 100)}`);
      }
      got = await this.#get();
      if (got === expected) return;
      if (this.pauseMs < SHORT_MS) Atomics.wait(NOBODY, 0, 0, this.pauseMs);
      else await delay(this.pauseMs);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #get(): Promise<string> {
    this.#socket.write(this.#request);
    for (let answer = ''; ; ) {
      const { value, done } = await this.#chunks.next();
      if (done) throw new Error(`Expected an answer to GET, got its beginning: ${answer}`);
      answer += value;
      const [head = '', body] = answer.split('\r\n\r\n');
      const [, length] = /^content-length: (\d+)/im.exec(head) ?? [];
      if (body?.length === Number(length)) return body;
    }
  }
}
