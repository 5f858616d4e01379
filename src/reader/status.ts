/** How a reader stands, for people and dashboards. */
import type { Tier } from '../core/reading.js';
import type { LocalTier } from '../local/tier.js';
import type { RedisTier } from '../redis/tier.js';
import type { AuditStatus } from './auditor.js';
import type { Reconciler } from './reconciler.js';

/** A plain object. */
export interface ReaderStatus {
  readonly ready: boolean;
  readonly stale: boolean;
  readonly applied: number;
  readonly head: number;
  /** How long ago, at most, it was complete. */
  readonly ageMs: number | null;
  /** How late data center A's newest heartbeat was here, by the clocks of both. */
  readonly lagMs: number | null;
  readonly pollFailures: number;
  /** Reads answered since the start, by the tier that answered. */
  readonly reads: Readonly<Record<Tier, number>>;
  readonly local: { entries: number; absences: number; bytes: number; fillsInFlight: number };
  readonly redis: {
    breaker: 'closed' | 'open' | 'half-open';
    /** The newest rebase that was asked for and that this reader has done, by its number; 0 before. */
    asked: number;
    marks: { bucket: number; generation: string | null; version: number | null }[];
  };
  readonly audit: AuditStatus;
}

/** What its parts say. */
export function statusOf(parts: {
  readonly local: LocalTier<unknown>;
  readonly redis: RedisTier;
  readonly reconciler: Reconciler;
}): Pick<ReaderStatus, 'applied' | 'head' | 'ageMs' | 'lagMs' | 'local' | 'redis'> {
  const { local, redis, reconciler } = parts;
  const { lagMs } = reconciler;
  const ageMs = reconciler.ageMs();
  return {
    applied: local.applied.version,
    head: reconciler.head,
    ageMs: Number.isFinite(ageMs) ? Math.round(ageMs) : null,
    lagMs: lagMs === undefined ? null : Math.round(lagMs),
    local: {
      entries: local.entries,
      absences: local.absences,
      bytes: local.bytes,
      fillsInFlight: local.flights,
    },
    redis: {
      breaker: redis.breakerState,
      asked: reconciler.asked,
      marks: Array.from({ length: redis.buckets }, (_, bucket) => ({
        bucket,
        generation: redis.adopted(bucket) ?? null,
        version: reconciler.markVersions.get(bucket) ?? null,
      })),
    },
  };
}
