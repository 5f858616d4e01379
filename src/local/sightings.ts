/**
 * Sightings: heads that answers were read at, and that lie beyond the instance's position.
 *
 * A fill may read MySQL-B at a head that no page has reached yet. If data center A then fails over
 * and loses those changes, no page will ever name them, and what was cached would stay. So each such
 * head is remembered until the log either confirms it or shows another row in its place. A head whose
 * row was missing (pruned) is remembered as that: a row that is gone comes back in another history only.
 */
import { fingerprintOf, type LogSnapshot, type Position } from '../core/position.js';

/** More distinct heads than this between two polls are not remembered one by one. */
const MOST = 10_000;

export class Sightings {
  readonly #fingerprints = new Map<number, string>();
  #newest = 0;
  /** The newest version at which two answers told different histories. */
  #contradictedAt: number | undefined;

  get newest(): number {
    return this.#newest;
  }

  add({ version, fingerprint }: Position): void {
    this.#newest = Math.max(this.#newest, version);
    const known = this.#fingerprints.get(version);
    if (known !== undefined && fingerprint !== '' && known !== fingerprint) {
      this.#contradictedAt = Math.max(version, this.#contradictedAt ?? 0);
    }
    if (known === undefined && this.#fingerprints.size < MOST) {
      this.#fingerprints.set(version, fingerprint);
    }
  }

  /** Whether `snapshot` tells another history than what was seen. */
  contradictedBy(snapshot: LogSnapshot): boolean {
    return (
      this.#contradictedAt !== undefined ||
      snapshot.rows.some((row) => {
        const seen = this.#fingerprints.get(row.version);
        return seen !== undefined && seen !== fingerprintOf(row);
      })
    );
  }

  /** Forgets what the log has confirmed, up to `version`. */
  confirm(version: number): void {
    for (const seen of this.#fingerprints.keys()) {
      if (seen <= version) this.#fingerprints.delete(seen);
    }
  }

  /** Nothing that was read at `version` or before is held or demanded any more. */
  forget(version: number): void {
    this.confirm(version);
    if ((this.#contradictedAt ?? version) <= version) this.#contradictedAt = undefined;
  }

  clear(): void {
    this.#fingerprints.clear();
    this.#newest = 0;
    this.#contradictedAt = undefined;
  }
}
