/**
 * Asks the reader for its page each second while the page is in view and not paused, one request at
 * a time, with the token if there is one. What it got, or why it got nothing, it tells.
 */
const EVERY_MS = 1_000;
const PATIENCE_MS = 5_000;
const TOKEN = 'tidemark-read-token';

/** An answer other than 200. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Kept in this tab until it is closed. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? '',
  set: (value) => sessionStorage.setItem(TOKEN, value),
};

/** The JSON of an answer. @throws Refused, or what fetch throws */
export async function ask(url) {
  const secret = token.get();
  const response = await fetch(url, {
    headers: secret === '' ? {} : { authorization: `Bearer ${secret}` },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (response.ok) return await response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, String(problem.detail ?? response.statusText));
}

export class Feed {
  #options;
  #timer;
  #isAsking = false;
  #isPaused = false;

  /** @param options ask: a promise of what onAnswer gets; onFault gets what it throws */
  constructor(options) {
    this.#options = options;
    document.addEventListener('visibilitychange', () => this.now());
  }

  set paused(isPaused) {
    this.#isPaused = isPaused;
    this.now();
  }

  /** Asks at once, and then each second. */
  now() {
    clearTimeout(this.#timer);
    if (!this.#isPaused && !document.hidden) void this.#turn();
  }

  async #turn() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      this.#options.onAnswer(await this.#options.ask());
    } catch (error) {
      this.#options.onFault(error);
    } finally {
      this.#isAsking = false;
    }
    clearTimeout(this.#timer);
    if (!this.#isPaused) this.#timer = setTimeout(() => this.now(), EVERY_MS);
  }
}
