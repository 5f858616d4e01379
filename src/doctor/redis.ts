/**
 * The facts of Redis, by the commands that a reader uses itself. The one that could write is a SET
 * of a key that must exist (XX) and does not: it changes nothing, yet a Redis that refuses writes
 * (no right, no memory, a replica, a full disk) refuses it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, type Redis } from 'ioredis';
import { decodeMark, type Mark } from '../core/mark.js';
import { UnavailableError } from '../errors.js';
import { openRedis } from '../redis/client.js';
import type { RedisClient } from '../redis/tier.js';
import { parseRedisUrl } from '../redis/url.js';
import { within } from '../within.js';
import type { DoctorSettings, RedisFacts, RedisNode } from './facts.js';

const AGAIN_AFTER_MS = 50;
const ANSWER_WITHIN_MS = 5_000;

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
  let told = 'no answer';
  const client = openRedis(options.url, (error) => {
    told = firstWords(error.message);
  });
  try {
    await untilReady(client, options.connectTimeoutMs, () => told);
    const late = () => new UnavailableError('Expected Redis (REDIS_URL) to answer, got silence.');
    return await within(
      collect(client, kind, options),
      ANSWER_WITHIN_MS + options.patienceMs,
      late,
    );
  } finally {
    client.disconnect();
  }
}

async function untilReady(client: RedisClient, timeoutMs: number, told: () => string) {
  const endMs = performance.now() + timeoutMs;
  while (client.status !== 'ready') {
    if (performance.now() > endMs) {
      throw new UnavailableError(
        `Expected Redis (REDIS_URL) to answer, got ${told()}. Check that it runs, can be reached ` +
          'from here, and that user, password and TLS in the URL are right.',
      );
    }
    await delay(AGAIN_AFTER_MS);
  }
}

async function collect(
  client: RedisClient,
  kind: RedisFacts['kind'],
  options: CollectRedisOptions,
): Promise<RedisFacts> {
  const { headB, fingerprintAt } = options;
  const refused = await collectRefusals(client, `${tagOf(options.settings, 0)}:doctor`);
  const marks = refused.has('MGET') ? [] : await collectMarks(client, options);
  const fingerprints = new Map<number, string>();
  for (const version of new Set(marks.flatMap((mark) => mark?.position.version ?? []))) {
    const fingerprint = await fingerprintAt(version);
    if (fingerprint !== undefined) fingerprints.set(version, fingerprint);
  }
  const nodes = refused.has('INFO') ? [] : await collectNodes(client);
  const cluster =
    client instanceof Cluster ? parseInfo(String(await client.cluster('INFO'))) : undefined;
  return { kind, nodes, cluster, refused, marks, headB, fingerprints };
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

/** Which of a reader's commands are refused, and with which kind of error. */
async function collectRefusals(client: RedisClient, key: string): Promise<Map<string, string>> {
  const script = "return redis.call('MGET', KEYS[1])";
  const trials: [command: string, trial: () => Promise<unknown>][] = [
    ['INFO', () => (client instanceof Cluster ? Promise.resolve() : client.info())],
    ['MGET', () => client.mget(key)],
    ['SET', () => client.set(key, '', 'PX', 1, 'XX')],
    ['DEL', () => client.del(key)],
    ['EVAL', () => client.eval(script, 1, key)],
  ];
  const refused = new Map<string, string>();
  for (const [command, trial] of trials) {
    try {
      await trial();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ReplyError') throw error;
      refused.set(command, firstWords(error.message).split(' ')[0] ?? '');
    }
  }
  return refused;
}

async function collectMarks(
  client: RedisClient,
  { settings, headB, patienceMs }: CollectRedisOptions,
): Promise<(Mark | undefined)[]> {
  const endMs = performance.now() + patienceMs;
  const keys = Array.from(
    { length: settings.redisBuckets },
    (_, bucket) => `${tagOf(settings, bucket)}:mark`,
  );
  for (;;) {
    const texts = await Promise.all(keys.map(async (key) => (await client.mget(key))[0]));
    const marks = texts.map((text) => decodeMark(text ?? ''));
    const isBehind = marks.some((mark) => mark && mark.position.version < (headB ?? 0));
    if (!isBehind || performance.now() > endMs) return marks;
    await delay(AGAIN_AFTER_MS);
  }
}

function tagOf({ keyPrefix, names, redisBuckets }: DoctorSettings, bucket: number): string {
  const division = redisBuckets === 1 ? '' : `/${redisBuckets}`;
  return `${keyPrefix}:{${names.table}:${bucket}${division}}`;
}

function parseInfo(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => /^\w+:/.test(line));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** Enough to name an error; not what it was about. */
function firstWords(message: string): string {
  return message.split(/[:,.'"]/)[0]?.slice(0, 60) ?? '';
}
