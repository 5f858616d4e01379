/** `tidemark write`: the write app of data center A, and the maintenance of the log. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Collection } from '../core/collection.js';
import { parseCollections } from '../core/collections-text.js';
import type { SettingsOf } from '../env.js';
import { AccessDeniedError, SchemaError } from '../errors.js';
import { assertMayServeWrites, createServer, serveUntilSignal } from '../http/serve.js';
import { writeApp } from '../http/write-app.js';
import { bridgeToOpenTelemetry } from '../metrics/open-telemetry.js';
import { openPool } from '../mysql/pool.js';
import { HintSender } from '../writer/hint-sender.js';
import { Maintenance } from '../writer/maintenance.js';
import { Writer } from '../writer/writer.js';

/** Resolves when it listens and MySQL-A has answered once, or may answer later.
 * @throws SchemaError, AccessDeniedError which waiting would not heal */
export async function writeCommand(settings: SettingsOf<'write'>): Promise<void> {
  const { host, port, logLevel, writeTokens: tokens } = settings;
  assertMayServeWrites(host, tokens);
  const { maxConnections, trustProxy, maxEventLoopDelayMs, rateLimitPerSecond } = settings;
  const limits = { maxEventLoopDelayMs, rateLimitPerSecond };
  const server = createServer({ logLevel, maxConnections, trustProxy });
  const { table, keyColumn, valueColumn, versionColumn } = settings;
  const names = { table, keyColumn, valueColumn, versionColumn };
  const hints = new HintSender({
    urls: settings.hintUrls,
    tokens: settings.hintTokens,
    onFault: (reason) => server.log.info({ reason }, 'a hint did not arrive; readers will poll'),
  });
  const collections = parseCollections(settings.collections, names);
  const writers = new Map(
    collections.map((one) => [one.name, writerOf(one, settings, hints)] as const),
  );
  const able = [...writers.values()].filter((writer) => writer !== undefined);
  if (collections.length > 1) {
    for (const [name, writer] of writers) writer?.metrics.setDefaultLabels({ collection: name });
  }
  const pool = able[0]?.pool ?? openPool(settings.mysqlAUrl, { connectionLimit: 1 });
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const maintenance = new Maintenance({
    pool,
    logger: server.log,
    retentionSeconds: settings.retentionHours * 3600,
    registry,
  });
  if (settings.opentelemetry === 'on') {
    for (const each of [registry, ...able.map((writer) => writer.metrics)]) {
      await bridgeToOpenTelemetry(each);
    }
  }
  const onClose = async () => {
    await maintenance.stop();
    await Promise.all(able.map((writer) => writer.close()));
    if (able.length === 0) await pool.end();
    hints.close();
  };
  const app = { writer: writers, registry, maintenance, tokens, limits, onClose };
  await server.register(writeApp, app);
  await serveUntilSignal(server, { host, port });
  try {
    await Promise.all(able.map((writer) => writer.head()));
  } catch (error) {
    if (error instanceof SchemaError || error instanceof AccessDeniedError) {
      await server.close();
      throw error;
    }
    server.log.warn({ reason: String(error) }, 'not ready yet');
  }
  maintenance.start();
}

/** Undefined when keys or values are several columns: those are written by SQL. */
function writerOf(
  { table, keyColumns, valueColumns, versionColumn }: Collection,
  settings: SettingsOf<'write'>,
  hints: HintSender,
): Writer | undefined {
  const [keyColumn, ...moreKeys] = keyColumns;
  const [valueColumn, ...moreValues] = valueColumns;
  if (keyColumn === undefined || valueColumn === undefined) return undefined;
  if (moreKeys.length + moreValues.length > 0) return undefined;
  const { mysqlAUrl: mysql, maxValueBytes } = settings;
  return new Writer({
    ...{ mysql, maxValueBytes, hints },
    names: { table, keyColumn, valueColumn, versionColumn },
  });
}
