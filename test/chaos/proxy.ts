/**
 * A TCP proxy on loopback that can do to its connections what networks do: delay, stall, swallow
 * one direction, limit, cut, refuse, forget. It stands between a client and a server that know nothing of it.
 *
 * Invariant: bytes of one direction of one connection arrive in order and unchanged, or not at all
 * from some byte on. A swallowing network looks like silence to both ends: the connection stays
 * open, and when the fault ends it is cut, since its stream has a hole. A connection whose other end
 * has vanished hears nothing ever again, neither bytes nor an end, whatever happens afterwards.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LOOPBACK } from '../../src/demo/server-process.js';

export type Direction = 'to-server' | 'to-client';

/** What the network does to bytes while it lasts. */
export interface NetworkFault {
  /** Each chunk waits for this, and up to `jitterMs` more; order is kept. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
  /** Nothing passes; what was sent comes when the fault ends. */
  readonly stalled?: boolean;
  /** Bytes of this direction vanish; connections that lost some are cut when the fault ends. */
  readonly swallows?: Direction;
  readonly bytesPerSecond?: number;
  /** New connections are reset at once; those that are open go on. */
  readonly refuses?: boolean;
  /** New connections are taken, and their other end has vanished; those that are open go on. */
  readonly blackholes?: boolean;
}

const NO_FAULT: NetworkFault = Object.freeze({});
/** While one end does not take its bytes, the other is not read beyond this. */
const BUFFER_BYTES = 1024 * 1024;

export class FaultProxy {
  readonly port: number;
  #fault: NetworkFault = NO_FAULT;
  readonly #links = new Set<Link>();
  /** Clients that still believe in their connection. */
  readonly #forgotten = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly target: () => number,
    private readonly random: () => number,
  ) {
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    server.on('connection', (client) => this.#accept(client));
  }

  /** Listens on a free port, or on `port`; `target` is asked for the server's port each time. */
  static async start(options: {
    readonly target: () => number;
    readonly random: () => number;
    readonly port?: number;
  }): Promise<FaultProxy> {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    server.listen(options.port ?? 0, LOOPBACK);
    await once(server, 'listening');
    return new FaultProxy(server, options.target, options.random);
  }

  get connections(): number {
    return this.#links.size;
  }

  get fault(): NetworkFault {
    return this.#fault;
  }

  /** From now on, for open connections too. */
  set(fault: NetworkFault): void {
    this.#fault = fault;
    for (const link of this.#links) link.faultChanged();
  }

  clear(): void {
    this.set(NO_FAULT);
  }

  /** Resets all open connections, at both ends; of those that have vanished nobody knows. */
  reset(): void {
    for (const link of this.#links) link.cut();
  }

  /** The other end of each open connection is gone without a word, for good. New ones work.
   * @returns the clients that still believe in theirs */
  vanish(): Socket[] {
    const clients = [...this.#links].map((link) => link.vanish());
    this.#links.clear();
    for (const client of clients) this.#forget(client);
    return clients;
  }

  /** The same, as by a balancer that forgets connections at rest: whoever sends on one is told, by a
   * reset. @returns how many there were */
  forget(): number {
    const clients = this.vanish();
    for (const client of clients) client.once('data', () => client.resetAndDestroy());
    return clients.length;
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.reset();
    for (const client of this.#forgotten) client.resetAndDestroy();
    await closed;
  }

  #accept(client: Socket): void {
    client.on('error', () => {}); // `close` follows, and says all that is needed
    if (this.#fault.refuses) {
      client.resetAndDestroy();
      return;
    }
    if (this.#fault.blackholes) {
      this.#forget(client);
      return;
    }
    const server = connect({
      port: this.target(),
      host: LOOPBACK,
      noDelay: true,
      allowHalfOpen: true,
    });
    const link = new Link(client, server, () => this.#fault, this.random);
    this.#links.add(link);
    link.onGone = () => this.#links.delete(link);
  }

  #forget(client: Socket): void {
    this.#forgotten.add(client);
    client.on('close', () => this.#forgotten.delete(client));
    client.resume(); // what it sends is taken, and read by nobody
  }
}

/** One client's connection and the one that was made for it. */
class Link {
  onGone: () => void = () => {};
  readonly #pipes: readonly Pipe[];
  readonly #sockets: readonly Socket[];
  #gone = false;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    fault: () => NetworkFault,
    random: () => number,
  ) {
    this.#sockets = [client, server];
    this.#pipes = [
      new Pipe('to-server', client, server, fault, random),
      new Pipe('to-client', server, client, fault, random),
    ];
    for (const socket of this.#sockets) {
      socket.on('error', () => this.cut());
      // Data that is still on its way out is lost, as with a cut cable.
      socket.on('close', () => this.cut());
    }
  }

  faultChanged(): void {
    if (this.#pipes.some((pipe) => pipe.hasHole)) this.cut();
    else for (const pipe of this.#pipes) pipe.pump();
  }

  cut(): void {
    if (this.#gone) return;
    this.#gone = true;
    for (const pipe of this.#pipes) pipe.stop();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.onGone();
  }

  /** From here on neither end hears of the other. The server's is closed once the client gives up,
   * as the server itself would close it some day: it could else run out of connections.
   * @returns the client */
  vanish(): Socket {
    this.#gone = true;
    for (const pipe of this.#pipes) pipe.stop();
    this.server.resume();
    for (const sign of ['end', 'close']) this.client.on(sign, () => this.server.resetAndDestroy());
    return this.client;
  }
}

interface Chunk {
  /** Null: the end of the stream. */
  readonly bytes: Buffer | null;
  readonly dueMs: number;
}

/** One direction of a connection. */
class Pipe {
  /** Whether bytes have vanished. */
  hasHole = false;
  readonly #waiting: Chunk[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #lastDueMs = 0;

  constructor(
    private readonly direction: Direction,
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly fault: () => NetworkFault,
    private readonly random: () => number,
  ) {
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(null));
    to.on('drain', () => this.pump());
  }

  /** What comes from here on is not passed on. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #take(bytes: Buffer | null): void {
    if (this.#stopped) return;
    if (this.fault().swallows === this.direction) {
      this.hasHole = true;
      return;
    }
    this.#waiting.push({ bytes, dueMs: this.#dueMs(bytes?.length ?? 0) });
    this.#waitingBytes += bytes?.length ?? 0;
    if (this.#waitingBytes > BUFFER_BYTES) this.from.pause();
    this.pump();
  }

  /** When what arrives now may pass; never before what arrived earlier. */
  #dueMs(bytes: number): number {
    const { delayMs = 0, jitterMs = 0, bytesPerSecond } = this.fault();
    const nowMs = performance.now();
    const delayedMs = nowMs + delayMs + (jitterMs === 0 ? 0 : this.random() * jitterMs);
    const tookMs = bytesPerSecond === undefined ? 0 : (bytes / bytesPerSecond) * 1_000;
    this.#lastDueMs = Math.max(delayedMs, Math.max(this.#lastDueMs, nowMs) + tookMs);
    return this.#lastDueMs;
  }

  /** Passes on what is due; comes again for the rest. */
  pump(): void {
    clearTimeout(this.#timer);
    if (this.#stopped || this.fault().stalled) return;
    while (this.#waiting.length > 0 && this.to.writableLength < BUFFER_BYTES) {
      const [next] = this.#waiting;
      if (next === undefined) break;
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
        break;
      }
      this.#waiting.shift();
      this.#pass(next);
    }
    if (this.#waitingBytes <= BUFFER_BYTES) this.from.resume();
  }

  #pass({ bytes }: Chunk): void {
    if (this.fault().swallows === this.direction) {
      this.hasHole = true;
      this.#waitingBytes -= bytes?.length ?? 0;
    } else if (bytes === null) this.to.end();
    else {
      this.#waitingBytes -= bytes.length;
      this.to.write(bytes);
    }
  }
}
