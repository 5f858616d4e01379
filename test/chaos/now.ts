/** The clock of all that is recorded in a run: CLOCK_MONOTONIC, which all processes share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
