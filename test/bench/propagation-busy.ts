/**
 * propagation-busy: 20 readers while tables that nobody tracks take 500 writes a second and more, so
 * that the replica applies something every other millisecond and next to none of it is news. What
 * does a change take then, and how often is MySQL-B polled? Against the same without early wake.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { alternate, type Figure, figureOf, percentileFigures, type Rounds } from './figure.js';
import { measure, type Pace } from './propagation.js';
import { ReadersProcess } from './readers-process.js';
import type { Stage } from './stage.js';

const READERS = 20;
const WRITES = { full: 200, quick: 6 };
const UNRELATED_PER_SECOND = 600;
const LANES = 6;
const MOST_POLLS_PER_SECOND = 50;
const MOST_MS = 30;
/** GETs are rarer than in a quiet system: the load's own process makes them. */
const PACE: Pace = { writesMs: 250, getsMs: 2 };

/** Of one side in one round. */
interface Measured {
  readonly latenciesMs: readonly number[];
  /** Per second and reader. */
  readonly polls: number;
  readonly unrelated: number;
}

export async function propagationBusy(
  stage: Stage,
  usualRounds: Rounds,
  quick: boolean,
): Promise<Figure[]> {
  const rounds = quick ? usualRounds.atMost(1) : usualRounds;
  const writes = Math.ceil((quick ? WRITES.quick : WRITES.full) / rounds.planned);
  const round = (earlyWake: 'auto' | 'off') => () => measureBusy(stage, earlyWake, writes);
  const [ours, peer] = await alternate(round('auto'), round('off'), rounds);
  const unrelated = Math.min(...[...ours, ...peer].map((one) => one.unrelated));
  const peerName = `early wake off, at least ${Math.round(unrelated)} unrelated writes/s`;
  return [
    ...percentileFigures(
      { name: 'propagation-busy', peerName, unit: 'ms', better: 'lower' },
      [{ percent: 50, target: { atMost: MOST_MS } }],
      ours.map(({ latenciesMs }) => latenciesMs),
      peer.map(({ latenciesMs }) => latenciesMs),
    ),
    figureOf(
      {
        name: 'propagation-busy polls per reader',
        peerName,
        unit: '1/s',
        better: 'lower',
        target: { atMost: MOST_POLLS_PER_SECOND },
      },
      ours.map(({ polls }) => polls),
      peer.map(({ polls }) => polls),
    ),
  ];
}

async function measureBusy(stage: Stage, earlyWake: 'auto' | 'off', writes: number) {
  const load = await UnrelatedLoad.start(stage.a);
  const start = async () => {
    const options = { count: READERS, mysql: stage.b, redis: stage.redis, earlyWake };
    const readers = await ReadersProcess.start(options);
    const before = await readers.ask('status');
    const [beganAtMs, unrelatedBefore] = [performance.now(), load.writes];
    const stop = async () => {
      const seconds = (performance.now() - beganAtMs) / 1000;
      unrelated = (load.writes - unrelatedBefore) / seconds;
      polls = ((await readers.ask('status')).polls - before.polls) / seconds / READERS;
      await readers.stop();
    };
    return { url: readers.url, stop };
  };
  let [polls, unrelated] = [0, 0];
  const latenciesMs = await measure(stage, start, writes, PACE);
  await load.stop();
  const measured: Measured = { latenciesMs, polls, unrelated };
  return measured;
}

/** One-row updates of a table that is not tracked, at an even pace. */
class UnrelatedLoad {
  writes = 0;
  #isOver = false;
  readonly #lanes: Promise<void>[];

  private constructor(private readonly a: string) {
    this.#lanes = Array.from({ length: LANES }, (_, lane) => this.#run(lane));
  }

  static async start(a: string): Promise<UnrelatedLoad> {
    const connection = await createConnection(a);
    await connection.query('CREATE TABLE IF NOT EXISTS unrelated (id INT PRIMARY KEY, n BIGINT)');
    for (let lane = 0; lane < LANES; lane++) {
      await connection.query('REPLACE INTO unrelated VALUES (?, 0)', [lane]);
    }
    await connection.end();
    return new UnrelatedLoad(a);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }

  async #run(lane: number): Promise<void> {
    const connection = await createConnection(this.a);
    const everyMs = (1000 * LANES) / UNRELATED_PER_SECOND;
    for (let dueAtMs = performance.now(); !this.#isOver; dueAtMs += everyMs) {
      await delay(Math.max(0, dueAtMs - performance.now()));
      await connection.execute('UPDATE unrelated SET n = n + 1 WHERE id = ?', [lane]);
      this.writes += 1;
    }
    await connection.end();
  }
}
