/** `tidemark read`: the read app of data center B. */
import { collectDefaultMetrics } from 'prom-client';
import type { SettingsOf } from '../env.js';
import { readApp } from '../http/read-app.js';
import { createServer, serveUntilSignal } from '../http/serve.js';
import { createReader } from '../reader/create-reader.js';

/** Listens at once, not ready; resolves when MySQL-B has answered for the first time.
 * @throws SchemaError, AccessDeniedError which waiting would not heal */
export async function readCommand(settings: SettingsOf<'read'>): Promise<void> {
  const { host, port, logLevel, readTokens: tokens } = settings;
  const { maxConnections, maxEventLoopDelayMs, rateLimitPerSecond } = settings;
  const limits = { maxEventLoopDelayMs, rateLimitPerSecond };
  const server = createServer({ logLevel, maxConnections });
  const { table, keyColumn, valueColumn, versionColumn } = settings;
  const reader = createReader({
    ...settings,
    mysql: settings.mysqlBUrl,
    redis: settings.redisUrl,
    tableNames: { table, keyColumn, valueColumn, versionColumn },
    logger: server.log,
  });
  collectDefaultMetrics({ register: reader.metrics });
  const page = settings.page === 'on';
  await server.register(readApp, { reader, tokens, limits, page, onClose: () => reader.stop() });
  await serveUntilSignal(server, { host, port });
  try {
    await reader.start();
  } catch (error) {
    await server.close();
    throw error;
  }
}
