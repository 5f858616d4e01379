/**
 * Several hosts of MySQL-B, of which one is used at a time: the first of the URL that answers, until
 * it cannot be reached, does not answer, or lags behind what was seen; then the next one.
 *
 * Invariant: an open connection goes to the current host. When a host is left its connections are
 * closed, early wake's too, so that nothing waits on a server that nobody reads any more.
 * A host that has come back is not returned to before the current one is left in turn.
 */
import { connect, type Socket } from 'node:net';
import type { Pool, PoolConnection } from 'mysql2/promise';
import { HostJudge, type HostSnapshot } from '../core/host-judge.js';
import { UnavailableError } from '../errors.js';
import { mysqlCodeOf, SILENCE } from './fault.js';
import type { MysqlAddress } from './url.js';

export interface HostsOptions {
  /** A host whose heartbeat is older than this is left for one that may have a newer one. */
  readonly staleAfterMs: number;
  /** Told at most once in 10 s: while no host is of use, they are tried in turn. */
  readonly onLeave: (left: { host: string; next: string; reason: string }) => void;
}

/** For who looks at MySQL-B now and then: the first host that answers, however late its heartbeat. */
export const ANY_HOST: HostsOptions = Object.freeze({
  staleAfterMs: Number.POSITIVE_INFINITY,
  onLeave: () => undefined,
});

const QUIET_MS = 10_000;
const KEEP_ALIVE_DELAY_MS = 10_000;
/** Statements that timed out in a row; one alone may have been too much work. */
const MOST_TIMEOUTS = 2;
const SHUTTING_DOWN = new Set(['ER_SERVER_SHUTDOWN', 'ER_CONNECTION_KILLED']);

/** Where a statement was sent, and what was known when it was. */
export interface Sent {
  readonly host: number;
  readonly head: number;
}

export class Hosts {
  readonly #addresses: readonly MysqlAddress[];
  readonly #options: HostsOptions;
  readonly #judge: HostJudge;
  readonly #sockets = new Map<Socket, number>();
  #current = 0;
  #timeouts = 0;
  #quietUntilMs = 0;

  /** @param connections the most that are open at once */
  constructor(
    addresses: readonly MysqlAddress[],
    private readonly connections: number,
    options: HostsOptions,
  ) {
    this.#addresses = addresses;
    this.#options = options;
    this.#judge = new HostJudge({ hosts: addresses.length, staleAfterMs: options.staleAfterMs });
  }

  get count(): number {
    return this.#addresses.length;
  }

  get now(): Sent {
    return { host: this.#current, head: this.#judge.head };
  }

  /** mysql2's option `stream`. */
  readonly connect = ({ config }: { config: object }): Socket => {
    const host = this.#current;
    const address = { ...this.#addresses[host] } as MysqlAddress; // within bounds, see `leave`
    // Of this connection alone; TLS holds the certificate against its host.
    Object.assign(config, address);
    const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS };
    const socket = connect({ ...address, ...keepAlive, noDelay: true });
    this.#sockets.set(socket, host);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  };

  /** The next host takes the place of `host`, unless another has done so already. */
  leave(host: number, reason: string): void {
    if (host !== this.#current) return;
    this.#current = (host + 1) % this.#addresses.length;
    this.#timeouts = 0;
    for (const [socket, of] of this.#sockets) if (of === host) socket.destroy();
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + QUIET_MS;
    this.#options.onLeave({ host: this.#nameOf(host), next: this.#nameOf(this.#current), reason });
  }

  /** An answer has come that was read at `head`. */
  answered(head: number): void {
    this.#timeouts = 0;
    this.#judge.saw(head);
  }

  /** A poll's answer has come.
   * @throws UnavailableError when it is from before what was seen */
  polled(sent: Sent, snapshot: HostSnapshot): void {
    this.#timeouts = 0;
    const now = { monotonicMs: performance.now(), wallMs: Date.now() };
    const { take, leave } = this.#judge.judge(sent.host, snapshot, sent.head, now);
    if (leave !== undefined) this.leave(sent.host, leave);
    if (take) return;
    throw new UnavailableError(
      `Expected MySQL-B at version ${sent.head} or later, got ${snapshot.head}: this host lags. ` +
        'Check replication on all hosts of MYSQL_B_URL; the next poll asks another one.',
    );
  }

  /** Whether a statement may be sent once more, to this host or the next, when it has failed so many
   * times. */
  mayRepeat({ host }: Sent, error: unknown, failures: number): boolean {
    if (error instanceof UnavailableError) return failures < this.count; // the host lags
    const code = mysqlCodeOf(error) ?? '';
    if (code === SILENCE) {
      this.#timeouts += 1;
      if (this.#timeouts >= MOST_TIMEOUTS) this.leave(host, code);
      return false; // its time is over
    }
    const isOfServer = typeof error === 'object' && error !== null && 'sqlState' in error;
    if (isOfServer && !SHUTTING_DOWN.has(code)) return false;
    // Of a host that is gone, all connections that were open are found to be lost one by one.
    return failures < this.connections + this.count;
  }

  #nameOf(host: number): string {
    const address = this.#addresses[host];
    return `${address?.host}:${address?.port}`;
  }
}

const OF_POOLS = new WeakMap<Pool, Hosts>();

export function setHosts(pool: Pool, hosts: Hosts): void {
  OF_POOLS.set(pool, hosts);
}

/** Undefined: a pool of one host. */
export function hostsOf(pool: Pool): Hosts | undefined {
  return OF_POOLS.get(pool);
}

/** A connection of a pool of one host, or of several. */
export async function anyConnectionOf(pool: Pool): Promise<PoolConnection> {
  const hosts = hostsOf(pool);
  return hosts === undefined ? await pool.getConnection() : await connectionFrom(pool, hosts);
}

/** A connection to the current host, or to the first of the others that lets it in. */
export async function connectionFrom(pool: Pool, hosts: Hosts): Promise<PoolConnection> {
  for (let tried = 1; ; tried += 1) {
    const { host } = hosts.now;
    try {
      return await pool.getConnection();
    } catch (error) {
      hosts.leave(host, mysqlCodeOf(error) ?? 'no connection');
      if (tried === hosts.count) throw error;
    }
  }
}
