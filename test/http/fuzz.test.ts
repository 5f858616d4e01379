/**
 * Both apps, over fakes, under requests made from their own OpenAPI documents. A failure prints its
 * seed: TIDEMARK_FUZZ_SEED=seed repeats it, TIDEMARK_FUZZ_REQUESTS=20000 is the long run.
 */
import type { FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import { FakeReader } from './fake-reader.js';
import { FakeWriter } from './fake-writer.js';
import { fuzz, fuzzCount, fuzzSeed } from './fuzz-run.js';

const TOKEN = 'a-token-of-the-fuzzer';

describe.each(['read', 'write'])('the %s app under fuzzing', (name) => {
  test('answers as declared, whatever is asked', async () => {
    const server = createServer({ logLevel: 'silent' });
    onTestFinished(async () => void (await server.close()));
    await register(server, name);
    await server.listen({ host: '127.0.0.1', port: 0 });
    const seed = fuzzSeed();
    console.log(`fuzzing the ${name} app: TIDEMARK_FUZZ_SEED=${seed}`);
    const { faults, statuses } = await fuzz(server, { requests: fuzzCount(), seed, token: TOKEN });
    console.log(JSON.stringify(statuses));
    expect(faults).toEqual([]);
    for (const status of name === 'read' ? [200, 304, 400, 401, 404, 405] : [200, 201, 400, 401]) {
      expect(statuses).toHaveProperty(String(status));
    }
  });
});

async function register(server: FastifyInstance, name: string): Promise<void> {
  if (name === 'write') {
    await server.register(writeApp, { writer: new FakeWriter(), tokens: [TOKEN] });
    return;
  }
  const reader = new FakeReader();
  for (const key of ['a', 'b', 'a/b', '%', '__proto__']) reader.put(key, `{"key":"${key}"}`);
  reader.put('c', 'not JSON');
  await server.register(readApp, { reader, tokens: [TOKEN], page: true });
}
