/**
 * A relay on loopback that forgets connections as load balancers and firewalls do with those that rest:
 * neither end is told, and what comes on one afterwards is answered by a reset.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { LOOPBACK } from '../../src/demo/server-process.js';

export class ForgetfulRelay {
  /** Of what was sent on connections that were forgotten. */
  resets = 0;
  readonly #known = new Set<Socket>();
  readonly #clients = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {
    server.on('connection', (client) => this.#accept(client));
  }

  static async start(target: number): Promise<ForgetfulRelay> {
    const server = createServer({ noDelay: true });
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    return new ForgetfulRelay(server, target);
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** @returns how many connections were forgotten */
  forget(): number {
    const forgotten = this.#known.size;
    this.#known.clear();
    return forgotten;
  }

  stop(): void {
    this.server.close();
    for (const client of this.#clients) client.destroy();
  }

  #accept(client: Socket): void {
    const server = connect({ host: LOOPBACK, port: this.target, noDelay: true });
    this.#clients.add(client);
    this.#known.add(client);
    client.on('data', (bytes) => {
      if (this.#known.has(client)) return void server.write(bytes);
      this.resets += 1;
      client.resetAndDestroy();
    });
    server.on('data', (bytes) => client.write(bytes));
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on('error', () => undefined);
      socket.on('close', () => other.destroy());
    }
    client.on('close', () => {
      this.#known.delete(client);
      this.#clients.delete(client);
    });
  }
}
