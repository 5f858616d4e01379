/**
 * Holds back what would be told again and again: of each kind the first one is told, and then one in
 * a while, with the number of those that were held back in between. An outage fills no disk.
 */
export class Repeats {
  readonly #kinds = new Map<string, { quietUntilMs: number; heldBack: number }>();

  constructor(
    private readonly quietMs: number,
    private readonly monotonicMs: () => number = () => performance.now(),
  ) {}

  /** Undefined when this one of its kind is held back. Kinds are few: codes, places in the code. */
  next(kind: string): { readonly heldBack: number } | undefined {
    const nowMs = this.monotonicMs();
    const seen = this.#kinds.get(kind);
    if (seen !== undefined && nowMs < seen.quietUntilMs) {
      seen.heldBack += 1;
      return undefined;
    }
    this.#kinds.set(kind, { quietUntilMs: nowMs + this.quietMs, heldBack: 0 });
    return { heldBack: seen?.heldBack ?? 0 };
  }
}
