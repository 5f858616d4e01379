/**
 * What a person sees of the demo: a view that is drawn again and again in a terminal, plain lines
 * anywhere else. NO_COLOR is respected.
 */
import { createLogUpdate } from 'log-update';
import pico from 'picocolors';
import { Propagation } from './propagation.js';
import { SAMPLE_SEED, seededRandom } from './sample-configs.js';
import { changeLine, introduction, liveScreen, summary } from './screen.js';
import type { Stage } from './stage.js';

const REDRAW_MS = 100;
const USUAL_SIZE = { columns: 80, rows: 24 };

/** Writes, measures and shows until `signal` is aborted. */
export async function liveView(stage: Stage, signal: AbortSignal): Promise<void> {
  const { stdout } = process;
  const isTerminal = stdout.isTTY && process.env.TERM !== 'dumb';
  const colors = pico.createColors(isTerminal && pico.isColorSupported);
  const print = (line: string) => stdout.write(`${line}\n`);
  for (const line of introduction(stage, colors)) print(line);
  const random = seededRandom(SAMPLE_SEED + 1);
  if (isTerminal) {
    const propagation = new Propagation({ stage, random });
    const clear = redraw(propagation, stdout);
    await propagation.run(signal).finally(clear);
    print(
      `\n${propagation.all.count} reads measured: ${summary(propagation.all)}. Cleaning up ...`,
    );
  } else {
    const propagation: Propagation = new Propagation({
      stage,
      random,
      onSettled: (change) => print(changeLine(change, propagation.all)),
    });
    await propagation.run(signal);
  }
}

/** @returns a function that ends it, and leaves the last view where it is */
function redraw(propagation: Propagation, stdout: NodeJS.WriteStream): () => void {
  const update = createLogUpdate(stdout);
  const colors = pico.createColors(pico.isColorSupported);
  const draw = () => {
    const { columns, rows } = { ...USUAL_SIZE, ...sizeOf(stdout) };
    update(liveScreen(propagation, { columns, rows }, colors));
  };
  const timer = setInterval(draw, REDRAW_MS);
  return () => {
    clearInterval(timer);
    draw();
    update.done();
  };
}

/** A terminal can say 0 for what it does not know. */
function sizeOf({ columns, rows }: NodeJS.WriteStream): { columns?: number; rows?: number } {
  return { ...(columns > 0 ? { columns } : {}), ...(rows > 0 ? { rows } : {}) };
}
