/**
 * Runs suites on one flavor after the other, each within its share of the time.
 *
 * Invariant: whatever a suite does, the others run, and its own name is among the figures: a suite
 * that throws, or does not end, is one failed figure.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Flavor } from '../../src/demo/data-centers.js';
import { type Figure, failure, Rounds } from './figure.js';
import { Stage } from './stage.js';
import type { Suite } from './suites.js';

export interface Plan {
  readonly suites: readonly Suite[];
  readonly flavors: readonly Flavor[];
  readonly quick: boolean;
}

const ROUNDS = { full: 7, quick: 3 };
/** All together. A suite is measured in fewer rounds when its share of what is left is over. */
const MOST_MS = { full: Number.POSITIVE_INFINITY, quick: 150_000 };
/** A suite's share, however late it is. */
const LEAST_MS = 1_000;
/** One suite, after which it is given up; in quick runs so many shares of what is left. */
const GIVE_UP_MS = 20 * 60_000;
const GIVE_UP_SHARES = 4;

/** @param onFigure told of each as soon as it is there */
export async function run(plan: Plan, onFigure: (figure: Figure) => void): Promise<void> {
  const size = plan.quick ? 'quick' : 'full';
  const endMs = performance.now() + MOST_MS[size];
  const byFlavor = plan.flavors.map((flavor, index) => ({
    flavor,
    suites: plan.suites.filter(({ onEachFlavor }) => onEachFlavor || index === 0),
  }));
  let left = byFlavor.reduce((sum, { suites }) => sum + suites.length, 0);
  for (const { flavor, suites } of byFlavor) {
    if (suites.length === 0) continue;
    const stage = await Stage.open(flavor).catch((error: unknown) => {
      for (const suite of suites) onFigure(named(suite, flavor, failure(suite.name, error)));
    });
    if (stage === undefined) continue;
    for (const suite of suites) {
      const shareMs = Math.max(LEAST_MS, (endMs - performance.now()) / left--);
      const giveUpMs = Math.min(GIVE_UP_MS, shareMs * GIVE_UP_SHARES);
      const rounds = new Rounds(ROUNDS[size], performance.now() + shareMs);
      const run = () => suite.run(stage, rounds, plan.quick);
      for (const figure of await figuresOf(suite.name, run, giveUpMs)) {
        onFigure(named(suite, flavor, figure));
      }
      await stage.clear().catch((error: unknown) => {
        onFigure(named(suite, flavor, failure(`${suite.name}, after it`, error)));
      });
    }
    await stage.stop();
  }
}

/** What `run` brings, or the failure that it ended with, or that it did not end in time. */
export async function figuresOf(
  name: string,
  run: () => Promise<Figure[]>,
  mostMs: number,
): Promise<Figure[]> {
  const over = new AbortController();
  const late = delay(mostMs, undefined, { signal: over.signal }).then(() => {
    // What it still does fails now and then, as what it works with is closed.
    process.on('unhandledRejection', () => undefined);
    throw new Error(`Expected an end within ${Math.round(mostMs / 1000)} s, there was none`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([run(), late]);
  } catch (error) {
    return [failure(name, error)];
  } finally {
    over.abort();
  }
}

function named({ onEachFlavor }: Suite, flavor: Flavor, figure: Figure): Figure {
  return onEachFlavor ? { ...figure, flavor } : figure;
}
