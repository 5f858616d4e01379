/**
 * Hints over Redis: what one reader of the data center is told, all of them hear, on a channel of
 * the tracked table. Messages may be lost, doubled or wrong; nothing depends on them.
 *
 * Invariant: publishing never waits, and subscribing is on a connection of its own, which is
 * connected again, and subscribed again, by itself.
 */
import type { RedisClient } from './tier.js';

export interface RedisHintsOptions {
  readonly client: RedisClient;
  readonly prefix: string;
  readonly table: string;
  /** Gets each reason why hints do not come or go. */
  readonly onFault: (error: unknown) => void;
}

export class RedisHints {
  readonly #options: RedisHintsOptions;
  readonly #channel: string;
  #subscriber: RedisClient | undefined;

  constructor(options: RedisHintsOptions) {
    this.#options = options;
    this.#channel = `${options.prefix}:${options.table}:hints`;
  }

  /** Calls `onHint` with each version that is published from now on. */
  listen(onHint: (version: number) => void): void {
    if (this.#subscriber !== undefined) return;
    const { client, onFault } = this.#options;
    const subscriber = 'nodes' in client ? client.duplicate() : client.duplicate();
    this.#subscriber = subscriber;
    subscriber.on('error', onFault);
    subscriber.on('message', (_channel: string, message: string) => {
      if (/^\d{1,16}$/.test(message)) onHint(Number(message));
    });
    const subscribe = () => {
      subscriber.subscribe(this.#channel).catch(onFault);
    };
    subscriber.on('ready', subscribe);
    if (subscriber.status === 'ready') subscribe();
  }

  publish(version: number): void {
    const { client, onFault } = this.#options;
    client.publish(this.#channel, String(version)).catch(onFault);
  }

  close(): void {
    this.#subscriber?.disconnect();
  }
}
