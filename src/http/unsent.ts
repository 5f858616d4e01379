/**
 * Bytes of answers that were built for one request each, and are not with their clients yet.
 *
 * Invariant: together they are at most `maxBytes`. One client can ask for a thousand lists in one
 * packet and read none of them, so the bound is on all of them and not on one.
 */
import type { FastifyReply } from 'fastify';
import { OverloadedError } from './problem.js';

export class Unsent {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Counts `bytes` until the answer is out or its connection is gone.
   * @throws OverloadedError when there is no room for them */
  hold(reply: FastifyReply, bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) throw new OverloadedError();
    this.#bytes += bytes;
    let isHeld = true;
    const release = () => {
      if (isHeld) this.#bytes -= bytes;
      isHeld = false;
    };
    reply.raw.once('close', release);
    // An answer that waits behind another in a pipeline does not hear when its connection ends.
    reply.request.raw.once('close', release);
  }
}
