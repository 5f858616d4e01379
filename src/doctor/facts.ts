/** What is known of the servers: plain data, collected by a.ts, b.ts, hop.ts and redis.ts. */
import type { Announcement } from '../core/announcement.js';
import type { Collection } from '../core/collection.js';
import type { Mark } from '../core/mark.js';
import type { LedgerRow, Migration } from '../core/migration-plan.js';
import type { Filters } from './filters.js';
import type { Grants } from './grants.js';

/** Something that an account may be too small to see; then, what would show it. */
export type Seen<T> = { readonly value: T } | { readonly lacking: string };

export interface Facts {
  readonly settings: DoctorSettings;
  /** The migrations of this program. */
  readonly migrations: readonly Migration[];
  readonly a?: SourceFacts | undefined;
  readonly b?: ReplicaFacts | undefined;
  /** Only with A and B, when both have a log. */
  readonly hop?: HopFacts | undefined;
  readonly redis?: RedisFacts | undefined;
}

export interface DoctorSettings {
  /** At least one. */
  readonly collections: readonly Collection[];
  readonly keyPrefix: string;
  readonly redisBuckets: number;
  readonly staleAfterMs: number;
  readonly retentionHours: number;
  readonly earlyWake: 'auto' | 'off';
}

export interface ServerFacts {
  readonly flavor: 'mysql' | 'mariadb';
  readonly version: string;
  readonly database: string;
  /** As in GRANT: `'user'@'host'`. */
  readonly account: string;
  /** Global ones, by their names. */
  readonly variables: ReadonlyMap<string, string>;
  readonly grants: Grants;
  readonly clock: ClockFacts;
  /** By the name of the table: Tidemark's two, and the tracked ones. */
  readonly tables: ReadonlyMap<string, TableState>;
  /** By the name of the table. */
  readonly tracked: ReadonlyMap<string, TrackedFacts>;
  readonly ledger: Seen<readonly LedgerRow[]>;
  /** Undefined when its tables are missing, empty or may not be read. */
  readonly log: LogFacts | undefined;
}

export interface SourceFacts extends ServerFacts {
  /** Databases that the binary log is limited to, or leaves out, comma-separated. */
  readonly binlogFilters: Seen<{ readonly doDb: string; readonly ignoreDb: string }>;
}

export interface ReplicaFacts extends ServerFacts {
  readonly channels: Seen<readonly Channel[]>;
  /** Known without the right to see the channels on MariaDB. */
  readonly filters: Seen<readonly Filters[]>;
}

/** What concerns one tracked table. */
export interface TrackedFacts {
  /** By key column; without those that there are not, or that may not be seen. */
  readonly keyCollations: ReadonlyMap<string, KeyCollation>;
  readonly triggers: Seen<readonly Trigger[]>;
  readonly cascades: Seen<readonly Cascade[]>;
}

/** `columns`: the table is there without a column that is needed. */
export type TableAccess = 'readable' | 'denied' | 'missing' | 'columns';

export interface TableState {
  readonly access: TableAccess;
  readonly engine: string | undefined;
}

export interface KeyCollation {
  readonly name: string;
  /** Whether trailing spaces count. */
  readonly noPad: boolean;
}

export interface Trigger {
  readonly name: string;
  readonly timing: string;
  readonly event: string;
  readonly body: string;
}

/** A foreign key of a tracked table that changes its rows without firing triggers. */
export interface Cascade {
  readonly constraint: string;
  /** Such as `ON DELETE CASCADE`. */
  readonly rules: string;
  readonly parent: string;
}

export interface LogFacts {
  readonly head: number;
  /** Against the clock of the server that was asked. */
  readonly beatAgeMs: number;
  readonly oldest: { readonly version: number; readonly ageMs: number } | undefined;
}

/** A server's clock against that of this process. */
export interface ClockFacts {
  readonly aheadMs: number;
  /** Half the round trip: by how much `aheadMs` may be wrong. */
  readonly errorMs: number;
}

export interface Channel {
  /** Empty for the default one. */
  readonly name: string;
  /** `Yes`, `No`, `Connecting` and the like. */
  readonly io: string;
  readonly sql: string;
  readonly secondsBehind: number | null;
  /** Replication that is delayed on purpose. */
  readonly delaySeconds: number;
  /** 0 when there is none. */
  readonly ioErrno: number;
  readonly sqlErrno: number;
  readonly sourceServerId: string;
  readonly usesGtid: boolean;
}

export interface HopFacts {
  readonly headA: number;
  readonly headBBefore: number;
  /** When it had reached `headA`, or the wait was over. */
  readonly headBAfter: number;
  readonly waitedMs: number;
  /** Of the row that each has at the newest version that both have; undefined when there is none. */
  readonly fingerprintA: string | undefined;
  readonly fingerprintB: string | undefined;
}

export interface RedisFacts {
  readonly kind: 'server' | 'sentinel' | 'cluster';
  /** One, or a cluster's masters. */
  readonly nodes: readonly RedisNode[];
  /** Of `CLUSTER INFO`. */
  readonly cluster: ReadonlyMap<string, string> | undefined;
  /** The first words of the errors that a reader's commands were answered with, such as `NOPERM`. */
  readonly refused: ReadonlyMap<string, string>;
  /** By the name of the tracked table, then by bucket; undefined where there is none. */
  readonly marks: ReadonlyMap<string, readonly (Mark | undefined)[]>;
  /** Those who say that they run, of any table. */
  readonly readers: readonly Announcement[];
  /** The head of MySQL-B that the marks were given time to reach; undefined without MySQL-B. */
  readonly headB: number | undefined;
  /** By a mark's version: the fingerprint that MySQL-B's log has there. */
  readonly fingerprints: ReadonlyMap<number, string>;
}

export interface RedisNode {
  readonly address: string;
  /** All of `INFO`. */
  readonly info: ReadonlyMap<string, string>;
}
