/** `tidemark demo`: both data centers on this machine, for a person to watch or a program to use. */
import type { Flavor } from '../demo/data-centers.js';
import { liveView } from '../demo/live-view.js';
import { Propagation } from '../demo/propagation.js';
import { SAMPLE_SEED, seededRandom } from '../demo/sample-configs.js';
import { reportDeaths, type Stage, type StageDescription, startStage } from '../demo/stage.js';
import { StagePage } from '../demo/stage-page.js';
import { InvalidOptionsError } from '../errors.js';

export interface DemoCommandOptions {
  readonly flavor?: Flavor | undefined;
  readonly readers?: number | undefined;
  /** One line of JSON on stdout when all is ready, nothing else. */
  readonly json?: boolean | undefined;
}

/** The line that `--json` prints. */
export interface DemoDescription extends StageDescription {
  /** The URL of the demo's page. */
  readonly page: string;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const MOST_READERS = 16;
/** One Ctrl-C can arrive twice, from the terminal and from npm: that is not impatience yet. */
const IMPATIENT_AFTER_MS = 1_000;

/** Resolves after a signal, when everything is gone again. A read app that dies is reported
 * and not replaced: the others go on. */
export async function demoCommand(options: DemoCommandOptions): Promise<void> {
  const { flavor = 'mysql', readers = 2, json = false } = options;
  if (readers < 1 || readers > MOST_READERS) {
    throw new InvalidOptionsError([`--readers: Expected 1 to ${MOST_READERS}, got ${readers}`]);
  }
  const ending = endOnSignal();
  const onStep = json ? () => {} : (step: string) => print(`${step} ...`);
  let stage: Stage;
  try {
    stage = await startStage({ flavor, readers, signal: ending, onStep });
  } catch (error) {
    if (ending.aborted) return;
    throw error;
  }
  try {
    await show(stage, json, ending);
  } finally {
    await stage.stop();
  }
}

/** Until `ending` is aborted. */
async function show(stage: Stage, json: boolean, ending: AbortSignal): Promise<void> {
  const random = seededRandom(SAMPLE_SEED + 1);
  const propagation = new Propagation({ stage, random, writes: !json });
  const page = await StagePage.open(stage, propagation);
  try {
    if (json) {
      reportDeaths(stage, ending, (report) => process.stderr.write(`tidemark: ${report}\n`));
      const description: DemoDescription = { ...stage.description, page: page.url };
      print(JSON.stringify(description));
      await Promise.race([page.viewed, untilAborted(ending)]); // until then nothing is asked of A
      await propagation.run(ending);
    } else {
      await liveView({ stage, propagation, pageUrl: page.url, signal: ending });
    }
    await untilAborted(ending);
  } finally {
    await page.close();
  }
}

function endOnSignal(): AbortSignal {
  const ending = new AbortController();
  let askedAtMs = 0;
  const ask = () => {
    if (!ending.signal.aborted) {
      askedAtMs = performance.now();
      ending.abort();
    } else if (performance.now() - askedAtMs > IMPATIENT_AFTER_MS) {
      process.exit(1); // which kills all that runs, see exit.ts
    }
  };
  for (const signal of SIGNALS) process.on(signal, ask);
  process.stdout.on('error', ask); // its reader is gone: nobody is watching
  process.stderr.on('error', () => {});
  return ending.signal;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  // Signal listeners and child processes may be all that is left, and they keep nobody alive.
  const staying = setInterval(() => {}, 2 ** 30);
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      clearInterval(staying);
      resolve();
    });
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
