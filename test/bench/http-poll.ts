/**
 * GETs of one URL over one connection, again and again until the answer is the one waited for. Between
 * them this process sleeps for a moment, so that who asks takes no processor from those who answer:
 * what is measured is at most so much too long, on both sides.
 */
import { Agent, get } from 'node:http';

const GIVE_UP_MS = 30_000;
const PAUSE_MS = 0.2;
const NOBODY = new Int32Array(new SharedArrayBuffer(4));

export class HttpPoll {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(private readonly url: string) {}

  /** Resolves with the first answer that is `expected`, or rejects in time. */
  async until(expected: string): Promise<void> {
    const endMs = performance.now() + GIVE_UP_MS;
    for (let got = ''; got !== expected; ) {
      if (performance.now() > endMs) {
        throw new Error(`Expected ${expected} within ${GIVE_UP_MS} ms, got ${got.slice(0, 100)}`);
      }
      got = await this.#get();
      if (got !== expected) Atomics.wait(NOBODY, 0, 0, PAUSE_MS); // nothing else is under way here
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
