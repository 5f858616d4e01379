/** Readers in a process of their own: see readers-child.ts. Asked one question at a time. */
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ReaderSettings } from '../../src/reader/create-reader.js';

const CHILD = fileURLToPath(new URL('./readers-child.ts', import.meta.url));
const LOOK_AGAIN_MS = 20;

export interface ReadersOptions extends Partial<ReaderSettings> {
  readonly count: number;
  readonly mysql: string;
  readonly redis: string;
}

export interface Watched {
  readonly memoryMiB: number;
  readonly peakMiB: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

/** What can be asked, and what the answer is. */
export interface Answers {
  readonly status: { readonly applied: number; readonly polls: number };
  readonly hold: { readonly bytes: number; readonly entries: number };
  readonly watch: Watched;
}

export interface Question {
  readonly ask: keyof Answers;
  readonly keys: readonly string[];
}

interface Reply {
  readonly answer?: unknown;
  readonly error?: string;
}

export class ReadersProcess {
  private constructor(
    /** Of the first reader's read app. */
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(options: ReadersOptions): Promise<ReadersProcess> {
    const child = fork(CHILD, { env: { ...process.env, READERS: JSON.stringify(options) } });
    return new ReadersProcess(String(await answerOf(child)), child);
  }

  async ask<Name extends keyof Answers>(
    ask: Name,
    keys: readonly string[] = [],
  ): Promise<Answers[Name]> {
    const answer = answerOf(this.child);
    this.child.send({ ask, keys } satisfies Question);
    return (await answer) as Answers[Name]; // readers-child.ts says so
  }

  /** Until all readers have applied this version. */
  async reach(version: number): Promise<void> {
    while ((await this.ask('status')).applied < version) await delay(LOOK_AGAIN_MS);
  }

  async stop(): Promise<void> {
    this.child.kill();
  }
}

function answerOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`The readers ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', ({ answer, error }: Reply) => {
      child.off('exit', onExit);
      if (error === undefined) resolve(answer);
      else reject(new Error(error));
    });
  });
}
