/**
 * What a reader counts, as prom-client metrics in a registry of its own. Hits are plain numbers, read
 * at scrape time, so that a local hit pays one addition.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Tier } from '../core/reading.js';
import type { LocalTier } from '../local/tier.js';
import type { FillReply, RedisTier } from '../redis/tier.js';
import type { Auditor, AuditStatus } from './auditor.js';
import type { Reconciler } from './reconciler.js';

export interface MeasuredParts {
  readonly local: LocalTier<unknown>;
  readonly redis: RedisTier;
  readonly reconciler: Reconciler;
  readonly wake?: { readonly wakes: { readonly news: number; readonly nothing: number } };
}

/** From a local network to a replica that is minutes behind. */
const PROPAGATION_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
];

export class ReaderMetrics {
  readonly registry = new Registry();
  readonly hits: Record<Tier, number> = { local: 0, redis: 0, mysql: 0 };
  polls = 0;
  pollFailures = 0;
  redisFaults = 0;
  refusedLoads = 0;
  readonly #fills: Counter<'reply'>;

  constructor({ local, redis, reconciler, wake }: MeasuredParts) {
    const registers = [this.registry];
    const hits = this.hits;
    new Counter({
      name: 'tidemark_reads_total',
      help: 'Reads answered, by the tier that answered.',
      labelNames: ['tier'],
      registers,
      collect() {
        this.reset();
        for (const [tier, count] of Object.entries(hits)) this.inc({ tier }, count);
      },
    });
    this.#gauge(
      'tidemark_applied_version',
      'Position up to which the local tier is coherent.',
      () => local.applied.version,
    );
    this.#gauge('tidemark_head_version', 'Newest version seen on MySQL-B.', () => reconciler.head);
    this.#gauge(
      'tidemark_staleness_seconds',
      'How long ago, at most, this reader was complete.',
      () => reconciler.ageMs() / 1000,
    );
    this.#gauge('tidemark_local_entries', 'Values held locally.', () => local.entries);
    this.#gauge('tidemark_local_absences', 'Absent keys held locally.', () => local.absences);
    this.#gauge('tidemark_local_bytes', 'Size of the local tier.', () => local.bytes);
    this.#gauge('tidemark_fills_in_flight', 'Loads that have not returned.', () => local.flights);
    this.#total(
      'tidemark_refused_loads_total',
      'Loads refused because too many were in flight.',
      () => this.refusedLoads,
    );
    this.#gauge('tidemark_redis_breaker_open', '1 while Redis is not asked.', () =>
      redis.breakerState === 'open' ? 1 : 0,
    );
    this.#total('tidemark_polls_total', 'Polls of MySQL-B.', () => this.polls);
    new Counter({
      name: 'tidemark_early_wakes_total',
      help: 'Polls begun early because MySQL-B had applied a transaction, by what they found.',
      labelNames: ['found'],
      registers,
      collect() {
        this.reset();
        for (const [found, count] of Object.entries(wake?.wakes ?? {})) this.inc({ found }, count);
      },
    });
    this.#total(
      'tidemark_poll_failures_total',
      'Polls of MySQL-B that failed.',
      () => this.pollFailures,
    );
    this.#total(
      'tidemark_redis_faults_total',
      'Calls of Redis that failed.',
      () => this.redisFaults,
    );
    this.#total(
      'tidemark_redis_corrupt_entries_total',
      'Entries in Redis that did not decode.',
      () => redis.corruptEntries,
    );
    this.#fills = new Counter({
      name: 'tidemark_redis_fills_total',
      help: 'Fills of Redis, by its reply.',
      labelNames: ['reply'],
      registers,
    });
    this.#count(reconciler);
  }

  filled(reply: FillReply): void {
    this.#fills.inc({ reply });
  }

  countAudits(auditor: Auditor): void {
    const total = (name: string, help: string, of: Exclude<keyof AuditStatus, 'lastAt'>) =>
      this.#total(`tidemark_audit_${name}_total`, help, () => auditor.status[of]);
    total('completed', 'Audits that were finished.', 'completed');
    total('skipped', 'Audits cut short, because a server did not answer.', 'skipped');
    total('sampled', 'Entries that audits looked at.', 'sampled');
    total('checked', 'Entries that audits could compare with MySQL-B.', 'checked');
    total('mismatches', 'Entries that MySQL-B has changed without the log.', 'mismatches');
    total('repairs', 'Times that all caches were dropped because of mismatches.', 'repaired');
  }

  #count(reconciler: Reconciler): void {
    const registers = [this.registry];
    const changes = new Counter({
      name: 'tidemark_changes_total',
      help: 'Changes of the log taken in.',
      registers,
    });
    const propagation = new Histogram({
      name: 'tidemark_propagation_seconds',
      help: 'From the change in data center A to its eviction here, by the clocks of both.',
      buckets: PROPAGATION_SECONDS,
      registers,
    });
    const rebases = new Counter({
      name: 'tidemark_rebases_total',
      help: 'Times the reader started again from the head, by reason.',
      labelNames: ['reason'],
      registers,
    });
    const generations = new Counter({
      name: 'tidemark_redis_generations_total',
      help: 'Generations that this reader started in Redis, by reason.',
      labelNames: ['reason'],
      registers,
    });
    reconciler.on('page', (page) => {
      changes.inc(page.rows.length);
      const now = Date.now();
      for (const row of page.rows) {
        const changedAtMs = Date.parse(`${row.changedAt.replace(' ', 'T')}Z`);
        if (!Number.isNaN(changedAtMs)) propagation.observe(Math.max(0, now - changedAtMs) / 1000);
      }
    });
    reconciler.on('rebase', (reason) => rebases.inc({ reason }));
    reconciler.on('generation', (_bucket, reason) => generations.inc({ reason }));
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(value());
      },
    });
  }

  #total(name: string, help: string, value: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }
}
