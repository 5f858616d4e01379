/**
 * One MySQL or MariaDB server on a loopback port, in a folder of its own.
 *
 * The account `tidemark` (random password) may do everything, from anywhere on this machine; it is
 * made before the server first listens and is not replicated. Data and port survive stop, start
 * and kill. What differs between the two servers is a `ServerKind`: mysql.ts and mariadb.ts.
 */
import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { copyFreshData } from './fresh-data.js';
import { type Endpoint, REPLICATION_USER, type ServerKind } from './server-kind.js';
import { freePort, LOOPBACK, ServerProcess } from './server-process.js';

export interface DatabaseServer {
  readonly endpoint: Endpoint;
  /** `mysql://user:password@host:port/database`, of this database or of the given one. */
  url(database?: string): string;
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
}

export type Role = 'source' | 'replica';

export interface CreateOptions {
  /** Created; its `data` folder holds all that the server keeps. */
  readonly folder: string;
  readonly database: string;
  readonly replicationPassword: string;
  /** Of the account `tidemark`. Servers that take over each other's data share one. */
  readonly password?: string;
  /** Unlike that of every other server that replicates with it; 1 for a source, 2 for a replica. */
  readonly serverId?: number;
  /** More arguments of the server, at each start. */
  readonly args?: readonly string[];
}

export class Database implements DatabaseServer {
  readonly endpoint: Endpoint;
  readonly #process: ServerProcess;

  private constructor(
    private readonly kind: ServerKind,
    private readonly role: Role,
    private readonly serverId: number,
    private readonly folder: string,
    private readonly args: readonly string[],
    endpoint: Endpoint,
  ) {
    this.endpoint = endpoint;
    this.#process = new ServerProcess({
      name: kind.flavor,
      folder,
      program: kind.programs.server,
      answers: () => this.query('SELECT 1', [], ''),
    });
  }

  /** Makes a server in `folder` (which it creates) and starts it. */
  static async create(kind: ServerKind, role: Role, options: CreateOptions): Promise<Database> {
    const { folder, database, replicationPassword, password = randomPassword() } = options;
    const { serverId = role === 'source' ? 1 : 2, args = [] } = options;
    await copyFreshData(kind, join(folder, 'data'));
    const port = await freePort();
    const endpoint = { host: LOOPBACK, port, user: 'tidemark', password, database };
    const server = new Database(kind, role, serverId, folder, args, endpoint);
    const accounts = join(folder, 'accounts.sql');
    await writeFile(accounts, accountsSql(password, replicationPassword), { mode: 0o600 });
    await server.#start([`--init-file=${accounts}`]);
    await rm(accounts);
    return server;
  }

  /** All that the server keeps: to be copied or replaced while it is stopped. */
  get dataFolder(): string {
    return join(this.folder, 'data');
  }

  url(database = this.endpoint.database): string {
    const { host, port, user, password } = this.endpoint;
    return `mysql://${user}:${password}@${host}:${port}/${database}`;
  }

  async start(): Promise<void> {
    await this.#start([]);
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  pause(): void {
    this.#process.pause();
  }

  resume(): void {
    this.#process.resume();
  }

  /** Runs one statement on a connection of its own. */
  async query(
    sql: string,
    values: readonly (string | number)[] = [],
    database = this.endpoint.database,
  ): Promise<RowDataPacket[]> {
    return await this.connected(async (connection) => {
      const [rows] = await connection.query<RowDataPacket[]>(sql, [...values]);
      return rows;
    }, database);
  }

  /** Gives `use` a connection and closes it afterwards. */
  async connected<T>(use: (connection: Connection) => Promise<T>, database = ''): Promise<T> {
    const connection = await createConnection({
      ...this.endpoint,
      database,
      connectTimeout: 15_000,
    });
    connection.on('error', () => {}); // a killed server: the pending query reports it
    try {
      return await use(connection);
    } finally {
      connection.destroy();
    }
  }

  async #start(extra: readonly string[]): Promise<void> {
    await this.#process.start([
      ...(process.getuid?.() === 0 ? ['--user=root'] : []),
      `--datadir=${this.dataFolder}`,
      `--port=${this.endpoint.port}`,
      `--bind-address=${LOOPBACK}`,
      '--skip-name-resolve',
      '--socket=server.sock', // relative: a path in a deep folder would be too long for a socket
      `--pid-file=server.pid`,
      `--server-id=${this.serverId}`,
      ...this.kind.args,
      ...(this.role === 'replica' ? this.kind.replicaArgs : []),
      ...this.args,
      ...extra,
    ]);
  }
}

/** 32 characters that mean nothing special in SQL or in a URL. */
export function randomPassword(): string {
  return randomBytes(16).toString('hex');
}

// One statement a line, as --init-file wants it. None is logged: each server has its own accounts.
function accountsSql(password: string, replicationPassword: string): string {
  return [
    'SET sql_log_bin = 0;',
    `ALTER USER 'root'@'localhost' IDENTIFIED BY '${password}';`,
    `CREATE USER 'tidemark'@'%' IDENTIFIED BY '${password}';`,
    "GRANT ALL PRIVILEGES ON *.* TO 'tidemark'@'%' WITH GRANT OPTION;",
    `CREATE USER '${REPLICATION_USER}'@'%' IDENTIFIED BY '${replicationPassword}';`,
    `GRANT REPLICATION SLAVE ON *.* TO '${REPLICATION_USER}'@'%';`,
  ].join('\n');
}
