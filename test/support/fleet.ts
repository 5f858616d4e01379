/** Some readers of one data center, each with a read app that others can ask. */
import { onTestFinished } from 'vitest';
import { freePort, LOOPBACK } from '../../src/demo/server-process.js';
import { readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { type CreateReaderOptions, createReader, type Reader } from '../../src/index.js';
import type { TestDatabase } from './data-centers.js';
import { readerOptions, taken } from './readers.js';
import { until } from './until.js';

/** They run until the test is over. */
export async function startFleet(
  db: TestDatabase,
  count: number,
  options: Partial<CreateReaderOptions> = {},
  tokens: readonly string[] = [],
): Promise<Reader[]> {
  const fleet: Reader[] = [];
  for (let number = 0; number < count; number++) {
    const port = await freePort();
    const advertiseUrl = `http://${LOOPBACK}:${port}`;
    const reader = createReader(readerOptions(db, { advertiseUrl, ...options }));
    const server = createServer({ logLevel: 'silent' });
    await server.register(readApp, { reader, tokens, onClose: () => reader.stop() });
    onTestFinished(async () => void (await server.close()));
    await server.listen({ host: LOOPBACK, port });
    await reader.start();
    fleet.push(reader);
  }
  await taken(db.a, fleet);
  await until('all to be announced', async () => {
    const readers = (await fleet[0]?.readers()) ?? [];
    return readers.length === count && readers.every(({ ready }) => ready);
  });
  return fleet;
}
