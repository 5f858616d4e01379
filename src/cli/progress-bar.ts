/**
 * How far a long command is, in a terminal; nothing anywhere else.
 *
 * Invariant: the terminal is left as it was found, also when a signal ends the process: the cursor
 * is to be seen, long lines go on in the next one, and no bar stays behind.
 */
import { SingleBar } from 'cli-progress';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export class ProgressBar {
  readonly #bar: SingleBar;
  readonly #stream: NodeJS.WriteStream;

  constructor(what: string, stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
    this.#bar = new SingleBar({
      format: `${what} [{bar}] {percentage} %, {value} of {total}, {eta_formatted} left`,
      stream,
      clearOnComplete: true,
      barsize: 24,
      hideCursor: true,
      etaBuffer: 200,
    });
  }

  /** @param total asked only in a terminal */
  async start(total: () => Promise<number>): Promise<void> {
    if (!this.#stream.isTTY) return;
    const steps = await total();
    for (const signal of SIGNALS) process.on(signal, this.#end); // before the cursor is hidden
    this.#bar.start(steps, 0);
  }

  advance(steps: number): void {
    this.#bar.increment(steps);
  }

  stop(): void {
    for (const signal of SIGNALS) process.off(signal, this.#end);
    this.#bar.stop();
  }

  readonly #end = (signal: NodeJS.Signals) => {
    this.stop();
    process.kill(process.pid, signal); // now with the default effect: the exit status is a signal's
  };
}
