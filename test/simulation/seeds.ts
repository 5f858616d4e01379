/** Every seed that ever failed, and what it found. Each runs with the tests. */
import { drawnBefore, type Setting, settings } from './setting.js';

export interface FailedSeed {
  readonly seed: number;
  readonly steps: number;
  /** A named one; drawn from the seed when there is none. */
  readonly setting?: string | Setting;
  readonly found: string;
}

export const seeds: readonly FailedSeed[] = [
  {
    seed: 548,
    steps: 400,
    setting: 'audit',
    found:
      'a repair that was due when A failed over: the lost tail was taken for a lagging replica',
  },
  {
    seed: 508,
    steps: 3_000,
    setting: 'small',
    found: 'an old answer not marked stale: a heartbeat came between its load and its arrival',
  },
  {
    seed: 14,
    steps: 1_500,
    setting: 'usual',
    found: 'an as-of of a history that a failover had rewritten under the read',
  },
  {
    seed: 504,
    steps: 2_000,
    setting: drawnBefore(504),
    found: 'a load from before a failover, answered after it and then forgotten',
  },
  {
    seed: 2100,
    steps: 3_000,
    setting: drawnBefore(2100),
    found: 'a refresh with what a lagging replica had, over a newer answer that was pushed out',
  },
  {
    seed: 2346,
    steps: 3_000,
    setting: drawnBefore(2346),
    found: 'an answer of a lost history, not marked stale while the lost head was waited for',
  },
  {
    seed: 50056,
    steps: 9_200,
    setting: drawnBefore(50056),
    found: 'a head of a lost history, remembered through a rebase, started the reader again later',
  },
  {
    seed: 200419,
    steps: 4_000,
    setting: drawnBefore(200419),
    found: "a lagging replica's older heartbeat calibrated anew what guards against a slow clock",
  },
  {
    seed: 30018722,
    steps: 400,
    setting: drawnBefore(30018722),
    found: 'an answer read at a head whose row was missing from the log, held in the next history',
  },
  {
    seed: 141,
    steps: 400,
    setting: { ...settings.small, faults: ['redis'] },
    found: 'a page on its way was applied to a mark that was damaged meanwhile, and made it good',
  },
  {
    seed: 567,
    steps: 400,
    setting: 'large-pages',
    found: 'a page that was cut short, since its values are large, moved a mark back',
  },
  {
    seed: 400147,
    steps: 2_100,
    setting: drawnBefore(400147),
    found: 'a load of an expired key, older than the entry that a rebase had pushed out meanwhile',
  },
  {
    seed: 406,
    steps: 400,
    setting: 'refresh-lag',
    found: 'several keys read at once: one answer waited for another while history was rewritten',
  },
  {
    seed: 1194,
    steps: 400,
    setting: { ...settings.usual, faults: ['topology'] },
    found:
      'a read failed on a connection that was lost while it rested, though the server was there',
  },
  {
    seed: 484,
    steps: 400,
    setting: { ...settings.lag, faults: ['topology'] },
    found:
      'a SELECT that was sent again when its connection was lost: an answer of another history',
  },
  {
    seed: 362,
    steps: 400,
    setting: { ...settings.usual, faults: ['topology'] },
    found: 'the same, in the load of a page',
  },
  {
    seed: 1033,
    steps: 400,
    setting: { ...settings.usual, faults: ['topology', 'redis'] },
    found:
      'a load of a new history, taken for the truth at a position of the old one that came later',
  },
  {
    seed: 1348,
    steps: 400,
    setting: { ...settings.usual, faults: ['topology'] },
    found: 'the same, of another interleaving',
  },
  {
    seed: 946,
    steps: 400,
    setting: { ...settings.lag, faults: [], localTtlMs: 300 },
    found:
      'a log that went on, but never past all that was seen, was taken for one that lost its end',
  },
];
