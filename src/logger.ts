import { type LoggerOptions, pino } from 'pino';
import { redaction } from './redaction.js';

/** The part of pino's logger that Tidemark calls. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How every logger of Tidemark's own is made. */
export function loggerOptions(level: string): LoggerOptions {
  return { ...redaction, level };
}

export function createLogger(level: string): Logger {
  return pino(loggerOptions(level));
}
