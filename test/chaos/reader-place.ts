/**
 * One place in data center B for a reader: its own way to MySQL-B and to Redis, each through a
 * proxy, and the process that stands there, which is killed, paused and started again.
 */
import type { FaultProxy } from './proxy.js';

export interface ReaderPlace {
  readonly name: string;
  /** In front of MySQL-B, for this reader alone. */
  readonly mysql: FaultProxy;
  /** In front of Redis: for this reader alone where there is one server, else shared by all. */
  readonly redis: readonly FaultProxy[];
  /** Starts a process, and its reading; it need not be ready. */
  start(): Promise<void>;
  kill(): Promise<void>;
  /** An orderly end. */
  stop(): Promise<void>;
  pause(): void;
  resume(): void;
  /** What the instance has applied; undefined when it does not say. */
  applied(): Promise<number | undefined>;
  /** Sets its wall clock so far ahead of the true time, where that can be done. */
  setClock?(aheadMs: number): Promise<void>;
  /** Versions that its readers may demand, where they can be told. */
  wrote?(key: string, version: number): void;
  /** Those versions are of a history that is gone. */
  forgetWrites?(): void;
  /** What it answers for each key now. */
  answers(keys: readonly string[]): Promise<Map<string, string | null>>;
  /** Stops reading, the process stays. */
  stopReading(): Promise<void>;
  /** Ends that nobody asked for. */
  readonly deaths: readonly string[];
}
