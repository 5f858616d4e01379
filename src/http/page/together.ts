/** The readers of one process as if they were one: each figure is the one that someone should worry
 * about. */
import type { AuditStatus } from '../../reader/auditor.js';
import type { ReaderStatus } from '../../reader/status.js';

/** @param all one at least */
export function together(all: readonly ReaderStatus[]): ReaderStatus {
  const [first, ...more] = all;
  if (first === undefined) throw new RangeError('Expected the status of a reader, got none.');
  return more.reduce(worse, first);
}

function worse(one: ReaderStatus, other: ReaderStatus): ReaderStatus {
  return {
    ready: one.ready && other.ready,
    stale: one.stale || other.stale,
    applied: Math.min(one.applied, other.applied),
    head: Math.max(one.head, other.head),
    ageMs: greater(one.ageMs, other.ageMs),
    lagMs: greater(one.lagMs, other.lagMs),
    pollFailures: Math.max(one.pollFailures, other.pollFailures),
    reads: sums(one.reads, other.reads),
    local: sums(one.local, other.local),
    redis: {
      breaker: one.redis.breaker === 'closed' ? other.redis.breaker : one.redis.breaker,
      asked: Math.min(one.redis.asked, other.redis.asked),
      marks: [...one.redis.marks, ...other.redis.marks],
    },
    audit: sumOfAudits(one.audit, other.audit),
  };
}

/** Null is what nothing is known of yet. */
function greater(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : Math.max(one, other);
}

function sums<Names extends string>(
  one: Readonly<Record<Names, number>>,
  other: Readonly<Record<Names, number>>,
): Record<Names, number> {
  const names = Object.keys(one) as Names[]; // of a plain object with these members
  const entries = names.map((name) => [name, one[name] + other[name]]);
  return Object.fromEntries(entries) as Record<Names, number>;
}

function sumOfAudits(one: AuditStatus, other: AuditStatus): AuditStatus {
  const { lastAt: first, ...figures } = one;
  const { lastAt: second, ...others } = other;
  const lastAt = [first, second].filter((at) => at !== null).toSorted()[0] ?? null;
  return { ...sums(figures, others), lastAt };
}
