/** How much one client, or all of them together, may ask of an app and of its server. */

/** Of an app, by its routes: health, metrics and the document are always answered. */
export interface Limits {
  /** Requests are refused (503) while the event loop lags by more than this, on the mean of a
   * second, in ms. 0, the default of the plugins: never. */
  readonly maxEventLoopDelayMs?: number;
  /** Requests a second of one token, or address where there are no tokens; over it 429. 0, the
   * default: as many as come. It is counted in this process, and costs each request something. */
  readonly rateLimitPerSecond?: number;
}

/** The default of the commands; a service that embeds the apps sheds its load itself. */
export const DEFAULT_MAX_EVENT_LOOP_DELAY_MS = 1_000;

/** Of the standalone server. */
export interface ServerLimits {
  /** The most connections at once; one more is closed at once. */
  readonly maxConnections: number;
  /** The longest that a client may take to send the head of a request, in ms. */
  readonly headersTimeoutMs: number;
  /** The longest that a client may take to send all of a request, in ms. */
  readonly requestTimeoutMs: number;
  /** The longest that a client may take nothing of an answer that waits for it, in ms. */
  readonly idleTimeoutMs: number;
}

export const SERVER_DEFAULTS: ServerLimits = Object.freeze({
  maxConnections: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 65_000,
});
