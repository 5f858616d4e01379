/**
 * The facts of Redis, by the commands that a reader uses itself. The one that could write is a SET
 * of a key that must exist (XX) and does not: it changes nothing, yet a Redis that refuses writes
 * (no right, no memory, a replica, a full disk) refuses it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, type Redis } from 'ioredis';
import type { Collection } from '../core/collection.js';
import { decodeMark, type Mark } from '../core/mark.js';
import { firstWords, onRedis } from '../redis/on-redis.js';
import { Roster } from '../redis/roster.js';
import type { RedisClient } from '../redis/tier.js';
import { parseRedisUrl } from '../redis/url.js';
import type { DoctorSettings, RedisFacts, RedisNode } from './facts.js';

const AGAIN_AFTER_MS = 50;
const ANSWER_WITHIN_MS = 5_000;
const CLUSTER_URL = /^(rediss?-cluster:\/\/(?:[^@/?#]*@)?)([^/?#]*)[^?#]*(\?.*)?$/;

export interface CollectRedisOptions {
  readonly url: string;
  readonly settings: DoctorSettings;
  readonly connectTimeoutMs: number;
  /** What the marks are given `patienceMs` to reach; undefined: not known. */
  readonly headB: number | undefined;
  readonly patienceMs: number;
  /** MySQL-B's own fingerprint of a version. */
  readonly fingerprintAt: (version: number) => Promise<string | undefined>;
}

/** @throws UnavailableError when it does not answer */
export async function collectRedis(options: CollectRedisOptions): Promise<RedisFacts> {
  const { kind } = parseRedisUrl(options.url);
  try {
    return await onRedis(options.url, limitsOf(options), (client) =>
      collect(client, kind, options),
    );
  } catch (error) {
    // No client gets into a cluster that is down, but its nodes know why it is.
    const fallen = kind === 'cluster' ? await collectFallenCluster(options) : undefined;
    if (fallen === undefined) throw error;
    return fallen;
  }
}

function limitsOf({ connectTimeoutMs, patienceMs }: CollectRedisOptions) {
  return { connectMs: connectTimeoutMs, totalMs: ANSWER_WITHIN_MS + patienceMs };
}

/** What the first node of the URL that answers says; undefined when none does. */
async function collectFallenCluster(options: CollectRedisOptions): Promise<RedisFacts | undefined> {
  const [, start = '', hosts = '', query = ''] = CLUSTER_URL.exec(options.url) ?? [];
  for (const host of hosts.split(',')) {
    const url = `${start.replace('-cluster', '')}${host}${query}`;
    try {
      return await onRedis(url, limitsOf(options), async (client) => ({
        kind: 'cluster',
        nodes: await collectNodes(client),
        cluster: parseInfo(String(await client.cluster('INFO'))),
        refused: new Map(['MGET', 'SET', 'EVAL'].map((command) => [command, 'CLUSTERDOWN'])),
        marks: new Map(),
        readers: [],
        headB: options.headB,
        fingerprints: new Map(),
      }));
    } catch {
      // The next one may answer; if none does, the error of the whole is told.
    }
  }
  return undefined;
}

async function collect(
  client: RedisClient,
  kind: RedisFacts['kind'],
  options: CollectRedisOptions,
): Promise<RedisFacts> {
  const { headB, fingerprintAt } = options;
  const { collections, keyPrefix } = options.settings;
  const key = `${tagOf(options.settings, collections[0]?.table ?? '', 0)}:doctor`;
  const refused = await collectRefusals(readingTrials(client, key));
  const marks = refused.has('MGET') ? new Map() : await collectMarks(client, options);
  const roster = new Roster({ client, prefix: keyPrefix });
  const readers = refused.has('MGET') ? [] : await roster.read();
  const fingerprints = new Map<number, string>();
  for (const version of new Set(all(marks).map(({ position }) => position.version))) {
    const fingerprint = await fingerprintAt(version);
    if (fingerprint !== undefined) fingerprints.set(version, fingerprint);
  }
  const nodes = refused.has('INFO') ? [] : await collectNodes(client);
  const cluster =
    client instanceof Cluster ? parseInfo(String(await client.cluster('INFO'))) : undefined;
  for (const [command, code] of await collectRefusals(writingTrials(client, key))) {
    refused.set(command, code);
  }
  return { kind, nodes, cluster, refused, marks, readers, headB, fingerprints };
}

async function collectNodes(client: RedisClient): Promise<RedisNode[]> {
  const clients: Redis[] = client instanceof Cluster ? client.nodes('master') : [client];
  return await Promise.all(
    clients.map(async (one) => ({
      address: `${one.options.host}:${one.options.port}`,
      info: parseInfo(await one.info()),
    })),
  );
}

type Trial = readonly [command: string, trial: () => Promise<unknown>];

function readingTrials(client: RedisClient, key: string): Trial[] {
  const script = "return redis.call('MGET', KEYS[1])";
  const scan = "return redis.call('SCAN', '0', 'COUNT', 1)[1]"; // as audits do it
  return [
    ['INFO', () => (client instanceof Cluster ? Promise.resolve() : client.info())],
    ['MGET', () => client.mget(key)],
    ['EVAL', () => client.eval(script, 1, key)],
    ['SCAN', () => client.eval(scan, 1, key)],
  ];
}

function writingTrials(client: RedisClient, key: string): Trial[] {
  return [
    ['SET', () => client.set(key, '', 'PX', 1, 'XX')],
    ['DEL', () => client.del(key)],
  ];
}

/** Which of a reader's commands are refused, and with which kind of error. */
async function collectRefusals(trials: readonly Trial[]): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  for (const [command, trial] of trials) {
    try {
      await trial();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ReplyError') throw error;
      const code = firstWords(error.message).split(' ')[0] ?? '';
      refused.set(command, code);
      if (code === 'READONLY') break; // the client is about to leave this replica
    }
  }
  return refused;
}

type Marks = RedisFacts['marks'];

async function collectMarks(
  client: RedisClient,
  { settings, headB, patienceMs }: CollectRedisOptions,
): Promise<Marks> {
  const endMs = performance.now() + patienceMs;
  const buckets = Array.from({ length: settings.redisBuckets }, (_, bucket) => bucket);
  const markAt = async (table: string, bucket: number): Promise<Mark | undefined> =>
    decodeMark((await client.mget(`${tagOf(settings, table, bucket)}:mark`))[0] ?? '');
  const marksOf = async ({ table }: Collection) =>
    [table, await Promise.all(buckets.map((bucket) => markAt(table, bucket)))] as const;
  for (;;) {
    const marks = new Map(await Promise.all(settings.collections.map(marksOf)));
    const isBehind = all(marks).some(({ position }) => position.version < (headB ?? 0));
    if (!isBehind || performance.now() > endMs) return marks;
    await delay(AGAIN_AFTER_MS);
  }
}

function all(marks: Marks): Mark[] {
  return [...marks.values()].flat().filter((mark) => mark !== undefined);
}

function tagOf({ keyPrefix, redisBuckets }: DoctorSettings, table: string, bucket: number): string {
  const division = redisBuckets === 1 ? '' : `/${redisBuckets}`;
  return `${keyPrefix}:{${table}:${bucket}${division}}`;
}

function parseInfo(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => /^\w+:/.test(line));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}
