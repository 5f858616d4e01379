/**
 * A Redis client that fails fast: a cache that does not answer is a miss, never a wait.
 *
 * Invariant: without a connection a command fails at once, none is sent twice, and the client goes on
 * connecting in the background. A connection that stays silent is given up, so that a server which is
 * stopped or cut off is left for the one that has taken its place; so is one that has become a
 * replica. Which server is the master is asked anew at each connect (Sentinel), and now and then
 * (cluster): a cluster's node that was cut off would never tell that it has been replaced.
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { backoffMs } from '../core/backoff.js';
import type { RedisClient } from './tier.js';
import { parseRedisUrl, type RedisTarget } from './url.js';

const CONNECT_TIMEOUT_MS = 1_000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1_000;
/** A connection that brings nothing for so long while commands wait is given up. */
const SOCKET_TIMEOUT_MS = 2_000;
/** How long the other side may take to close a connection. */
const DISCONNECT_TIMEOUT_MS = 500;
const LEAVE_REPLICA_MS = 1_000;
const MAX_REDIRECTIONS = 3;
const SLOTS_REFRESH_MS = 5_000;

/** Connects in the background. `onError` gets what ioredis tells; its own fields may hold secrets,
 * its message does not.
 * @throws InvalidOptionsError when the URL is not of one of REDIS_URL_SHAPES */
export function openRedis(url: string, onError: (error: Error) => void): RedisClient {
  const target = parseRedisUrl(url);
  return target.kind === 'cluster' ? openCluster(target, onError) : openOne(target, onError);
}

function connectionOptions({ credentials, tls }: RedisTarget): RedisOptions {
  return {
    ...credentials,
    ...(tls && { tls }),
    connectionName: 'tidemark',
    disableClientInfo: true, // it would need another right
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    maxLoadingRetryTime: MAX_RECONNECT_MS,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
  };
}

function openOne(target: RedisTarget, onError: (error: Error) => void): Redis {
  const client = new Redis({
    ...connectionOptions(target),
    ...(target.kind === 'sentinel' ? sentinelOptions(target) : target.addresses[0]),
    db: target.database,
    enableOfflineQueue: false,
    retryStrategy: reconnectMs,
    reconnectOnError: fromReplica(),
  });
  client.on('error', onError);
  client.on('sentinelError', onError);
  return client;
}

function sentinelOptions(target: RedisTarget): RedisOptions {
  const { username, password } = target.sentinelCredentials;
  return {
    sentinels: target.addresses.map((address) => ({ ...address })),
    name: target.master,
    ...(username !== undefined && { sentinelUsername: username }),
    ...(password !== undefined && { sentinelPassword: password }),
    ...(target.tls && { enableTLSForSentinelMode: true, sentinelTLS: target.tls }),
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
    sentinelRetryStrategy: reconnectMs,
  };
}

function openCluster(target: RedisTarget, onError: (error: Error) => void): Cluster {
  const nodes = target.addresses.map((address) => ({ ...address }));
  const cluster = new Cluster(nodes, {
    redisOptions: connectionOptions(target),
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectMs,
    maxRedirections: MAX_REDIRECTIONS,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // Names are resolved at each connect: one that cannot be does not stop the others, and a
    // certificate is checked against the name.
    dnsLookup: (host, done) => done(null, host),
  });
  cluster.on('error', onError);
  cluster.on('node error', onError);
  cluster.on('+node', toleratingAsking);
  cluster.on('refresh', () => {
    if (!hasLostNodes(cluster)) return;
    // When ioredis has heard the event, too. Then the nodes of the URL are asked.
    setImmediate(() => {
      if (cluster.status === 'ready') cluster.disconnect(true);
    });
  });
  // Not by `slotsRefreshInterval`, which can outlive a disconnect.
  const refresh = setInterval(() => {
    if (cluster.status === 'ready') cluster.refreshSlotsCache();
  }, SLOTS_REFRESH_MS).unref();
  cluster.once('end', () => clearInterval(refresh));
  return cluster;
}

/** Whether the node that was asked for the slots has not named all masters: one that was cut off, or
 * has lost what it knew, names itself alone. ioredis then forgets the others, and would ask none but it. */
function hasLostNodes(cluster: Cluster): boolean {
  const known = new Set(cluster.nodes().map(({ options }) => `${options.host}:${options.port}`));
  return cluster.slots.some(([master]) => master !== undefined && !known.has(master));
}

/** ioredis sends ASKING ahead of a command that follows a slot on its move, and hears only of the
 * command: an ASKING that fails, as when that node dies, would be a rejection that nobody handles,
 * which ends the process. */
function toleratingAsking(node: Redis): void {
  const send = node.asking.bind(node);
  node.asking = () => {
    const sent = send();
    sent.catch(() => undefined); // the command after it fails, too, and is answered for
    return sent;
  };
}

/** Whether a reply shows that this is not the master any more. Not each time: a URL that names a
 * replica is a mistake, not a failover, and is no reason to connect without end. */
function fromReplica(): (error: Error) => boolean {
  let lastMs = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    const nowMs = performance.now();
    if (!/\b(READONLY|MASTERDOWN)\b/.test(message) || nowMs < lastMs + LEAVE_REPLICA_MS)
      return false;
    lastMs = nowMs;
    return true;
  };
}

function reconnectMs(failures: number): number {
  return backoffMs(failures, MIN_RECONNECT_MS, MAX_RECONNECT_MS, Math.random());
}
