/**
 * The real apps on real servers under fuzzing: as declared, nothing left over, nothing that grows.
 * TIDEMARK_FUZZ_SEED=seed repeats a run, TIDEMARK_FUZZ_REQUESTS=20000 is the long one.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fuzz, fuzzCount, fuzzSeed } from '../http/fuzz-run.js';
import { createDatabase, flavors, query, type TestDatabase } from '../support/data-centers.js';
import { type HttpApps, startHttpApps } from '../support/http-apps.js';
import { until } from '../support/until.js';

const TOKEN = 'a-token-of-the-fuzzer';
const MIB = 1024 * 1024;
/** What the heap may gain in a run: caches that fill up, compiled code. A leak of each request's
 * body or headers would be many times that in the long run. */
const HEAP_GAIN_BYTES = 24 * MIB;

describe.each(flavors.slice(0, 1))('both apps under fuzzing, on %s', (flavor) => {
  let db: TestDatabase;
  let apps: HttpApps;

  beforeAll(async () => {
    db = await createDatabase(flavor);
    // Short waits, because many requests demand what will never be.
    apps = await startHttpApps(db, { tokens: [TOKEN], reader: { readTimeoutMs: 300 } });
  });
  afterAll(async () => {
    await apps.close();
    await db.drop();
  });

  test.each(['writing', 'reading'] as const)('%s', { timeout: 1_800_000 }, async (side) => {
    await fill(db);
    const server = apps[side];
    const requests = fuzzCount();
    const seed = fuzzSeed();
    console.log(`fuzzing ${side}: TIDEMARK_FUZZ_SEED=${seed}`);
    const warm = await fuzz(server, {
      requests: Math.min(1_000, requests),
      seed: ~seed,
      token: TOKEN,
    });
    expect(warm.faults).toEqual([]);
    await until('no connections', async () => (await connectionsOf(server)) === 0);
    const before = { heap: heapBytes(), handles: handles() };
    const { faults, statuses } = await fuzz(server, { requests, seed, token: TOKEN });
    console.log(JSON.stringify(statuses));
    expect(faults).toEqual([]);
    await until('no connections', async () => (await connectionsOf(server)) === 0);
    const gain = heapBytes() - before.heap;
    console.log(
      `${side}: heap ${(gain / MIB).toFixed(1)} MiB more, handles ${before.handles} before, ${handles()} after`,
    );
    expect(gain).toBeLessThan(HEAP_GAIN_BYTES);
    // A pool of MySQL connections may have come to its full size meanwhile.
    expect(handles()).toBeLessThanOrEqual(before.handles + 20);
    const { local } = apps.reader.status();
    expect(local.fillsInFlight).toBe(0);
    expect(local.absences).toBeLessThanOrEqual(10_000);
    for (const status of side === 'reading'
      ? [200, 304, 400, 401, 404, 405, 504]
      : [200, 201, 412, 415]) {
      expect(statuses).toHaveProperty(String(status));
    }
  });
});

/** What the fuzzed writes may have deleted, and a text that no writer of ours would store. */
async function fill(db: TestDatabase): Promise<void> {
  for (const key of ['a', 'b', 'c', 'a/b', '%']) {
    const insert = 'REPLACE INTO configs (config_key, config_value) VALUES (?, ?)';
    await query(db.a, insert, [key, key === '%' ? 'not JSON' : `{"key":"${key}"}`]);
  }
  await db.caughtUp();
}

function connectionsOf(server: FastifyInstance): Promise<number> {
  return new Promise((resolve, reject) => {
    server.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** After a full collection of garbage. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

function handles(): number {
  return process.getActiveResourcesInfo().filter((name) => name !== 'Timeout').length;
}
