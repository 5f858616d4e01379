/**
 * Tells read apps of data center B which version there is now, by POST /v1/hint, so that they poll
 * for it at once. Over HTTP and not Redis: data center A needs no way into a cache of B.
 *
 * Invariant: a write never waits for a hint nor fails by one. One request per read app is under way,
 * and the newest version waits for its end; a hint that does not arrive is not sent again.
 */
export interface HintSenderOptions {
  /** Of read apps: one that passes hints on (`redisHints`) is enough for all of its data center. */
  readonly urls: readonly string[];
  /** One for all, or one for each; none for read apps without. */
  readonly tokens?: readonly string[];
  readonly timeoutMs?: number;
  /** Told of the first failure of each read app, and of the first after a success. */
  readonly onFault?: (reason: string) => void;
}

const TIMEOUT_MS = 1_000;
/** From one hint to the next; those in between are the same to a reader as the last of them. */
const EVERY_MS = 10;

interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The version to send next; 0 for none. */
  next: number;
  isBusy: boolean;
  isFailing: boolean;
}

export class HintSender {
  readonly #targets: readonly Target[];
  readonly #timeoutMs: number;
  readonly #onFault: (reason: string) => void;
  readonly #underWay = new Set<AbortController>();
  #isClosed = false;

  constructor({ urls, tokens = [], timeoutMs = TIMEOUT_MS, onFault }: HintSenderOptions) {
    this.#timeoutMs = timeoutMs;
    this.#onFault = onFault ?? (() => undefined);
    this.#targets = urls.map((url, index) => {
      const token = tokens[index] ?? tokens[0];
      return {
        url: new URL('v1/hint', url.endsWith('/') ? url : `${url}/`).href,
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        next: 0,
        isBusy: false,
        isFailing: false,
      };
    });
  }

  /** Returns at once, and never throws. */
  send(version: number): void {
    for (const target of this.#targets) {
      target.next = Math.max(target.next, version);
      if (!target.isBusy) void this.#sendOn(target);
    }
  }

  /** Gives up what is under way. */
  close(): void {
    this.#isClosed = true;
    for (const control of this.#underWay) control.abort();
  }

  async #sendOn(target: Target): Promise<void> {
    target.isBusy = true;
    while (target.next > 0 && !this.#isClosed) {
      const version = target.next;
      target.next = 0;
      const fault = await this.#post(target, version);
      if (fault !== undefined && !target.isFailing && !this.#isClosed) {
        this.#onFault(`${new URL(target.url).host}: ${fault}`);
      }
      target.isFailing = fault !== undefined;
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    target.isBusy = false;
  }

  /** Why it did not arrive; undefined when it did. */
  async #post({ url, headers }: Target, version: number): Promise<string | undefined> {
    const control = new AbortController();
    const late = `no answer within ${this.#timeoutMs} ms`;
    const timer = setTimeout(() => control.abort(new Error(late)), this.#timeoutMs);
    this.#underWay.add(control);
    const { signal } = control;
    const body = JSON.stringify({ version });
    try {
      const answer = await fetch(url, { method: 'POST', body, headers, signal, redirect: 'error' });
      await answer.body?.cancel();
      return answer.ok ? undefined : `HTTP status ${answer.status}`;
    } catch (error) {
      if (!(error instanceof Error)) return String(error);
      return error.cause instanceof Error ? error.cause.message : error.message;
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(control);
    }
  }
}
