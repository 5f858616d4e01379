/** A reader that is embedded in a process of its own, as a place in a run. */
import { atExit } from '../../src/demo/exit.js';
import { type AgentOptions, ReaderAgent } from './agent.js';
import type { FaultProxy } from './proxy.js';
import type { ReaderPlace } from './reader-place.js';

export class AgentPlace implements ReaderPlace {
  #agent: ReaderAgent | undefined;
  #shiftMs = 0;
  #forget: () => void = () => {};

  constructor(
    readonly name: string,
    readonly mysql: FaultProxy,
    readonly redis: readonly FaultProxy[],
    private readonly options: AgentOptions,
  ) {}

  get deaths(): readonly string[] {
    return this.#agent?.deaths ?? [];
  }

  async start(): Promise<void> {
    this.#shiftMs = 0;
    if (this.#agent !== undefined) return await this.#agent.restart();
    const agent = await ReaderAgent.start(this.name, this.options);
    this.#agent = agent;
    // A process that is stopped does not notice that its parent is gone.
    this.#forget = atExit(() => void agent.kill());
  }

  async kill(): Promise<void> {
    await this.#agent?.kill();
    this.#forget();
  }

  async stop(): Promise<void> {
    await this.#agent?.stop();
  }

  pause(): void {
    this.#agent?.pause();
  }

  resume(): void {
    this.#agent?.resume();
  }

  async applied(): Promise<number | undefined> {
    try {
      const status = await this.#agent?.status();
      return status?.ready ? status.applied : undefined;
    } catch {
      return undefined; // it has ended, or does not answer
    }
  }

  async setClock(aheadMs: number): Promise<void> {
    await this.#agent?.clockJump(aheadMs - this.#shiftMs);
    this.#shiftMs = aheadMs;
  }

  async answers(keys: readonly string[]): Promise<Map<string, string | null>> {
    return (await this.#agent?.dump(keys)) ?? new Map();
  }

  async stopReading(): Promise<void> {
    if (this.#agent?.running) await this.#agent.stopReading();
  }

  wrote(key: string, version: number): void {
    this.#agent?.wrote(key, version);
  }

  forgetWrites(): void {
    this.#agent?.forgetWrites();
  }
}
