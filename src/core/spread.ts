/**
 * A distribution of latencies in a bounded size: counts in cells of a logarithmic scale, ten to a
 * decade (the preferred numbers R10 of ISO 3), from 1 ms to 800 s. A percentile is at most a
 * quarter off, and never over the greatest latency that was seen.
 */

const DECADES = 6;
const PREFERRED = [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8];
/** Upper ends of the cells, in ms; one cell more holds what is over the last. */
const ENDS_MS = Array.from({ length: DECADES }, (_, decade) =>
  PREFERRED.map((number) => Number((number * 10 ** decade).toPrecision(3))),
).flat();

export class Spread {
  readonly #counts = new Uint32Array(ENDS_MS.length + 1);
  #count = 0;
  #maxMs = 0;

  /** @param latencyMs below 0 when two clocks disagree: it counts as 0 */
  add(latencyMs: number): void {
    const cell = ENDS_MS.findIndex((endMs) => latencyMs <= endMs);
    this.#put(cell === -1 ? ENDS_MS.length : cell, 1);
    this.#maxMs = Math.max(this.#maxMs, latencyMs);
  }

  addAll(other: Spread): void {
    for (const [cell, count] of other.#counts.entries()) this.#put(cell, count);
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs);
  }

  get count(): number {
    return this.#count;
  }

  /** Undefined when nothing was seen. */
  get maxMs(): number | undefined {
    return this.#count === 0 ? undefined : this.#maxMs;
  }

  /** In ms, by nearest rank, within its cell by proportion; undefined when nothing was seen.
   * @param share in (0, 1], such as 0.99 */
  percentileMs(share: number): number | undefined {
    const rank = Math.ceil(share * this.#count);
    let before = 0;
    for (const [cell, count] of this.#counts.entries()) {
      if (count > 0 && before + count >= rank) {
        const [startMs, endMs] = [ENDS_MS[cell - 1] ?? 0, ENDS_MS[cell] ?? this.#maxMs];
        const withinMs = startMs + (endMs - startMs) * ((rank - before) / count);
        return Math.min(withinMs, this.#maxMs);
      }
      before += count;
    }
    return undefined;
  }

  /** How many there are up to each of `endsMs` and over the end before, and, last, over all.
   * @param endsMs some of 1, 2, 5, 10 ... 800,000 (ends of cells), in order */
  countsUpTo(endsMs: readonly number[]): number[] {
    const counts = Array<number>(endsMs.length + 1).fill(0);
    for (const [cell, count] of this.#counts.entries()) {
      const endMs = ENDS_MS[cell] ?? Number.POSITIVE_INFINITY;
      const at = endsMs.findIndex((end) => endMs <= end);
      const bar = at === -1 ? endsMs.length : at;
      counts[bar] = (counts[bar] ?? 0) + count;
    }
    return counts;
  }

  #put(cell: number, count: number): void {
    this.#counts[cell] = (this.#counts[cell] ?? 0) + count;
    this.#count += count;
  }
}
