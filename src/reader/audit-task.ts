/** When audits take place. */
import type { ScheduledTask } from 'node-cron';
import { cronTask } from '../cron.js';
import type { Logger } from '../logger.js';

export interface AuditTaskOptions {
  /** In cron's notation, with or without the second, or 'off'. */
  readonly auditCron?: string;
  readonly logger: Logger;
  /** In [0, 1). */
  readonly random: () => number;
}

/** A task that is yet to be started; none when audits are off. Where the second is left open, each
 * reader draws its own: a fleet must not ask MySQL-B all at once. */
export function auditTask(
  { auditCron = 'off', logger, random }: AuditTaskOptions,
  audit: () => Promise<unknown>,
): ScheduledTask | undefined {
  if (auditCron === 'off') return undefined;
  const hasSecond = auditCron.trim().split(/\s+/).length > 5;
  const cron = hasSecond ? auditCron : `${Math.floor(random() * 60)} ${auditCron}`;
  return cronTask(cron, { name: 'tidemark-audit', work: audit, logger });
}
