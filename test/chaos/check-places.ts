/** Judges what is said beside the reads: Redis' entries at their marks, and all places at the end. */
import type { Suspects, Violation, Violations } from './check-violations.js';
import type { RedisRecord, SettledRecord } from './history.js';
import type { Truth } from './truth.js';

export class RedisJudge {
  readonly #truth: Truth;
  readonly #suspects: Suspects;
  #waiting: RedisRecord[] = [];
  judged = 0;

  constructor(truth: Truth, suspects: Suspects) {
    this.#truth = truth;
    this.#suspects = suspects;
  }

  redis(record: RedisRecord): void {
    if (!record.isMarkOfThisHistory) return;
    this.judged += 1;
    if (record.markVersion > this.#truth.head) this.#waiting.push(record);
    else this.#judge(record);
  }

  truthGrew(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ markVersion }) => markVersion > this.#truth.head);
    for (const record of waiting) if (record.markVersion <= this.#truth.head) this.#judge(record);
  }

  finish(): void {
    for (const record of this.#waiting.splice(0)) this.#judge(record);
  }

  #judge(record: RedisRecord): void {
    if (this.#isTrue(record)) return;
    this.#suspects.hold(record.endMs, () => this.#violations(record));
  }

  /** In any epoch that was A's history while Redis was asked. */
  #isTrue({ key, value, markVersion, startMs, endMs }: RedisRecord): boolean {
    const truth = this.#truth;
    for (let epoch = truth.latest; epoch >= 0; epoch--) {
      const endedMs = epoch === truth.latest ? Number.POSITIVE_INFINITY : truth.backMsOf(epoch + 1);
      if (endedMs < startMs || truth.backMsOf(epoch) > endMs) continue;
      // The tail that a failover lost may never have been told.
      if (markVersion > truth.headOf(epoch) && epoch < truth.latest) return true;
      if (markVersion > truth.headOf(epoch)) continue;
      if (truth.state(epoch, key, markVersion).value === value) return true;
    }
    return false;
  }

  #violations(record: RedisRecord): Violation[] {
    if (this.#isTrue(record)) return [];
    const { key, value, markVersion } = record;
    const truth = this.#truth.around(this.#truth.latest, key, markVersion);
    const what = `Redis: ${key} = ${value} at the mark ${markVersion} is not the truth`;
    return [{ guarantee: 'marks', what, facts: { ...record, truth, head: this.#truth.head } }];
  }
}

export class SettledJudge {
  readonly #records = new Map<string, Map<string, string | null>>();
  readonly #mayLack = new Set<string>();

  settled(records: readonly SettledRecord[], mayLack: readonly string[]): void {
    for (const { place, key, value } of records) {
      const said = this.#records.get(place) ?? new Map<string, string | null>();
      this.#records.set(place, said);
      said.set(key, value);
    }
    for (const place of mayLack) this.#mayLack.add(place);
  }

  finish(truth: Truth, violations: Violations): void {
    const keys = truth.keys;
    for (const [place, said] of this.#records) {
      for (const [key, value] of said) {
        const state = truth.state(truth.latest, key, truth.head);
        if (state.value === value) continue;
        const what = `${place} ended with ${key} = ${value}, the truth is ${state.value}`;
        violations.add({ guarantee: 'converged', what, facts: { place, key, value, state } });
      }
      if (this.#mayLack.has(place)) continue;
      for (const key of keys) {
        if (said.has(key)) continue;
        const what = `${place} said nothing of ${key} in the end`;
        violations.add({ guarantee: 'converged', what, facts: { place, key } });
      }
    }
  }
}
