/**
 * What a reader counts, as prom-client metrics in a registry of its own. Hits are plain numbers, read
 * at scrape time, so that a local hit pays one addition.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { REBASE_REASONS } from '../core/position.js';
import type { Tier } from '../core/reading.js';
import type { LocalTier } from '../local/tier.js';
import { MirroredHistogram } from '../metrics/mirrored-histogram.js';
import type { FillReply, RedisTier } from '../redis/tier.js';
import type { Auditor, AuditStatus } from './auditor.js';
import type { Reconciler } from './reconciler.js';

export interface MeasuredParts {
  readonly local: LocalTier<unknown>;
  readonly redis: RedisTier;
  readonly reconciler: Reconciler;
  /** The tracked table's name, as the log's rows carry it. */
  readonly table: string;
  readonly wake?: { readonly wakes: { readonly news: number; readonly nothing: number } };
}

const FILL_REPLIES: readonly FillReply[] = ['stored', 'replaced', 'refused', 'generation'];
const GENERATION_REASONS = ['missing', ...REBASE_REASONS.filter((reason) => reason !== 'start')];

export class ReaderMetrics {
  readonly registry = new Registry();
  readonly hits: Record<Tier, number> = { local: 0, redis: 0, mysql: 0 };
  pollFailures = 0;
  redisFaults = 0;
  refusedLoads = 0;
  #fillsRedisRefused = 0;
  readonly #fills: Counter<'reply'>;
  readonly #loads: MirroredHistogram<'tier'>;

  constructor({ local, redis, reconciler, table, wake }: MeasuredParts) {
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
    this.#gauge(
      'tidemark_replication_age_seconds',
      'Age of the newest heartbeat that MySQL-B has shown, by the clocks of both.',
      () => Math.max(0, Date.now() - reconciler.beatAtMs) / 1000,
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
    this.#gauge(
      'tidemark_redis_breaker_open',
      '1 while Redis is not asked, but for a trial each second.',
      () => (redis.breakerState === 'closed' ? 0 : 1),
    );
    new Counter({
      name: 'tidemark_early_wakes_total',
      help: 'Waits that a transaction on MySQL-B has ended, by whether it brought news.',
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
    this.#fills = this.#counter(
      'tidemark_redis_fills_total',
      'Fills of Redis, by its reply.',
      'reply',
      FILL_REPLIES,
    );
    const refusedFills = () => ({ local: local.refusedFills, redis: this.#fillsRedisRefused });
    new Counter({
      name: 'tidemark_refused_fills_total',
      help: 'Loads that a tier did not keep, because more was known by then.',
      labelNames: ['tier'],
      registers,
      collect() {
        this.reset();
        for (const [tier, count] of Object.entries(refusedFills())) this.inc({ tier }, count);
      },
    });
    this.#loads = new MirroredHistogram({
      name: 'tidemark_load_seconds',
      help: 'Time in which a tier answered loads that were asked for together.',
      labelNames: ['tier'],
      registers,
    });
    this.#loads.zero({ tier: 'redis' });
    this.#loads.zero({ tier: 'mysql' });
    this.#count(reconciler, table);
  }

  filled(reply: FillReply): void {
    this.#fills.inc({ reply });
    if (reply === 'refused' || reply === 'generation') this.#fillsRedisRefused += 1;
  }

  /** A tier has answered some loads, after so long. */
  loaded(tier: Exclude<Tier, 'local'>, ms: number): void {
    this.#loads.record(ms / 1000, { tier });
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

  #count(reconciler: Reconciler, table: string): void {
    const registers = [this.registry];
    const changes = new Counter({
      name: 'tidemark_changes_total',
      help: 'Changes of the table taken in.',
      registers,
    });
    const propagation = this.#seconds(
      'tidemark_propagation_seconds',
      'From the change in data center A to its eviction here, by the clocks of both.',
    );
    const polls = this.#seconds(
      'tidemark_poll_seconds',
      'Time of the polls that MySQL-B answered.',
    );
    const applies = this.#seconds(
      'tidemark_apply_seconds',
      'Time in which Redis took a page of changes into one bucket.',
    );
    const rebases = this.#counter(
      'tidemark_rebases_total',
      'Times the reader started again from the head, by reason.',
      'reason',
      REBASE_REASONS,
    );
    const generations = this.#counter(
      'tidemark_redis_generations_total',
      'Generations that this reader started in Redis, by reason.',
      'reason',
      GENERATION_REASONS,
    );
    let answered = 0;
    this.#total('tidemark_polls_total', 'Polls that MySQL-B answered.', () => answered);
    reconciler.on('poll', (ms) => {
      answered += 1;
      polls.record(ms / 1000);
    });
    reconciler.on('apply', (ms) => applies.record(ms / 1000));
    reconciler.on('page', (page) => {
      const rows = page.rows.filter((row) => row.table === table); // of others, none was evicted
      changes.inc(rows.length);
      const now = Date.now();
      for (const row of rows) {
        const changedAtMs = Date.parse(`${row.changedAt.replace(' ', 'T')}Z`);
        if (!Number.isNaN(changedAtMs)) propagation.record(Math.max(0, now - changedAtMs) / 1000);
      }
    });
    reconciler.on('rebase', (reason) => rebases.inc({ reason }));
    reconciler.on('generation', (_bucket, reason) => generations.inc({ reason }));
  }

  #seconds(name: string, help: string): MirroredHistogram {
    return new MirroredHistogram({ name, help, registers: [this.registry] });
  }

  /** Its series are there from the start, at zero: what happens once is then an increase. */
  #counter<Label extends string>(
    name: string,
    help: string,
    label: Label,
    values: readonly string[],
  ): Counter<Label> {
    const registers = [this.registry];
    const counter = new Counter({ name, help, labelNames: [label], registers });
    for (const value of values) counter.inc({ [label]: value } as Record<Label, string>, 0); // one label
    return counter;
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
