/**
 * The database servers of a chaos run: the source A, a standby of A in the same data center, and the
 * replica B, which follows A through a proxy that stands for the network between the data centers.
 *
 * All have one password, because a failover gives the standby's data to A and to B: A is where
 * clients look for it, whatever its data.
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RowDataPacket } from 'mysql2/promise';
import { Database, randomPassword } from '../../src/demo/database-server.js';
import { mariadbKind } from '../../src/demo/mariadb.js';
import { mysqlKind } from '../../src/demo/mysql.js';
import { untilCaughtUp } from '../../src/demo/replication.js';
import type { Flavor } from '../../src/demo/server-kind.js';
import { FaultProxy } from './proxy.js';

const DATABASE = 'tidemark';
const FORGET_SOURCE = { mysql: 'RESET REPLICA ALL', mariadb: 'RESET SLAVE ALL' } as const;

export class Servers {
  /** What `countConnectionsOfB` counted last. */
  connectionsSeen = -1;

  private constructor(
    readonly flavor: Flavor,
    private readonly replicationPassword: string,
    readonly a: Database,
    readonly b: Database,
    readonly standby: Database,
    /** From B to A. */
    readonly link: FaultProxy,
  ) {}

  static async start(flavor: Flavor, folder: string, random: () => number): Promise<Servers> {
    const kind = flavor === 'mysql' ? mysqlKind() : mariadbKind();
    const shared = {
      database: DATABASE,
      password: randomPassword(),
      replicationPassword: randomPassword(),
    };
    const create = async (role: 'source' | 'replica', name: string, serverId: number) => {
      await mkdir(join(folder, name), { recursive: true });
      return await Database.create(kind, role, { ...shared, folder: join(folder, name), serverId });
    };
    const [a, b, standby] = await Promise.all([
      create('source', 'a', 1),
      create('replica', 'b', 2),
      create('replica', 'standby', 3),
    ]);
    const link = await FaultProxy.start({ target: () => a.endpoint.port, random });
    const servers = new Servers(flavor, shared.replicationPassword, a, b, standby, link);
    await servers.followA();
    await a.query(`CREATE DATABASE \`${DATABASE}\``, [], '');
    await servers.caughtUp();
    return servers;
  }

  get all(): readonly Database[] {
    return [this.a, this.b, this.standby];
  }

  /** Until B and the standby have executed what A has committed. */
  async caughtUp(): Promise<void> {
    const source = (sql: string, values?: readonly (string | number)[]) =>
      this.a.query(sql, values, '');
    await Promise.all(
      [this.b, this.standby].map((replica) =>
        untilCaughtUp(this.flavor, source, (sql, values) => replica.query(sql, values, '')),
      ),
    );
  }

  async stopReplication(replica: Database): Promise<void> {
    await replica.query(this.#kind.stopReplication, [], '');
  }

  async startReplication(replica: Database): Promise<void> {
    try {
      await replica.query(this.#kind.startReplication, [], '');
    } catch (error) {
      // A MariaDB that was killed may find its notes of replication broken. Its GTIDs say where it is.
      if (!String(error).includes('Could not initialize master info')) throw error;
      await replica.query('RESET SLAVE', [], '');
      await this.#follow(replica);
    }
  }

  /** How B's replication stands, by the server's own words, without those that quote rows. */
  async replicationOfB(): Promise<string> {
    const sql = this.flavor === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS';
    const [status = {}] = await this.b.query(sql, [], '');
    return Object.entries(status)
      .filter(([name]) => /_Running(_State)?$|_IO_State$|_Errno$|Seconds_Behind/.test(name))
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
  }

  /** B applies what A committed only so much later. */
  async delayReplication(seconds: number): Promise<void> {
    const change =
      this.flavor === 'mysql' ? 'CHANGE REPLICATION SOURCE TO SOURCE' : 'CHANGE MASTER TO MASTER';
    await this.stopReplication(this.b);
    await this.b.query(`${change}_DELAY = ${seconds}`, [], '');
    await this.startReplication(this.b);
  }

  /** Without B's protection against writers, and without a trace in its binary log. */
  async onWritableB(sql: string): Promise<void> {
    const guard = this.flavor === 'mysql' ? 'super_read_only' : 'read_only';
    await this.b.connected(async (connection) => {
      await connection.query(`SET GLOBAL ${guard} = 0`);
      try {
        await connection.query('SET sql_log_bin = 0');
        await connection.query(sql);
      } finally {
        await connection.query('SET GLOBAL read_only = 1');
        await connection.query(`SET GLOBAL ${guard} = 1`);
      }
    }, DATABASE);
  }

  async headOfA(): Promise<number> {
    return headIn(await this.a.query('SELECT head FROM config_stream'));
  }

  async headOfB(): Promise<number> {
    return headIn(await this.b.query('SELECT head FROM config_stream'));
  }

  /** Cuts what clients have open on B. */
  async killConnectionsOfB(user: string): Promise<number> {
    return await this.b.connected(async (connection) => {
      const [rows] = await connection.query<RowDataPacket[]>(
        'SELECT id FROM information_schema.processlist WHERE user = ?',
        [user],
      );
      for (const { id } of rows) {
        await connection.query(`KILL ${Number(id)}`).catch(() => undefined); // it went by itself
      }
      return rows.length;
    });
  }

  /** Counts what the readers' account has open on B. */
  async countConnectionsOfB(user: string): Promise<void> {
    const [row] = await this.b.query(
      'SELECT COUNT(*) AS open FROM information_schema.processlist WHERE user = ?',
      [user],
      '',
    );
    this.connectionsSeen = Number(row?.open ?? -1);
  }

  /** The standby's last version; from here on it follows nobody, and it is stopped. */
  async retireStandby(): Promise<number> {
    const head = headIn(await this.standby.query('SELECT head FROM config_stream'));
    await this.standby.query(this.#kind.stopReplication, [], '');
    await this.standby.query(FORGET_SOURCE[this.flavor], [], '');
    await this.standby.stop();
    return head;
  }

  /** Gives the stopped standby's data to `server`, which is stopped, too. */
  async cloneStandbyTo(server: Database): Promise<void> {
    await rm(server.dataFolder, { recursive: true, force: true });
    await cp(this.standby.dataFolder, server.dataFolder, {
      recursive: true,
      filter: (source) => !source.endsWith('/auto.cnf'), // each server has an identity of its own
    });
  }

  /** B through the link, the standby directly. */
  async followA(): Promise<void> {
    await this.#follow(this.standby);
    await this.#follow(this.b);
  }

  async #follow(replica: Database): Promise<void> {
    const { port } = replica === this.b ? this.link : this.a.endpoint;
    const source = { ...this.a.endpoint, port, password: this.replicationPassword };
    await replica.connected((connection) => this.#kind.follow(connection, source));
  }

  async kill(): Promise<void> {
    await Promise.all([...this.all.map((server) => server.kill()), this.link.close()]);
  }

  get #kind() {
    return this.flavor === 'mysql' ? mysqlKind() : mariadbKind();
  }
}

function headIn(rows: readonly RowDataPacket[]): number {
  const head = Number(rows[0]?.head);
  if (Number.isSafeInteger(head)) return head;
  throw new Error(`Expected a head in config_stream, got ${String(rows[0]?.head)}.`);
}
