/** Hints over each kind of Redis, by a user that has no more rights than docs/ and ops/ list. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openRedis } from '../../src/redis/client.js';
import { RedisHints } from '../../src/redis/hints.js';
import { type RedisTopologyKind, startRedisTopology } from '../chaos/redis-topology.js';
import { hintRights, rightsIn } from '../support/acl.js';
import { until } from '../support/until.js';

const PASSWORD = 'secret';
const PATIENT_MS = 120_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function open(url: string, faults: string[] = []): RedisHints {
  const client = openRedis(url, () => undefined);
  const onFault = (error: unknown) => void faults.push(String(error));
  const hints = new RedisHints({ client, prefix: 'tidemark', table: 'configs', onFault });
  onTestFinished(() => {
    hints.close();
    client.disconnect();
  });
  return hints;
}

describe('hints', () => {
  test.each<RedisTopologyKind>(['standalone', 'sentinel', 'cluster'])(
    'reach who listens on %s, also after a failover',
    async (kind) => {
      const more = await hintRights();
      expect(more).toHaveLength(3);
      const args = ['--user', ...(await rightsIn('redis-readers.acl', PASSWORD)), ...more];
      const redis = await startRedisTopology({ kind, folder: join(folder, kind), args });
      onTestFinished(() => redis.stop());
      const url = redis.url({ user: 'tidemark_reader', password: PASSWORD });
      const heard: number[] = [];
      open(url).listen((version) => heard.push(version));
      const talking = open(url);
      const isHeard = async (version: number) =>
        await until(`a hint of ${version}`, () => {
          talking.publish(version);
          return heard.includes(version);
        });
      await isHeard(41);
      await redis.failover('tidemark:{configs:0}:mark');
      await isHeard(42);
      expect(new Set(heard)).toEqual(new Set([41, 42]));
    },
    PATIENT_MS,
  );

  test('without the rights there are none, which is told, and nothing else', async () => {
    const args = ['--user', ...(await rightsIn('redis-readers.acl', PASSWORD))];
    const redis = await startRedisTopology({
      kind: 'standalone',
      folder: join(folder, 'without'),
      args,
    });
    onTestFinished(() => redis.stop());
    const faults: string[] = [];
    const hints = open(redis.url({ user: 'tidemark_reader', password: PASSWORD }), faults);
    hints.listen(() => undefined);
    hints.publish(41); // not connected yet: lost
    await until('a refusal', () => {
      hints.publish(41);
      return faults.filter((fault) => fault.includes('NOPERM')).length > 1;
    });
  });
});
