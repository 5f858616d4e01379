/** Both apps, listening, over a real writer and a real reader. */
import type { FastifyInstance } from 'fastify';
import type { Limits } from '../../src/http/limits.js';
import { readApp } from '../../src/http/read-app.js';
import { createServer, type ServerOptions } from '../../src/http/serve.js';
import { writeApp } from '../../src/http/write-app.js';
import {
  type CreateReaderOptions,
  createReader,
  Maintenance,
  type Reader,
  Writer,
} from '../../src/index.js';
import type { TestDatabase } from './data-centers.js';
import { readerOptions, SILENT } from './readers.js';
import { until } from './until.js';

export interface HttpApps {
  readonly writing: FastifyInstance;
  readonly reading: FastifyInstance;
  readonly reader: Reader;
  readonly writer: Writer;
  close(): Promise<void>;
}

export interface HttpAppsOptions {
  readonly tokens?: readonly string[];
  readonly reader?: Partial<CreateReaderOptions>;
  readonly limits?: Limits;
  readonly server?: Partial<ServerOptions>;
}

export async function startHttpApps(
  db: TestDatabase,
  options: HttpAppsOptions = {},
): Promise<HttpApps> {
  const { tokens, limits } = options;
  const serverOptions = { logLevel: 'silent', ...options.server };
  const [writing, reading] = [createServer(serverOptions), createServer(serverOptions)];
  const writer = new Writer({ mysql: db.writer });
  const { pool, metrics: registry } = writer;
  const maintenance = new Maintenance({ pool, registry, logger: SILENT }); // for its heartbeat
  maintenance.start();
  const onClose = async () => {
    await maintenance.stop();
    await writer.close();
  };
  await writing.register(writeApp, { writer, maintenance, tokens, limits, onClose });
  const reader = createReader(readerOptions(db, options.reader));
  await reading.register(readApp, { reader, tokens, limits, onClose: () => reader.stop() });
  await reader.start();
  await until('a ready reader', () => reader.ready);
  for (const server of [writing, reading]) await server.listen({ host: '127.0.0.1', port: 0 });
  const close = async () => {
    await Promise.all([writing.close(), reading.close()]);
  };
  return { writing, reading, reader, writer, close };
}
