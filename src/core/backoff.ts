/** Delays between polls. Jitter keeps a fleet of readers from polling in step. */

/** `intervalMs` +- 10 %; `random` is in [0, 1). */
export function jittered(intervalMs: number, random: number): number {
  return intervalMs * (0.9 + 0.2 * random);
}

/** Doubles from `baseMs` with each failure in a row (1, 2, ...) up to `maxMs`, then jitters. */
export function backoffMs(failures: number, baseMs: number, maxMs: number, random: number): number {
  return jittered(Math.min(maxMs, baseMs * 2 ** Math.min(30, Math.max(0, failures - 1))), random);
}
