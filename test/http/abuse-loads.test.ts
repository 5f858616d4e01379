/** Floods of misses: how many loads there are at once, and what becomes of the others. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Entry } from '../../src/core/entry.js';
import { UnavailableError } from '../../src/errors.js';
import { MAX_KEYS_IN_FLIGHT, MOST_TOGETHER } from '../../src/reader/loader.js';
import { loaderOn } from '../support/loader.js';

const AT = { version: 1, fingerprint: 'f' };

/** A MySQL-B that answers when it is told to. */
class HeldLog {
  inFlight = 0;
  most = 0;
  asked = 0;
  release: () => void = () => undefined;
  #open = new Promise<void>((resolve) => {
    this.release = resolve;
  });

  async fetch(keys: readonly string[]): Promise<Map<string, Entry>> {
    this.asked += 1;
    this.inFlight += 1;
    this.most = Math.max(this.most, this.inFlight);
    await this.#open;
    await Promise.resolve();
    this.inFlight -= 1;
    return new Map(keys.map((key) => [key, new Entry(AT, 0, null)]));
  }
}

test('a flood of misses: a bounded number waits, few ask MySQL-B, the others are told at once', async () => {
  const log = new HeldLog();
  const { loader, local, refused } = loaderOn(log);
  const flood = Array.from({ length: 20_000 }, (_, index) => loader.load(`k${index}`));
  expect(local.flights).toBeLessThanOrEqual(MAX_KEYS_IN_FLIGHT);
  const outcomes = Promise.allSettled(flood);
  log.release();
  const settled = await outcomes;
  const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  expect(failures.length).toBe(20_000 - MAX_KEYS_IN_FLIGHT);
  expect(failures.every((reason) => reason instanceof UnavailableError)).toBe(true);
  expect(refused.length).toBe(failures.length);
  expect(log.most).toBe(7); // one of the 8 connections is left for the poll
  expect([local.flights, local.absences]).toEqual([0, 100]);
});

test('what has waited past the time of a read is not asked any more', async () => {
  const log = new HeldLog();
  let nowMs = 0;
  const { loader, local } = loaderOn(log, () => nowMs);
  const flood = Array.from({ length: 16 * MOST_TOGETHER }, (_, index) => loader.load(`k${index}`));
  const outcomes = Promise.allSettled(flood);
  while (log.asked < 7) await sleep(1);
  nowMs = 2_001; // MySQL-B hung that long, and the callers are gone
  log.release();
  const settled = await outcomes;
  expect(log.asked).toBe(7);
  expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(7 * MOST_TOGETHER);
  expect(local.flights).toBe(0);
});

test('a flood on one key is one load', async () => {
  const log = new HeldLog();
  const { loader } = loaderOn(log);
  const flood = Array.from({ length: 20_000 }, () => loader.load('hot'));
  log.release();
  await Promise.all(flood);
  expect(log.asked).toBe(1);
});
