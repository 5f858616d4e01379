/**
 * What a person sees of the demo: a view that is drawn again and again in a terminal, plain lines
 * anywhere else. NO_COLOR is respected.
 */
import { createLogUpdate } from 'log-update';
import pico from 'picocolors';
import type { Propagation } from './propagation.js';
import { changeLine, introduction, liveScreen, summary } from './screen.js';
import { reportDeaths, type Stage } from './stage.js';

const REDRAW_MS = 100;
/** Of the view, besides one for each reader: headings, the sum, three changes. */
const LEAST_ROWS = 7;
const USUAL_SIZE = { columns: 80, rows: 24 };

export interface LiveViewOptions {
  readonly stage: Stage;
  readonly propagation: Propagation;
  /** Of the demo's page. */
  readonly pageUrl: string;
  readonly signal: AbortSignal;
}

/** Writes, measures and shows until `signal` is aborted. */
export async function liveView(options: LiveViewOptions): Promise<void> {
  const { stage, propagation, pageUrl, signal } = options;
  const { stdout } = process;
  const isTerminal = stdout.isTTY === true && process.env.TERM !== 'dumb';
  const colors = pico.createColors(isTerminal && pico.isColorSupported);
  const print = (line: string) => stdout.write(`${line}\n`);
  const above = introduction(stage, pageUrl, colors);
  for (const line of above) print(line);
  if (isTerminal) {
    const update = createLogUpdate(stdout);
    reportDeaths(stage, signal, (text) => update.persist(colors.red(text)));
    const end = redraw(propagation, update, { stdout, colors, rowsAbove: above.length });
    await propagation.run(signal).finally(end);
    print(
      `\n${propagation.all.count} reads measured: ${summary(propagation.all)}. Cleaning up ...`,
    );
  } else {
    propagation.on('settled', (change) => print(changeLine(change, propagation.all)));
    reportDeaths(stage, signal, (text) => process.stderr.write(`tidemark: ${text}\n`));
    await propagation.run(signal);
  }
}

interface Terminal {
  readonly stdout: NodeJS.WriteStream;
  readonly colors: ReturnType<typeof pico.createColors>;
  /** Taken by the introduction. */
  readonly rowsAbove: number;
}

/** Fills what is left of the terminal below the introduction, and more than that of a small one.
 * @returns a function that ends it, and leaves the last view where it is */
function redraw(
  propagation: Propagation,
  update: ReturnType<typeof createLogUpdate>,
  { stdout, colors, rowsAbove }: Terminal,
): () => void {
  const draw = () => {
    const { columns, rows } = { ...USUAL_SIZE, ...sizeOf(stdout) };
    const least = propagation.readers.length + LEAST_ROWS;
    const room = Math.min(Math.max(rows - 1 - rowsAbove, least), Math.max(rows - 1, 1));
    update(liveScreen(propagation, { columns, rows: room }, colors));
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
