/** A cluster whose slots move while clients use them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openRedis } from '../../src/redis/client.js';
import { startRedisTopology } from '../chaos/redis-topology.js';
import { rightsIn } from '../support/acl.js';
import { moveSlot } from '../support/moving-slot.js';
import { until } from '../support/until.js';

const PATIENT_MS = 120_000;
const KEY = 'tidemark:{configs:0}:mark';

test(
  'an ASKING that fails makes its command fail, and ends no process',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-'));
    const rights = (await rightsIn('redis-readers.acl')).filter((right) => right !== '+asking');
    const args = ['--user', ...rights];
    const redis = await startRedisTopology({ kind: 'cluster', folder, args });
    onTestFinished(async () => {
      await redis.stop();
      await rm(folder, { recursive: true, force: true });
    });
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    onTestFinished(() => void process.off('unhandledRejection', note));
    const url = redis.url({ user: 'tidemark_reader', password: 'secret' });
    const client = openRedis(url, () => undefined);
    onTestFinished(() => client.disconnect());
    await until('a connection', () => client.set(KEY, 'here'));
    await moveSlot(redis, KEY, async () => {
      await expect(client.mget(KEY)).rejects.toThrow();
    });
    await until('the new place', async () => (await client.mget(KEY))[0] === 'here');
    expect(unhandled).toEqual([]);
  },
  PATIENT_MS,
);
