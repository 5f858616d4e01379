/** What the routes of the read app call of a reader, so that something else can take its place. */
import type { Reader, ReaderEvents } from '../reader/reader.js';

/** The part of a Reader that the app calls. */
export type Readings = Pick<
  Reader,
  | 'peek'
  | 'get'
  | 'getMany'
  | 'list'
  | 'watch'
  | 'changed'
  | 'hint'
  | 'readers'
  | 'ready'
  | 'status'
  | 'metrics'
> &
  Telling;

/** Of an EventEmitter, what the page uses. */
interface Telling {
  on(event: 'change', listener: (...change: ReaderEvents['change']) => void): unknown;
  off(event: 'change', listener: (...change: ReaderEvents['change']) => void): unknown;
}

/** Readers by the names of their collections, such as what `createReaders` returns. */
export type ReadingsByName = Iterable<readonly [name: string, reader: Readings]>;
