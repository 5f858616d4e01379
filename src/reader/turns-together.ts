/**
 * Lets the readers of several collections take their turns together, so that they share one poll of
 * the log and one early wake: when the pause of one of them ends, it ends for all who pause.
 *
 * Invariant: a wake is missed by nobody. Who was in a turn that began before it takes another one at
 * once. A reader that fails rests as it likes, and keeps none of the others.
 */
import type { Glance } from '../mysql/glance.js';
import type { Wake } from './poll-loop.js';

export class TurnsTogether {
  readonly #wake: Wake | undefined;
  readonly #pausing = new Map<Member, (glance?: Glance) => void>();
  /** How often the wake has come. */
  #wakes = 0;

  /** @param wake the one early wake of all; undefined for none */
  constructor(wake: Wake | undefined) {
    this.#wake = wake;
  }

  /** For the poll loop of one more reader. */
  member(): Wake {
    return new Member(this);
  }

  get wakes(): number {
    return this.#wakes;
  }

  paused(member: Member, onWake: (glance?: Glance) => void): void {
    this.#pausing.set(member, onWake);
    this.#wake?.arm((glance) => {
      this.#wakes += 1;
      this.#endPauses(glance);
    });
  }

  turns(member: Member): void {
    this.#pausing.delete(member);
    this.#wake?.disarm();
    this.#endPauses();
  }

  #endPauses(glance?: Glance): void {
    for (const [member, onWake] of [...this.#pausing]) {
      if (this.#pausing.delete(member)) onWake(glance);
    }
  }
}

class Member implements Wake {
  readonly #all: TurnsTogether;
  /** The wakes that had come when its turn began. */
  #wakesSeen = 0;

  constructor(all: TurnsTogether) {
    this.#all = all;
  }

  arm(onWake: (glance?: Glance) => void): void {
    if (this.#wakesSeen < this.#all.wakes) onWake();
    else this.#all.paused(this, onWake);
  }

  disarm(): void {
    this.#wakesSeen = this.#all.wakes;
    this.#all.turns(this);
  }
}
