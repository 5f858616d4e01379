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
  #head = 0;
  #beatAtMs = Number.NEGATIVE_INFINITY;
  #news = 0;

  /** Grows with each snapshot that shows a newer head or heartbeat than those before. */
  get news(): number {
    return this.#news;
  }

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
      return this.#observe(await poll(version, limit));
    });
    this.#waiting.set(what, asked);
    return asked;
  }

  #observe(snapshot: LogSnapshot): LogSnapshot {
    const { head, beatAtMs } = snapshot;
    if (head > this.#head || beatAtMs > this.#beatAtMs) this.#news += 1;
    this.#head = Math.max(this.#head, head);
    this.#beatAtMs = Math.max(this.#beatAtMs, beatAtMs);
    return snapshot;
  }
}
