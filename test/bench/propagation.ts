/**
 * propagation: from the answer to a commit in A to the first GET in B with the new value, one write
 * at a time and nothing else to do, against a binlog listener on B that does the least that such a
 * design can do. Both are processes of their own, are asked in the same way, and replace what they hold
 * of a key that changed; what Tidemark takes when it evicts instead, which is its default, stands beside.
 * propagation-poll: the same without early wake, against the poll interval itself.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createConnection } from 'mysql2/promise';
import { AppProcess } from '../../src/demo/app-process.js';
import { alternate, type Figure, percentileFigures, type Rounds } from './figure.js';
import { HttpPoll } from './http-poll.js';
import type { Stage } from './stage.js';

const LISTENER = fileURLToPath(new URL('./binlog-listener.ts', import.meta.url));
export const KEY = 'checkout/limits/propagation';
const WRITES = { full: 200, quick: 60 };
const POLL_WRITES = { full: 200, quick: 12 };
const UNCOUNTED = 3;
const UNWRITTEN = '{}';
const POLL_INTERVAL_MS = 250;
const GRACE_MS = 20;
/** After which nothing of the last write is under way. */
const REST_MS = 20;

/** How one side is asked. */
export interface Pace {
  /** Between writes, at most: of a poll interval and more, so that a write comes at any point of
   * it, if polls matter. */
  readonly writesMs: number;
  /** Between GETs: what is measured may be so much too long. */
  readonly getsMs: number;
}

const CLOSE: Pace = { writesMs: 20, getsMs: 0.2 };

/** Something that answers GETs in B. */
export interface Served {
  readonly url: string;
  readonly stop: () => Promise<unknown>;
}

export async function propagation(stage: Stage, rounds: Rounds, quick: boolean): Promise<Figure[]> {
  const writes = Math.ceil((quick ? WRITES.quick : WRITES.full) / rounds.planned);
  const latencies = (start: () => Promise<Served>) => () => measure(stage, start, writes, CLOSE);
  const readApp = (ON_CHANGE: string) => () =>
    startReadApp(stage, { EARLY_WAKE: 'auto', ON_CHANGE });
  const listener = () => startListener(stage);
  const common = { peerName: 'binlog listener', unit: 'ms', better: 'lower' } as const;
  const refreshing = percentileFigures(
    { ...common, name: 'propagation' },
    [
      { percent: 50, target: 1 },
      { percent: 99, target: 1.2 },
    ],
    ...(await alternate(latencies(readApp('refresh')), latencies(listener), rounds)),
  );
  if (quick) return refreshing;
  const evicting = percentileFigures(
    { ...common, name: 'propagation, evicting' },
    [{ percent: 50, target: 'none' }],
    ...(await alternate(latencies(readApp('evict')), latencies(listener), rounds.atMost(3))),
  );
  return [...refreshing, ...evicting];
}

export async function propagationPoll(
  stage: Stage,
  rounds: Rounds,
  quick: boolean,
): Promise<Figure[]> {
  const writes = Math.ceil((quick ? POLL_WRITES.quick : POLL_WRITES.full) / rounds.planned);
  const settings = { EARLY_WAKE: 'off', POLL_INTERVAL_MS: String(POLL_INTERVAL_MS) };
  const pace = { ...CLOSE, writesMs: POLL_INTERVAL_MS };
  const ours: number[][] = [];
  for (let round = 0; rounds.hasMore(round); round++) {
    ours.push(await measure(stage, () => startReadApp(stage, settings), writes, pace));
  }
  return percentileFigures(
    { name: 'propagation-poll', peerName: 'the poll interval', unit: 'ms', better: 'lower' },
    [{ percent: 99, target: { atMost: POLL_INTERVAL_MS + GRACE_MS } }],
    ours,
    ours.map(() => [POLL_INTERVAL_MS]),
  );
}

/** @returns ms, one of each write */
export async function measure(
  stage: Stage,
  start: () => Promise<Served>,
  writes: number,
  pace: Pace,
): Promise<number[]> {
  await stage.fill(new Map([[KEY, Buffer.from(UNWRITTEN)]]));
  await stage.centers.caughtUp();
  const served = await start();
  try {
    return await latenciesOf(stage, served.url, writes, pace);
  } finally {
    await served.stop();
  }
}

/** Writes the key in A again and again, and waits each time until `url` answers it. */
async function latenciesOf(
  stage: Stage,
  url: string,
  writes: number,
  pace: Pace,
): Promise<number[]> {
  const a = await createConnection(stage.a);
  const poll = new HttpPoll(`${url}/v1/configs/${KEY}`, pace.getsMs);
  await poll.until(UNWRITTEN); // both hold the key: a fill under way may outlive an event in the listener
  const latencies: number[] = [];
  for (let write = -UNCOUNTED; write < writes; write++) {
    const value = JSON.stringify({ write, at: Date.now() });
    await a.execute('UPDATE configs SET config_value = ? WHERE config_key = ?', [value, KEY]);
    const committedAtMs = performance.now();
    await poll.until(value);
    if (write >= 0) latencies.push(performance.now() - committedAtMs);
    await delay(REST_MS + pace.writesMs * Math.random());
  }
  poll.close();
  await a.end();
  return latencies;
}

async function startReadApp(stage: Stage, settings: NodeJS.ProcessEnv): Promise<Served> {
  const app = await AppProcess.spawn({
    name: 'read app',
    command: 'read',
    env: { MYSQL_B_URL: stage.b, REDIS_URL: stage.redis, LOG_LEVEL: 'warn', ...settings },
  });
  stage.after(() => app.stop());
  await app.untilReady(new AbortController().signal);
  return app;
}

async function startListener(stage: Stage): Promise<Served> {
  const options = { mysql: stage.centers.b.endpoint, redis: stage.redis };
  const env = { ...process.env, LISTENER: JSON.stringify(options) };
  const child = fork(LISTENER, { env });
  const stop = async () => child.kill();
  stage.after(stop);
  const [url] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error('Expected the binlog listener to start, but it ended');
    }),
  ]);
  return { url, stop };
}
