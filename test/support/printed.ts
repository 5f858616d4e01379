/** A real pino logger as Tidemark makes it, and what it prints. */
import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { loggerOptions } from '../../src/logger.js';

export interface Printed {
  readonly logger: Logger;
  readonly lines: string[];
}

export function printed(level = 'trace'): Printed {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { logger: pino(loggerOptions(level), stream), lines };
}
