/** Percentiles of the latest latencies, by nearest rank: each is a latency that was really seen. */

const MOST = 10_000;

export class Latencies {
  readonly #seenMs: number[] = [];

  add(latencyMs: number): void {
    this.#seenMs.push(latencyMs);
    if (this.#seenMs.length > MOST) this.#seenMs.shift();
  }

  get count(): number {
    return this.#seenMs.length;
  }

  /** In ms; undefined when nothing was seen yet.
   * @param share in (0, 1], such as 0.99 */
  percentileMs(share: number): number | undefined {
    const sorted = this.#seenMs.toSorted((one, other) => one - other);
    return sorted[Math.ceil(share * sorted.length) - 1];
  }
}
