/**
 * Whether the host of MySQL-B that has answered is the one to go on with, when there are several.
 *
 * Invariant: a snapshot from before one that was seen is not handed on, unless a newer heartbeat
 * proves that history was rewritten, or all hosts are behind. A replica that lags would otherwise
 * pass for a history that lost its tail, be believed after a while (reconciler.ts), and answers would
 * go back. A host whose heartbeat is old is left as well, in case another one hears more of A; less
 * and less often while none does.
 */
import type { Now } from './freshness.js';

/** What a poll saw. */
export interface HostSnapshot {
  readonly head: number;
  readonly beatAtMs: number;
}

export interface HostVerdict {
  /** Whether the snapshot may be handed on. */
  readonly take: boolean;
  /** Why the next host is to be tried; undefined: stay. */
  readonly leave: 'behind' | 'stale' | undefined;
}

export interface HostJudgeOptions {
  readonly hosts: number;
  /** A heartbeat older than this, by the clocks of both data centers, is old. */
  readonly staleAfterMs: number;
}

const MAX_PAUSE_MS = 5 * 60_000;

export class HostJudge {
  readonly #options: HostJudgeOptions;
  #head = 0;
  #beatAtMs = Number.NEGATIVE_INFINITY;
  /** The heads of hosts that are behind `#head`. */
  readonly #behind = new Map<number, number>();
  #leaveStaleAtMs: number | undefined;
  #pauseMs: number;

  constructor(options: HostJudgeOptions) {
    this.#options = options;
    this.#pauseMs = options.staleAfterMs;
  }

  /** The newest head that any host has shown. */
  get head(): number {
    return this.#head;
  }

  /** An answer was read at this head. */
  saw(head: number): void {
    this.#head = Math.max(this.#head, head);
  }

  /** @param floor what `head` was when the poll was sent: a slow answer is not an old host's */
  judge(host: number, { head, beatAtMs }: HostSnapshot, floor: number, now: Now): HostVerdict {
    const isProof = beatAtMs > this.#beatAtMs;
    this.#beatAtMs = Math.max(this.#beatAtMs, beatAtMs);
    if (head < floor && !isProof) return this.#judgeBehind(host, head);
    this.#head = head < floor ? head : Math.max(this.#head, head);
    this.#behind.clear();
    return { take: true, leave: this.#shouldLeaveStale(beatAtMs, now) ? 'stale' : undefined };
  }

  #judgeBehind(host: number, head: number): HostVerdict {
    this.#behind.set(host, head);
    if (this.#behind.size < this.#options.hosts) return { take: false, leave: 'behind' };
    const isFirst = head >= Math.max(...this.#behind.values());
    return { take: true, leave: isFirst ? undefined : 'behind' };
  }

  #shouldLeaveStale(beatAtMs: number, { wallMs, monotonicMs }: Now): boolean {
    const { staleAfterMs } = this.#options;
    if (wallMs - beatAtMs <= staleAfterMs) {
      this.#leaveStaleAtMs = undefined;
      this.#pauseMs = staleAfterMs;
      return false;
    }
    if (monotonicMs < (this.#leaveStaleAtMs ?? monotonicMs)) return false;
    this.#leaveStaleAtMs = monotonicMs + this.#pauseMs;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, this.#pauseMs * 2);
    return true;
  }
}
