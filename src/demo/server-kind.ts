/** What the two databases have in common, and where they differ: mysql.ts and mariadb.ts are of this shape. */
import type { Connection } from 'mysql2/promise';
import type { DatabasePrograms } from './programs.js';

export type Flavor = 'mysql' | 'mariadb';

export interface Endpoint {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}

/** What differs between MySQL and MariaDB. */
export interface ServerKind {
  readonly flavor: Flavor;
  readonly programs: DatabasePrograms;
  readonly args: readonly string[];
  readonly replicaArgs: readonly string[];
  /** Fills an empty data folder. */
  initialise(folder: string): Promise<void>;
  /** Makes the replica follow the source from the start of its history, and begin. */
  follow(replica: Connection, source: Endpoint): Promise<void>;
  readonly startReplication: string;
  readonly stopReplication: string;
}

/** The account by which B follows A. */
export const REPLICATION_USER = 'tidemark_replica';
