/** Tidemark's public parts. See README.md for an example. */

export type { RebaseReason } from './core/position.js';
export type { ReadOptions, Tier } from './core/reading.js';
export { Reading } from './core/reading.js';
export type { TableNames } from './core/table.js';
export { type CreateReaderOptions, createReader, READER_DEFAULTS } from './create-reader.js';
export * from './errors.js';
export type {
  ListOptions,
  Logger,
  Reader,
  ReaderEvents,
  ReaderStatus,
} from './reader.js';
