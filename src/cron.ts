/** Work at set times, in cron's notation: one run at a time, and not a word on the console. */
import { createTask, type ScheduledTask, type Logger as TaskLogger, validate } from 'node-cron';
import type { Logger } from './logger.js';

/** A task that is yet to be started. `work` handles its own failures. */
export function cronTask(
  cron: string,
  { name, work, logger }: { name: string; work: () => Promise<unknown>; logger: Logger },
): ScheduledTask {
  // What node-cron has to say is for those who look into it.
  const tell = (message: string | Error) => logger.debug({}, String(message));
  const taskLogger: TaskLogger = { info: tell, warn: tell, error: tell, debug: tell };
  const quiet = { suppressMissedWarning: true, logger: taskLogger };
  return createTask(cron, work, { ...quiet, name, noOverlap: true, timezone: 'UTC' });
}

/** Whether that says when, or 'off'. */
export function isCron(text: string): boolean {
  return text === 'off' || validate(text);
}
