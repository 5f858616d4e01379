/**
 * The demo's own page: type a value in data center A, watch each reader of B turn, see the ms.
 *
 * It is served on a loopback port and talks to nobody but this process, which writes through the
 * write app (its token stays here) and measures at the readers. Invariant: it does what a page of
 * its own asks for, and nobody else's: a page of another site can send it no JSON, and a name that
 * someone else points at this machine is not taken for this machine's.
 */
import { PassThrough } from 'node:stream';
import Fastify, { type FastifyInstance } from 'fastify';
import { fileRoutes, publicFile } from '../http/page/files.js';
import { isLoopback } from '../http/serve.js';
import type { Propagation } from './propagation.js';
import { sampleConfigs } from './sample-configs.js';
import { LOOPBACK } from './server-process.js';
import type { Stage } from './stage.js';

const SHARED = ['base.css', 'icon.svg', 'dom.js', 'format.js'];
const OWN = ['stage.css', 'stage.js'];
/** Viewers get the state when it changes, but not more often than this, and now and then anyway. */
const TELL_EVERY_MS = 40;
const TELL_ANYWAY_MS = 1_000;
const MOST_CHANGES = 20;
/** A viewer that does not take what it got is told nothing more until it does. */
const MOST_UNSENT_BYTES = 256 * 1024;

export class StagePage {
  /** Resolves when someone has opened the page. */
  readonly viewed: Promise<void>;
  readonly #stage: Stage;
  readonly #propagation: Propagation;
  readonly #server: FastifyInstance = Fastify({ forceCloseConnections: true });
  readonly #viewers = new Set<PassThrough>();
  readonly #anyway: NodeJS.Timeout;
  #telling: NodeJS.Timeout | undefined;
  #url = '';
  #view: () => void = () => undefined;

  private constructor(stage: Stage, propagation: Propagation) {
    this.#stage = stage;
    this.#propagation = propagation;
    this.viewed = new Promise((resolve) => {
      this.#view = resolve;
    });
    this.#anyway = setInterval(() => this.#tell(), TELL_ANYWAY_MS);
    propagation.on('progress', () => {
      this.#telling ??= setTimeout(() => this.#tell(), TELL_EVERY_MS);
    });
    this.#routes(this.#server);
  }

  static async open(stage: Stage, propagation: Propagation): Promise<StagePage> {
    const page = new StagePage(stage, propagation);
    page.#url = await page.#server.listen({ host: LOOPBACK, port: 0 });
    return page;
  }

  get url(): string {
    return this.#url;
  }

  async close(): Promise<void> {
    clearInterval(this.#anyway);
    clearTimeout(this.#telling);
    for (const viewer of this.#viewers) viewer.end();
    await this.#server.close();
  }

  #routes(server: FastifyInstance): void {
    server.removeContentTypeParser('text/plain'); // what a page of another site may send
    server.addHook('onRequest', async (request, reply) => {
      if (isLoopback(request.hostname)) return;
      await reply.code(403).send({ detail: `Expected this machine's name, got another.` });
    });
    fileRoutes(server, [
      { url: '/', file: new URL('public/stage.html', import.meta.url) },
      ...SHARED.map((name) => ({ url: `/page/${name}`, file: publicFile(name) })),
      ...OWN.map((name) => ({
        url: `/page/${name}`,
        file: new URL(`public/${name}`, import.meta.url),
      })),
    ]);
    server.get('/keys', async () => sampleConfigs().map(({ key }) => key));
    server.get<{ Querystring: { key: string } }>('/values', { schema: oneKey }, async (request) =>
      this.#propagation.values(request.query.key),
    );
    server.post<{ Body: { key: string; value: string } }>(
      '/write',
      { schema: oneWrite },
      async ({ body: { key, value } }, reply) => {
        try {
          return { version: await this.#propagation.write({ key, value: asJson(value) }) };
        } catch (error) {
          const detail = error instanceof Error ? error.message : String(error);
          return await reply.code(502).send({ detail });
        }
      },
    );
    server.get('/events', (_request, reply) => {
      const viewer = new PassThrough();
      this.#viewers.add(viewer);
      viewer.on('close', () => this.#viewers.delete(viewer));
      viewer.on('error', () => undefined); // it is gone
      viewer.write(this.#frame());
      this.#view();
      return reply
        .headers({ 'cache-control': 'no-store', connection: 'close' })
        .type('text/event-stream')
        .send(viewer);
    });
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    if (this.#viewers.size === 0) return;
    const frame = this.#frame();
    for (const viewer of this.#viewers) {
      if (viewer.writableLength < MOST_UNSENT_BYTES) viewer.write(frame);
    }
  }

  /** How all stands, as one server-sent event. */
  #frame(): string {
    const { readers, changes, all, problem, head } = this.#propagation;
    const state = {
      flavor: this.#stage.description.flavor,
      configs: this.#stage.configs,
      head,
      problem: problem ?? null,
      all: figuresOf(all),
      readers: readers.map(({ url, running, applied, latencies }) => {
        return { url, running, applied: applied ?? null, ...figuresOf(latencies) };
      }),
      changes: changes.slice(0, MOST_CHANGES),
      mine: changes.find(({ by }) => by === 'page') ?? null,
    };
    return `data: ${JSON.stringify(state)}\n\n`;
  }
}

function figuresOf(latencies: Propagation['all']) {
  const [p50Ms, p99Ms] = [0.5, 0.99].map((share) => latencies.percentileMs(share) ?? null);
  return { count: latencies.count, p50Ms, p99Ms };
}

/** What someone typed, if it is JSON; else as a JSON string. */
function asJson(typed: string): string {
  try {
    JSON.parse(typed);
    return typed;
  } catch {
    return JSON.stringify(typed);
  }
}

const key = { type: 'string', minLength: 1, maxLength: 255 } as const;
const oneKey = { querystring: { type: 'object', required: ['key'], properties: { key } } } as const;
const oneWrite = {
  body: {
    type: 'object',
    required: ['key', 'value'],
    properties: { key, value: { type: 'string', maxLength: 100_000 } },
  },
} as const;
