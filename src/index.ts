/** Tidemark's public parts. See README.md for an example; the Fastify plugins are `tidemark/http`. */

export type { Announcement } from './core/announcement.js';
export type { Collection, CollectionOptions } from './core/collection.js';
export type { RebaseReason } from './core/position.js';
export { Reading, type ReadOptions, type Tier } from './core/reading.js';
export type { TableNames } from './core/table.js';
export * from './errors.js';
export type { Logger } from './logger.js';
export { bridgeToOpenTelemetry } from './metrics/open-telemetry.js';
export { type MigrateOptions, type MigrateResult, migrate } from './mysql/migrate.js';
export type { Audit, AuditStatus } from './reader/auditor.js';
export {
  type CreateReaderOptions,
  type CreateReadersOptions,
  createReader,
  createReaders,
  READER_DEFAULTS,
} from './reader/create-reader.js';
export type { HintOutcome } from './reader/hints.js';
export type { ChangedOptions } from './reader/key-changes.js';
export type { ListOptions, Reader, ReaderEvents } from './reader/reader.js';
export type { Readers } from './reader/readers.js';
export type { ReaderStatus } from './reader/status.js';
export type {
  Watch,
  WatchChange,
  WatchEvent,
  WatchOptions,
  WatchReset,
} from './reader/watch.js';
export { redaction } from './redaction.js';
export { HintSender, type HintSenderOptions } from './writer/hint-sender.js';
export {
  MAINTENANCE_DEFAULTS,
  Maintenance,
  type MaintenanceOptions,
  type MaintenanceStatus,
} from './writer/maintenance.js';
export { InvalidBatchError, KeyCollisionError } from './writer/write-errors.js';
export type { Batch, DeleteCondition, PutCondition, Value } from './writer/write-plan.js';
export {
  type DeleteResult,
  type PutResult,
  WRITER_DEFAULTS,
  Writer,
  type WriterOptions,
} from './writer/writer.js';
