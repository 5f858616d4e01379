/** `tidemark read`: the read app of data center B. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { parseCollections } from '../core/collections-text.js';
import type { SettingsOf } from '../env.js';
import { readApp } from '../http/read-app.js';
import { createServer, serveUntilSignal } from '../http/serve.js';
import { bridgeToOpenTelemetry } from '../metrics/open-telemetry.js';
import { createReaders } from '../reader/create-reader.js';

/** Listens at once, not ready; resolves when MySQL-B has answered for the first time.
 * @throws SchemaError, AccessDeniedError which waiting would not heal */
export async function readCommand(settings: SettingsOf<'read'>): Promise<void> {
  const { host, port, logLevel, readTokens: tokens } = settings;
  const { maxConnections, trustProxy, maxEventLoopDelayMs, rateLimitPerSecond } = settings;
  const limits = { maxEventLoopDelayMs, rateLimitPerSecond };
  const server = createServer({ logLevel, maxConnections, trustProxy });
  const { table, keyColumn, valueColumn, versionColumn } = settings;
  const names = { table, keyColumn, valueColumn, versionColumn };
  const collections = parseCollections(settings.collections, names);
  const clients = { mysql: settings.mysqlBUrl, redis: settings.redisUrl, logger: server.log };
  const { collections: _, ...others } = settings;
  const readers = createReaders({ ...others, ...clients, collections });
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  if (settings.opentelemetry === 'on') {
    for (const [, reader] of readers) await bridgeToOpenTelemetry(reader.metrics);
  }
  const onClose = () => readers.stop();
  const page = settings.page === 'on';
  const app = { reader: readers, registry, tokens, limits, page, onClose };
  await server.register(readApp, app);
  await serveUntilSignal(server, { host, port });
  try {
    await readers.start();
  } catch (error) {
    await server.close();
    throw error;
  }
}
