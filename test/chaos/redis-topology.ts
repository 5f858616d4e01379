/**
 * Redis as it is run: one server, three with sentinels, or a cluster of six; with short timeouts, so
 * that a failover takes a few seconds. Nothing is saved unless SAVE is sent.
 *
 * `failover` loses what replication had not carried over yet; `staleFailover` loses for certain what
 * was acknowledged after the replicas had been cut off. Both leave the old master behind, which
 * `restore` brings back, as a replica of the new one.
 */
import { startCluster } from './redis-cluster.js';
import type { RedisNode, TlsFiles } from './redis-node.js';
import { startSentinel } from './redis-sentinel.js';
import { startStandalone } from './redis-standalone.js';

export { RedisNode, type RedisRole, type TlsFiles } from './redis-node.js';

export type RedisTopologyKind = 'standalone' | 'sentinel' | 'cluster';

export interface RedisTopologyOptions {
  readonly kind: RedisTopologyKind;
  /** Everything is put here; not removed. */
  readonly folder: string;
  /** Given a data node's port, the port by which clients and the other nodes are to know it. */
  readonly announce?: (port: number) => Promise<number>;
  /** More arguments of each data node, such as `['--maxmemory', '4mb']`. */
  readonly args?: readonly string[];
  /** The password of the sentinels themselves. */
  readonly sentinelPassword?: string;
  /** All talk TLS, and nothing else. */
  readonly tls?: TlsFiles;
}

export interface UrlOptions {
  readonly user?: string;
  readonly password?: string;
  /** Options of the URL, such as `ssl-ca`. */
  readonly query?: Readonly<Record<string, string>>;
}

export type FailoverCause = 'kill' | 'pause';

export interface RedisTopology {
  readonly kind: RedisTopologyKind;
  /** For REDIS_URL. */
  url(options?: UrlOptions): string;
  /** The data nodes, in a fixed order. */
  readonly servers: readonly RedisNode[];
  /** Empty unless there are sentinels. */
  readonly sentinels: readonly RedisNode[];
  /** The master that holds `key` by what the others agree on; without a key, of slot 0. */
  master(key?: string): Promise<RedisNode>;
  /** Kills (or stops with SIGSTOP) the master of `key`, and resolves when another one has taken its
   * place. A standalone server is killed, and started with what its replica had. */
  failover(key?: string, cause?: FailoverCause): Promise<void>;
  /** Cuts replication off, lets `meanwhile` happen, and then fails over: what was acknowledged
   * meanwhile is lost. */
  staleFailover(meanwhile: () => Promise<unknown>, key?: string): Promise<void>;
  /** Brings all that is dead or stopped back, as replicas, and waits until all is well. */
  restore(): Promise<void>;
  /** Ends all processes. */
  stop(): Promise<void>;
}

/** Resolves when the topology is complete and healthy. */
export async function startRedisTopology(options: RedisTopologyOptions): Promise<RedisTopology> {
  switch (options.kind) {
    case 'standalone':
      return await startStandalone(options);
    case 'sentinel':
      return await startSentinel(options);
    case 'cluster':
      return await startCluster(options);
  }
}
