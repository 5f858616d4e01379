/** Writes through the write apps, and what their answers mean. */
import { Agent, type IncomingMessage, request } from 'node:http';
import type { WriteRecord } from './history.js';
import { nowMs } from './now.js';
import type { Random } from './random.js';
import type { Change, Workload } from './workload.js';

const TIMEOUT_MS = 3_000;
const ETAGS = 5_000;

interface Answer {
  readonly status: number;
  readonly version: number | undefined;
  readonly etag: string | undefined;
  readonly code: string | undefined;
}

type Condition = Readonly<Record<string, string>>;

export class HttpWrites {
  readonly #agent = new Agent({ keepAlive: true });
  /** What PUTs answered, for conditional writes; often outdated, which is a 412. */
  readonly #etags = new Map<string, string>();
  readonly statuses = new Map<string, number>();

  constructor(
    private readonly token: string,
    private readonly tell: (record: WriteRecord) => void,
    private readonly workload: Workload,
  ) {}

  /** One write of any kind. @returns false when the app could not do it */
  async write(url: string | undefined, random: Random): Promise<boolean> {
    if (url === undefined) return false;
    const key = this.workload.key(random);
    const chance = random.next();
    if (chance < 0.1) return await this.#batch(url, random);
    if (chance < 0.22) return await this.#delete(url, key, chance < 0.13);
    const etag = chance < 0.35 ? this.#etags.get(key) : undefined;
    const absent = chance > 0.95 ? { 'if-none-match': '*' } : undefined;
    const condition = etag === undefined ? absent : { 'if-match': etag };
    return await this.#put(url, key, random, condition);
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  async #put(
    url: string,
    key: string,
    random: Random,
    condition: Condition | undefined,
  ): Promise<boolean> {
    const mark = this.workload.mark();
    const body = this.workload.text(mark, random);
    const send = () => this.#send('PUT', `${url}${pathOf(key)}`, body, condition);
    const answer = await this.#told([{ key, value: mark }], send);
    if (answer?.etag !== undefined && answer.status < 300) {
      if (this.#etags.size >= ETAGS) this.#etags.clear();
      this.#etags.set(key, answer.etag);
    }
    return isFine(answer);
  }

  async #delete(url: string, key: string, isConditional: boolean): Promise<boolean> {
    const etag = isConditional ? this.#etags.get(key) : undefined;
    const condition = etag === undefined ? undefined : { 'if-match': etag };
    const send = () => this.#send('DELETE', `${url}${pathOf(key)}`, undefined, condition);
    return isFine(await this.#told([{ key, value: null }], send));
  }

  async #batch(url: string, random: Random): Promise<boolean> {
    const keys = this.workload.keys(random, 2 + random.below(8));
    const changes = keys.map((key) => ({
      key,
      value: random.chance(0.8) ? this.workload.mark() : null,
    }));
    const put = Object.fromEntries(
      changes.flatMap(({ key, value }) =>
        value === null ? [] : [[key, JSON.parse(this.workload.text(value, random)) as unknown]],
      ),
    );
    const gone = changes.filter(({ value }) => value === null).map(({ key }) => key);
    const body = JSON.stringify({ put, delete: gone });
    const send = () => this.#send('POST', `${url}/v1/batch`, body);
    return isFine(await this.#told(changes, send, changes.length > 1));
  }

  /** Sends, and tells each change with the outcome. @returns undefined when no answer came */
  async #told(
    changes: readonly Change[],
    send: () => Promise<Answer>,
    isBatch = false,
  ): Promise<Answer | undefined> {
    const sentMs = nowMs();
    let outcome: WriteRecord['outcome'];
    let answer: Answer | undefined;
    try {
      answer = await send();
      outcome = outcomeOf(answer);
      this.#count(`${answer.status}`);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      outcome = code === 'ECONNREFUSED' ? 'refused' : 'unknown';
      this.#count(code || 'no answer');
    }
    const version = outcome === 'acked' ? answer?.version : undefined;
    const doneMs = nowMs();
    for (const change of changes) {
      this.tell({ ...change, outcome, version, isBatch, sentMs, doneMs });
    }
    return answer;
  }

  #count(what: string): void {
    this.statuses.set(what, (this.statuses.get(what) ?? 0) + 1);
  }

  #send(method: string, url: string, body?: string, condition: Condition = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        ...condition,
        authorization: `Bearer ${this.token}`,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      };
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const sent = request(url, { method, headers, agent: this.#agent, signal }, (response) =>
        answerOf(response).then(resolve, reject),
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

async function answerOf(response: IncomingMessage): Promise<Answer> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  const status = response.statusCode ?? 0;
  const body = JSON.parse(text) as { version?: number; code?: string }; // the shapes of docs/http.md
  const version = body.version;
  return { status, version, etag: response.headers.etag, code: body.code };
}

/** What docs/http.md promises of each answer. */
function outcomeOf({ status, code }: Answer): WriteRecord['outcome'] {
  if (status < 300) return 'acked';
  if (status === 504 || code === 'internal') return 'unknown';
  if (status < 500 || status === 503) return 'refused';
  return 'unknown';
}

function isFine(answer: Answer | undefined): boolean {
  return answer !== undefined && answer.status < 500;
}

function pathOf(key: string): string {
  return `/v1/configs/${key.split('/').map(encodeURIComponent).join('/')}`;
}
