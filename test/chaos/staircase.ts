/**
 * A staircase: points of the kind "by x, at least y" of which none says less than another one does.
 * Both coordinates only rise, so each question is one binary search.
 */
export class Staircase {
  readonly #xs: number[] = [];
  readonly #ys: number[] = [];
  readonly #limit: number;

  /** @param limit the most points kept; the lowest half is forgotten over it */
  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#xs.length;
  }

  add(x: number, y: number): void {
    let at = firstAbove(this.#xs, x);
    if (at > 0 && (this.#ys[at - 1] ?? 0) >= y) return;
    if (at > 0 && this.#xs[at - 1] === x) at -= 1;
    let end = at;
    while (end < this.#ys.length && (this.#ys[end] ?? 0) <= y) end += 1;
    if (at === this.#xs.length) {
      this.#xs.push(x);
      this.#ys.push(y);
    } else {
      this.#xs.splice(at, end - at, x);
      this.#ys.splice(at, end - at, y);
    }
    if (this.#xs.length > this.#limit) {
      this.#xs.splice(0, this.#limit >> 1);
      this.#ys.splice(0, this.#limit >> 1);
    }
  }

  /** The greatest y known by x; -Infinity when nothing is. */
  highestBy(x: number): number {
    return this.#ys[firstAbove(this.#xs, x) - 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** The least x by which y is known to be reached; Infinity when it is not. */
  soonestReaching(y: number): number {
    return this.#xs[firstNotBelow(this.#ys, y)] ?? Number.POSITIVE_INFINITY;
  }
}

/** The first index whose number is above `bound`, in numbers that rise. */
export function firstAbove(numbers: readonly number[], bound: number): number {
  let [low, high] = [0, numbers.length];
  if (high > 0 && (numbers[high - 1] ?? 0) <= bound) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}

function firstNotBelow(numbers: readonly number[], bound: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) >= bound) high = middle;
    else low = middle + 1;
  }
  return low;
}
