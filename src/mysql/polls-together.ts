/**
 * Polls of the log that several readers ask for at once, asked once: those of one turn of the event
 * loop, from the same version, share one statement and its snapshot.
 *
 * Invariant: a statement begins after all who share it have asked. One that is under way already is
 * never joined: it may have read before what its asker was woken for.
 */
import type { LogSnapshot } from '../core/position.js';

export class PollsTogether {
  readonly #waiting = new Map<string, Promise<LogSnapshot>>();

  ask(
    version: number,
    limit: number,
    poll: (version: number, limit: number) => Promise<LogSnapshot>,
  ): Promise<LogSnapshot> {
    const what = `${version} ${limit}`;
    const waiting = this.#waiting.get(what);
    if (waiting !== undefined) return waiting;
    const asked = new Promise<void>((resolve) => {
      setImmediate(resolve);
    }).then(async () => {
      this.#waiting.delete(what);
      return await poll(version, limit);
    });
    this.#waiting.set(what, asked);
    return asked;
  }
}
