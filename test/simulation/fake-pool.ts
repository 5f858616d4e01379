/**
 * The part of a mysql2 pool that the product calls, over a simulated server. Every statement takes
 * two steps, its way to the server and the answer's way back, and may be lost on either.
 */
import type { Pool } from 'mysql2/promise';
import type { Scheduler } from './scheduler.js';

export type SqlValue = string | number;

/** One connection, as the server has it. Statements are understood by their text. */
export interface Session {
  /** The rows that a statement answers, or its header. */
  execute(sql: string, values: readonly SqlValue[]): unknown;
  /** The connection is gone: what was not committed is undone. */
  close(): void;
}

/** What lies between client and server. */
export interface Network {
  connect(client: string): Session;
  /** Changes when no message from before may arrive any more. */
  readonly epoch: number;
  /** What goes wrong with the next statement of `client`: before or after it is executed. */
  fault?(client: string): 'refused' | 'before' | 'after' | undefined;
  /** Told of each failure that is not the statement's own. */
  onFault?(client: string): void;
  /** After so long without an answer a client may give a connection up. */
  readonly patienceMs?: number;
  readonly nowMs: () => number;
  /** To open a connection takes a step, in which all may be another. */
  readonly opensInSteps?: boolean;
}

/** An error as mysql2 makes it of a server's, or of a broken connection. */
export function mysqlError(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

/** A statement that the simulation does not know: a gap of the simulation, no fault of the product. */
export class SimulationGap extends Error {}

/** By when the end of a connection has reached the client. */
export const NOTICED_AFTER_MS = 1_000;

type Statement = string | { sql: string; values?: SqlValue[] };

export class SimulatedPool {
  readonly #name: string;
  readonly #network: Network;
  readonly #scheduler: Scheduler;
  readonly #idle: SimulatedConnection[] = [];
  #opened = 0;
  /** Connections that someone has taken and not given back. */
  taken = 0;

  constructor(name: string, network: Network, scheduler: Scheduler) {
    this.#name = name;
    this.#network = network;
    this.#scheduler = scheduler;
  }

  /** As the product sees it; it makes only the calls that are here. */
  get pool(): Pool {
    return this as unknown as Pool;
  }

  async getConnection(): Promise<SimulatedConnection> {
    this.taken += 1;
    let connection = this.#idle.pop();
    while (connection !== undefined && !connection.take()) connection = this.#idle.pop();
    if (connection !== undefined) return connection;
    const name = `${this.#name}#${++this.#opened}`;
    if (this.#network.opensInSteps) await this.#scheduler.step(`${name} opens`);
    return this.#open(name);
  }

  async end(): Promise<void> {
    for (const connection of this.#idle) connection.destroy();
  }

  #open(name: string): SimulatedConnection {
    return new SimulatedConnection(name, this.#name, this.#network, this.#scheduler, (returned) => {
      this.taken -= 1;
      if (returned !== undefined) this.#idle.push(returned);
    });
  }
}

export class SimulatedConnection {
  readonly #session: Session;
  readonly #epoch: number;
  #isTaken = true;
  #isBroken = false;
  #givenBackMs = 0;
  /** When the statement was sent that is not answered yet. */
  #sentMs: number | undefined;

  constructor(
    private readonly name: string,
    private readonly client: string,
    private readonly network: Network,
    private readonly scheduler: Scheduler,
    private readonly giveBack: (connection: SimulatedConnection | undefined) => void,
  ) {
    this.#session = network.connect(client);
    this.#epoch = network.epoch;
  }

  /** What stays the same each time that it is handed out. */
  get connection(): this {
    return this;
  }

  /** Hands it out again, unless it is known to be broken: that the server has closed it while it
   * rested is noticed, as by mysql2's pool, but not at once. */
  take(): boolean {
    const hasRestedMs = this.network.nowMs() - this.#givenBackMs;
    if (this.#epoch !== this.network.epoch && hasRestedMs > NOTICED_AFTER_MS) this.destroy();
    this.#isTaken = !this.#isBroken;
    return this.#isTaken;
  }

  query(statement: Statement, values: SqlValue[] = []): Promise<[unknown, unknown]> {
    return this.#run(statement, values);
  }

  execute(statement: Statement, values: SqlValue[] = []): Promise<[unknown, unknown]> {
    return this.#run(statement, values);
  }

  release(): void {
    if (!this.#isTaken) throw new Error(`Expected ${this.name} to be given back once.`);
    this.#isTaken = false;
    this.#givenBackMs = this.network.nowMs();
    this.giveBack(this.#isBroken ? undefined : this);
  }

  destroy(): void {
    const wasTaken = this.#isTaken;
    this.#isTaken = false;
    if (wasTaken) this.giveBack(undefined);
    if (this.#isBroken) return;
    this.#isBroken = true;
    const { patienceMs = Number.POSITIVE_INFINITY } = this.network;
    const waitedMs = this.network.nowMs() - (this.#sentMs ?? Number.POSITIVE_INFINITY);
    if (waitedMs >= patienceMs) this.network.onFault?.(this.client); // it was kept waiting too long
    // What was sent before may yet be executed: the server notices in its own time.
    const noticed = this.scheduler.step(`${this.name}: the server notices that it is gone`);
    noticed.then(() => this.#session.close());
  }

  async #run(statement: Statement, more: SqlValue[]): Promise<[unknown, unknown]> {
    const { sql, values = more } = typeof statement === 'string' ? { sql: statement } : statement;
    const { scheduler, network } = this;
    if (this.#isBroken || this.#epoch !== network.epoch) throw this.#broken('ECONNRESET');
    const what = scheduler.tracing ? `${this.name}: ${told(sql)} ${values}` : '';
    this.#sentMs = network.nowMs();
    await scheduler.step(what);
    const fault = network.fault?.(this.client);
    if (fault === 'refused') throw this.#broken('ECONNREFUSED');
    if (fault === 'before') throw this.#broken('PROTOCOL_CONNECTION_LOST');
    if (this.#epoch !== network.epoch) throw this.#broken('ECONNRESET');
    let answer: unknown;
    let error: unknown;
    try {
      answer = await this.#session.execute(sql, values);
    } catch (thrown) {
      if (thrown instanceof SimulationGap) scheduler.gap = thrown;
      error = thrown;
    }
    await scheduler.step(what === '' ? '' : `  ${what} is answered`);
    if (fault === 'after') throw this.#broken('PROTOCOL_CONNECTION_LOST');
    if (this.#epoch !== network.epoch) throw this.#broken('ECONNRESET');
    this.#sentMs = undefined;
    if (error !== undefined) throw error;
    return [answer, []];
  }

  #broken(code: string): Error {
    this.scheduler.note(`  ${this.name} breaks: ${code}`);
    this.network.onFault?.(this.client);
    if (!this.#isBroken) {
      this.#isBroken = true;
      const noticed = this.scheduler.step(`${this.name}: the server notices that it is gone`);
      noticed.then(() => this.#session.close());
    }
    return mysqlError(code);
  }
}

function told(sql: string): string {
  return sql.replaceAll(/\s+/g, ' ').slice(0, 70);
}
