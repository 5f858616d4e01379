/**
 * GETs of one URL over one connection, again and again until the answer is the one waited for. Between
 * them this process sleeps for a moment, so that who asks takes no processor from those who answer:
 * what is measured is at most so much too long, on both sides.
 */
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const GIVE_UP_MS = 30_000;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));
/** Shorter pauses than a timer's, in which nothing else of this process may be under way. */
const SHORT_MS = 1;

export class HttpPoll {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** @param pauseMs between two GETs */
  constructor(
    private readonly url: string,
    private readonly pauseMs: number,
  ) {}

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
    this.#agent.destroy();
  }

  #get(): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = get(this.url, { agent: this.#agent }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body));
        response.on('error', reject);
      });
      request.on('error', reject);
    });
  }
}
