/** A reader in a process of its own, which can be paused, killed and asked. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { CreateReaderOptions, ReaderStatus, ReadOptions } from '../../src/index.js';
import type { Answer, Readable } from './checker.js';
import { readerOptions } from './readers.js';

const CHILD = fileURLToPath(new URL('./reader-child.mjs', import.meta.url));

interface Message {
  readonly id?: number;
  readonly answer?: unknown;
  readonly error?: string;
  readonly started?: boolean;
  readonly page?: number;
  readonly rebase?: string;
}

interface Question {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class ReaderProcess implements Readable {
  /** Where each page of changes that it took in ended. */
  readonly pages: number[] = [];
  readonly rebases: string[] = [];
  readonly #child: ChildProcess;
  readonly #questions = new Map<number, Question>();
  #asked = 0;

  private constructor(
    readonly name: string,
    options: Partial<CreateReaderOptions>,
    started: () => void,
  ) {
    this.#child = fork(CHILD, [JSON.stringify(options)], { execArgv: [] });
    this.#child.on('message', (message: Message) => {
      if (message.started) started();
      if (message.page !== undefined) this.pages.push(message.page);
      if (message.rebase !== undefined) this.rebases.push(message.rebase);
      if (message.id !== undefined) this.#hear(message.id, message);
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#questions.values()) reject(new Error(`${name} has ended`));
      this.#questions.clear();
    });
  }

  /** A process whose reader runs; killed when the test is over. */
  static async start(
    name: string,
    urls: { readonly b: string; readonly redis: string },
    options: Partial<CreateReaderOptions> = {},
  ): Promise<ReaderProcess> {
    const { logger: _, ...plain } = readerOptions(urls, options);
    return await new Promise((resolve, reject) => {
      const made: ReaderProcess = new ReaderProcess(name, plain, () => resolve(made));
      onTestFinished(() => made.kill());
      made.#child.once('exit', (code) => reject(new Error(`${name} ended with ${code}: build?`)));
    });
  }

  async get(key: string, options: ReadOptions = {}): Promise<Answer> {
    return (await this.#ask({ ask: 'get', key, options })) as Answer; // reader-child.mjs says so
  }

  async getMany(keys: readonly string[]): Promise<(Answer & { key: string })[]> {
    return (await this.#ask({ ask: 'getMany', keys })) as (Answer & { key: string })[];
  }

  async status(): Promise<ReaderStatus> {
    return (await this.#ask({ ask: 'status' })) as ReaderStatus;
  }

  /** A metric's values, by their first label. */
  async metric(name: string): Promise<Record<string, number>> {
    const values = await this.#ask({ ask: 'metric', name });
    return Object.fromEntries(
      (values as { labels: Record<string, string>; value: number }[]).map(({ labels, value }) => [
        Object.values(labels)[0] ?? '',
        value,
      ]),
    );
  }

  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  #ask(question: object): Promise<unknown> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#questions.set(id, { resolve, reject });
      this.#child.send({ id, ...question }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  #hear(id: number, message: Message): void {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    if (message.error === undefined) question?.resolve(message.answer);
    else question?.reject(new Error(message.error));
  }
}
