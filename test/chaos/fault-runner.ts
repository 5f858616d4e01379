/**
 * Carries out a schedule. What is planned is a function of the seed; when it happens also depends on
 * the machine: a fault waits until its targets are free, and an overdue one comes late.
 *
 * Between two waves all faults are over. Then the time to convergence is measured: from the end of
 * the last undo until every reader has applied the head that A had then.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault, Undo } from './fault.js';
import { nowMs } from './now.js';
import { Random } from './random.js';
import type { SoFar } from './report.js';
import type { Planned } from './schedule.js';
import type { Stage } from './stage.js';

export interface FaultRunnerOptions {
  readonly stage: Stage;
  readonly faults: readonly Fault[];
  readonly planned: readonly Planned[];
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

interface Active {
  readonly planned: Planned;
  readonly over: Promise<void>;
}

/** A reader that has not come a version nearer for so long is stuck. */
const STUCK_AFTER_MS = 90_000;
/** Replication that has not come back by itself is started again, as an operator would. */
const REPLICATION_STUCK_AFTER_MS = 30_000;
const CONVERGENCE_POLL_MS = 25;

export class FaultRunner {
  readonly counts: Record<string, number> = {};
  readonly convergencesMs: number[] = [];
  readonly #active = new Set<Active>();
  startedMs = 0;
  #failure: unknown;

  constructor(private readonly options: FaultRunnerOptions) {}

  get activeNames(): string[] {
    return [...this.#active].map(({ planned }) => planned.name);
  }

  /** Until all that was planned has happened, or the time is over; then all faults are undone.
   * @throws Error when a fault could not be made or undone */
  async run(): Promise<void> {
    const { planned, seconds, signal } = this.options;
    const startMs = nowMs();
    this.startedMs = startMs;
    let wave = 0;
    for (const one of planned) {
      if (one.wave !== wave) {
        await this.#calm();
        wave = one.wave;
      }
      await this.#until(startMs + one.atMs);
      await this.#targetsFree(one);
      if (signal.aborted || this.#failure !== undefined) break;
      if (nowMs() - startMs > seconds * 1_000) break;
      this.#begin(one, nowMs() - startMs);
      if (one.alone) await this.#allOver();
    }
    await this.#calm();
  }

  /** All faults over, all readers where A is. */
  async #calm(): Promise<void> {
    await this.#allOver();
    if (this.#failure !== undefined) throw this.#failure;
    if (this.options.signal.aborted) return;
    const { stage, signal, say } = this.options;
    const tookMs = await convergence(stage, signal, say);
    this.convergencesMs.push(tookMs);
    say(`all faults over, converged after ${Math.round(tookMs)} ms`);
  }

  #begin(planned: Planned, atMs: number): void {
    const fault = this.options.faults.find(({ name }) => name === planned.name);
    if (fault === undefined) throw new RangeError(`Expected a fault, got ${planned.name}.`);
    this.counts[planned.name] = (this.counts[planned.name] ?? 0) + 1;
    const seconds = (planned.lastsMs / 1_000).toFixed(1);
    const on = planned.targets.join('+');
    this.options.say(`${(atMs / 1_000).toFixed(1)} s  ${planned.name} on ${on} for ${seconds} s`);
    const over = this.#carryOut(fault, planned)
      .catch((error: unknown) => {
        const what = `Expected to make and undo ${planned.name}, it failed.`;
        this.#failure ??= new Error(what, { cause: error });
      })
      .finally(() => this.#active.delete(active));
    const active = { planned, over };
    this.#active.add(active);
  }

  async #carryOut(fault: Fault, { targets, lastsMs, seed }: Planned): Promise<void> {
    const { stage, signal } = this.options;
    const undo: Undo | undefined = await fault.start(stage, targets[0] ?? '', new Random(seed));
    if (undo === undefined) return;
    await delay(lastsMs, undefined, { signal }).catch(() => undefined); // then it ends sooner
    await undo();
  }

  async #until(atMs: number): Promise<void> {
    const waitMs = atMs - nowMs();
    if (waitMs > 0) {
      await delay(waitMs, undefined, { signal: this.options.signal }).catch(() => undefined); // `run` looks
    }
  }

  async #targetsFree({ targets, alone }: Planned): Promise<void> {
    if (alone) return await this.#allOver();
    const inTheWay = [...this.#active].filter((one) =>
      one.planned.targets.some((target) => targets.includes(target)),
    );
    await Promise.all(inTheWay.map(({ over }) => over));
  }

  async #allOver(): Promise<void> {
    await Promise.all([...this.#active].map(({ over }) => over));
  }
}

/** How long until every reader has applied what A has now. On a machine that is busy with other runs
 * that may take long, so it counts whether they come nearer.
 * @throws NotConvergedError when one of them is stuck */
export async function convergence(
  stage: Stage,
  signal: AbortSignal,
  say: (line: string) => void = () => {},
): Promise<number> {
  const head = await stage.servers.headOfA();
  const startMs = nowMs();
  const waiting = new Set(stage.readers);
  const seen = new Map<string, number>();
  let movedMs = startMs;
  let isReplicationStarted = false;
  while (waiting.size > 0 && !signal.aborted) {
    for (const reader of waiting) {
      const applied = await reader.applied();
      // One that has not noticed a failover yet is beyond what A has.
      if (applied !== undefined && applied >= head && applied <= (await stage.servers.headOfA())) {
        waiting.delete(reader);
      }
      if (applied === undefined || seen.get(reader.name) === applied) continue;
      seen.set(reader.name, applied);
      movedMs = nowMs();
    }
    if (!isReplicationStarted && nowMs() - movedMs > REPLICATION_STUCK_AFTER_MS) {
      isReplicationStarted = true;
      await startReplicationAgain(stage, head, say);
    }
    if (nowMs() - movedMs > STUCK_AFTER_MS) {
      const behind = [...waiting].map(
        ({ name }) => `${name} (at ${seen.get(name) ?? 'no answer'})`,
      );
      const inB = await stage.servers.headOfB().catch((error: unknown) => String(error));
      throw new NotConvergedError(behind.join(', '), head, inB);
    }
    if (waiting.size > 0) await delay(CONVERGENCE_POLL_MS);
  }
  return nowMs() - startMs;
}

async function startReplicationAgain(
  { servers }: Stage,
  head: number,
  say: (line: string) => void,
): Promise<void> {
  const inB = await servers.headOfB();
  if (inB >= head) return;
  say(`B stays at ${inB} (${await servers.replicationOfB()}): its replication is started again`);
  await servers.stopReplication(servers.b);
  await servers.startReplication(servers.b);
}

/** A finding: nothing is wrong any more, and no reader that is behind comes nearer. */
export class NotConvergedError extends Error {
  override readonly name = 'NotConvergedError';
  /** What the run had found by then, this included. */
  soFar?: SoFar;

  constructor(readers: string, head: number, inB: number | string) {
    const within = `, no step in ${STUCK_AFTER_MS / 1_000} s`;
    super(`Expected ${readers} to reach version ${head}${within}; MySQL-B is at ${inB}.`);
  }
}
