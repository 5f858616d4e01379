/** The metrics of a reader, a writer and its maintenance that connect to nothing. */
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import { createReader, Maintenance, Writer } from '../../src/index.js';

export interface Registries {
  readonly reader: Registry;
  readonly writer: Registry;
  readonly maintenance: Registry;
}

const logger = { debug() {}, info() {}, warn() {}, error() {} };

export function registriesOfAll(): Registries {
  const mysql = 'mysql://nobody:nothing@127.0.0.1:1/nowhere';
  const reader = createReader({ mysql, redis: 'redis://127.0.0.1:1', logger });
  const writer = new Writer({ mysql });
  const maintenance = new Registry();
  new Maintenance({ pool: writer.pool, logger, registry: maintenance });
  onTestFinished(async () => void (await Promise.all([reader.stop(), writer.close()])));
  return { reader: reader.metrics, writer: writer.metrics, maintenance };
}
