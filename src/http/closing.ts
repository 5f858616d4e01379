/** The end of answers that last: with their client, or with the server, whichever comes first. */
import type { FastifyInstance, FastifyReply } from 'fastify';

export class Closing {
  readonly #open = new Set<AbortController>();
  #isClosing = false;

  constructor(scope: FastifyInstance) {
    // Before the server waits for the answers that it owes.
    scope.addHook('preClose', async () => {
      this.#isClosing = true;
      for (const control of this.#open) control.abort();
    });
  }

  /** Aborted as soon as no one waits for this answer any more, or no one should. */
  of(reply: FastifyReply): AbortSignal {
    const control = new AbortController();
    const end = () => {
      this.#open.delete(control);
      control.abort();
    };
    this.#open.add(control);
    reply.raw.once('close', end);
    // An answer that waits behind another in a pipeline does not hear when its connection ends.
    reply.request.raw.once('close', end);
    if (this.#isClosing || reply.raw.destroyed) end();
    return control.signal;
  }
}
