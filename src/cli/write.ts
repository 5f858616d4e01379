/** `tidemark write`: the write app of data center A, and the maintenance of the log. */
import { collectDefaultMetrics } from 'prom-client';
import type { SettingsOf } from '../env.js';
import { AccessDeniedError, SchemaError } from '../errors.js';
import { assertMayServeWrites, createServer, serveUntilSignal } from '../http/serve.js';
import { writeApp } from '../http/write-app.js';
import { bridgeToOpenTelemetry } from '../metrics/open-telemetry.js';
import { HintSender } from '../writer/hint-sender.js';
import { Maintenance } from '../writer/maintenance.js';
import { Writer } from '../writer/writer.js';

/** Resolves when it listens and MySQL-A has answered once, or may answer later.
 * @throws SchemaError, AccessDeniedError which waiting would not heal */
export async function writeCommand(settings: SettingsOf<'write'>): Promise<void> {
  const { host, port, logLevel, writeTokens: tokens } = settings;
  assertMayServeWrites(host, tokens);
  const { maxConnections, maxEventLoopDelayMs, rateLimitPerSecond } = settings;
  const limits = { maxEventLoopDelayMs, rateLimitPerSecond };
  const server = createServer({ logLevel, maxConnections });
  const { table, keyColumn, valueColumn, versionColumn } = settings;
  const hints = new HintSender({
    urls: settings.hintUrls,
    tokens: settings.hintTokens,
    onFault: (reason) => server.log.info({ reason }, 'a hint did not arrive; readers will poll'),
  });
  const writer = new Writer({
    mysql: settings.mysqlAUrl,
    names: { table, keyColumn, valueColumn, versionColumn },
    maxValueBytes: settings.maxValueBytes,
    hints,
  });
  collectDefaultMetrics({ register: writer.metrics });
  const maintenance = new Maintenance({
    pool: writer.pool,
    logger: server.log,
    retentionSeconds: settings.retentionHours * 3600,
    registry: writer.metrics,
  });
  if (settings.opentelemetry === 'on') await bridgeToOpenTelemetry(writer.metrics);
  const onClose = async () => {
    await maintenance.stop();
    await writer.close();
    hints.close();
  };
  await server.register(writeApp, { writer, maintenance, tokens, limits, onClose });
  await serveUntilSignal(server, { host, port });
  try {
    await writer.head();
  } catch (error) {
    if (error instanceof SchemaError || error instanceof AccessDeniedError) {
      await server.close();
      throw error;
    }
    server.log.warn({ reason: String(error) }, 'not ready yet');
  }
  maintenance.start();
}
