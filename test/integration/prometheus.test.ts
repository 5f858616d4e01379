/**
 * A real Prometheus scrapes real apps: each expression of the dashboard gives data, and each alert
 * rule is evaluated. What promtool cannot see is seen here: a metric or a label that nobody exports.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppProcess } from '../../src/demo/app-process.js';
import { expressions, isOfAbsentPart, metricsIn } from '../support/dashboard.js';
import { createDatabase, flavors, type TestDatabase } from '../support/data-centers.js';
import { hasPrometheus, Prometheus, requiredPrometheus } from '../support/prometheus.js';
import { until } from '../support/until.js';

const RULES = fileURLToPath(new URL('../../ops/alerts.yml', import.meta.url));
/** Nothing has these labels before something has gone wrong. */
const AFTER_A_FAULT = ['tidemark_write_retries_total'];

describe.skipIf(!hasPrometheus()).each(flavors)('Prometheus beside apps on %s', (flavor) => {
  let db: TestDatabase;
  const apps: AppProcess[] = [];
  let prometheus: Prometheus;
  let scraped: ReadonlySet<string>;
  let writes = 0;

  beforeAll(async () => {
    const programs = requiredPrometheus();
    db = await createDatabase(flavor);
    const env = { ...process.env, MYSQL_A_URL: db.a, MYSQL_B_URL: db.b, REDIS_URL: db.redis };
    for (const command of ['write', 'read', 'read'] as const) {
      apps.push(await AppProcess.spawn({ name: `${command} app`, command, env }));
    }
    await Promise.all(apps.map((app) => app.untilReady(AbortSignal.timeout(45_000))));
    const targets = apps.map(({ url }) => url);
    prometheus = await Prometheus.start(programs, { targets, ruleFile: RULES });
    const texts = await Promise.all(targets.map((url) => textOf(`${url}/metrics`)));
    scraped = new Set(texts.flatMap((text) => text.match(/(?<=^# TYPE )\w+/gm) ?? []));
  });

  afterAll(async () => {
    await prometheus?.stop();
    await Promise.all(apps.map((app) => app.stop()));
    await db?.drop();
  });

  async function textOf(url: string, init: RequestInit = {}): Promise<string> {
    const answer = await fetch(url, init);
    if (!answer.ok) throw new Error(`Expected an answer of ${url}, got ${answer.status}`);
    return await answer.text();
  }

  /** A write, which each reader finds in Redis and then in its memory, and a key that none has
   * asked for. */
  async function traffic(): Promise<void> {
    const [write, ...reads] = apps.map(({ url }) => url);
    const path = `v1/configs/k${writes++ % 10}`;
    const answer = await textOf(`${write}/${path}`, { method: 'PUT', body: `${writes}` });
    const headers = { 'Tidemark-Min-Version': String(JSON.parse(answer).version) };
    for (const read of [...reads, ...reads]) await textOf(`${read}/${path}`, { headers });
    await textOf(`${reads[0]}/v1/configs?keys=nobody-${writes}`);
  }

  test('every expression of the dashboard gives data', async () => {
    for (const { panel, expr } of expressions('5s')) {
      const metrics = metricsIn(expr);
      if (metrics.some((name) => AFTER_A_FAULT.includes(name))) continue;
      if (metrics.some((name) => isOfAbsentPart(name, scraped))) continue;
      for (const name of metrics) expect(scraped, panel).toContain(name);
      await until(`data for "${panel}": ${expr}`, async () => {
        await traffic();
        const samples = await prometheus.query(expr);
        return samples.some(({ value }) => !Number.isNaN(value));
      });
    }
  });

  test('reads are told apart by the tier that answered', async () => {
    await until('reads by each tier', async () => {
      await traffic();
      const samples = await prometheus.query('sum by (tier) (tidemark_reads_total) > 0');
      return samples.length === 3;
    });
    const [loads] = await prometheus.query(
      'sum(tidemark_load_seconds_count{tier="mysql"}) + sum(tidemark_load_seconds_count{tier="redis"})',
    );
    expect(loads?.value).toBeGreaterThan(0);
  });

  test('every alert rule is evaluated, and only those fire that should', async () => {
    const rules = await until('an evaluation of all rules', async () => {
      const all = await prometheus.rules();
      return all.length > 10 && all.every(({ health }) => health === 'ok') ? all : undefined;
    });
    for (const { annotations } of rules) {
      expect(Object.keys(annotations).toSorted()).toEqual(['description', 'runbook', 'summary']);
    }
    const firing = await prometheus.query('ALERTS{alertstate="firing"}');
    expect(firing.map(({ metric }) => metric.alertname)).toEqual([]);
  });
});
