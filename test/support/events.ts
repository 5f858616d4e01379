/** A client of server-sent events that a test reads one by one. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';

export interface ServerEvent {
  /** '' for a frame that is no event: a heartbeat, or the first one. */
  readonly event: string;
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export class Events {
  /** The id that a client which comes back would send. */
  lastId = '';
  readonly #frames: AsyncGenerator<ServerEvent>;

  private constructor(
    readonly response: IncomingMessage,
    private readonly client: ClientRequest,
  ) {
    this.#frames = framesOf(response);
  }

  static open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Events> {
    return new Promise((resolve, reject) => {
      const client = request(url, { headers, agent: false }, (response) => {
        response.on('error', () => undefined); // dropped: the frames end
        resolve(new Events(response, client));
      });
      client.on('error', reject).end();
    });
  }

  get status(): number | undefined {
    return this.response.statusCode;
  }

  /** The next frame, heartbeats too; undefined at the end. */
  async frame(): Promise<ServerEvent | undefined> {
    const { value } = await this.#frames.next();
    if (value?.id) this.lastId = value.id;
    return value;
  }

  /** The next events, as text; fewer at the end. */
  async take(count: number): Promise<string[]> {
    const taken: string[] = [];
    while (taken.length < count) {
      const frame = await this.frame();
      if (frame === undefined) break;
      const { version, key, reason } = frame.data;
      if (frame.event === 'change') taken.push(`${version} ${key}`);
      else if (frame.event !== '') taken.push(`${frame.event} ${version} ${reason}`);
    }
    return taken;
  }

  close(): void {
    this.client.destroy();
  }
}

async function* framesOf(response: IncomingMessage): AsyncGenerator<ServerEvent> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
        yield parsed(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  } catch {
    // The connection ended in the middle.
  }
}

function parsed(frame: string): ServerEvent {
  const fields = Object.fromEntries(
    frame.split('\n').map((line) => {
      const [name = '', value = ''] = line.split(/: ?(.*)/s, 2);
      return [name, value];
    }),
  );
  return { event: fields.event ?? '', id: fields.id ?? '', data: JSON.parse(fields.data ?? '{}') };
}
