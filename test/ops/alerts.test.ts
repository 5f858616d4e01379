/** The alert rules, by Prometheus' own tool: their syntax, and what they do with made-up series. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { REBASE_REASONS } from '../../src/core/position.js';
import { isOfAbsentPart, metricsIn } from '../support/dashboard.js';
import { hasPrometheus, requiredPrometheus } from '../support/prometheus.js';
import { registriesOfAll } from '../support/registries.js';

const OPS = fileURLToPath(new URL('../../ops/', import.meta.url));
const RUNBOOK = new URL('../../docs/operations.md', import.meta.url);
const rules = readFileSync(`${OPS}alerts.yml`, 'utf8');
const names = rules.match(/(?<=- alert: )\w+/g) ?? [];

function check(...args: string[]): string {
  return execFileSync(requiredPrometheus().promtool, args, { cwd: OPS, encoding: 'utf8' });
}

describe.skipIf(!hasPrometheus())('promtool', () => {
  test('finds no fault in the rules', () => {
    expect(check('check', 'rules', 'alerts.yml')).toContain(`SUCCESS: ${names.length} rules found`);
  });

  test('sees each alert fire when it should, and all keep still when nothing is wrong', () => {
    expect(check('test', 'rules', 'alerts.test.yml')).toContain('SUCCESS');
  });
});

test('each alert is tested, and names its part of the runbook', () => {
  const tests = readFileSync(`${OPS}alerts.test.yml`, 'utf8');
  for (const name of names) expect(tests).toContain(`alertname: ${name} }`); // that it keeps still
  const fired = tests.replaceAll(/eval_time: 15m, alertname: \w+/g, '');
  for (const name of names) expect(fired).toContain(name);
  expect(rules.match(/^ +runbook: docs\/operations\.md#[a-z-]+$/gm)).toHaveLength(names.length);
});

test.skipIf(!existsSync(RUNBOOK))('the parts of the runbook are there', () => {
  const headings = readFileSync(RUNBOOK, 'utf8').match(/(?<=^#+ ).+$/gm) ?? [];
  const anchors = headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );
  const named = rules.match(/(?<=operations\.md#)[a-z-]+/g) ?? [];
  expect([...new Set(named)].filter((anchor) => !anchors.includes(anchor))).toEqual([]);
});

test.skipIf(!existsSync(RUNBOOK))(
  'each reason of a rebase is explained: in the alert, and in its part of the runbook',
  () => {
    const [, alert = ''] = /alert: TidemarkRebases\n(.*?)- alert:/s.exec(rules) ?? [];
    const [, part = ''] = /## Rebases\n(.*?)\n## /s.exec(readFileSync(RUNBOOK, 'utf8')) ?? [];
    const rows = part.match(/^\| `.*$/gm)?.map((row) => row.split('|')[1]) ?? [];
    for (const reason of REBASE_REASONS) {
      if (reason !== 'start') expect(alert).toContain(`\`${reason}\``);
      expect(rows.join()).toContain(`\`${reason}\``);
    }
  },
);

test('the rules name only metrics that there are', () => {
  const registries = Object.values(registriesOfAll());
  const metrics = registries.flatMap((registry) => registry.getMetricsAsArray());
  const known = new Set(metrics.map(({ name }) => name));
  const expressions = rules.replaceAll(/^ +(summary|description).*$/gm, '');
  const unknown = metricsIn(expressions).filter((name) => !known.has(name));
  expect(unknown.filter((name) => !isOfAbsentPart(name, known))).toEqual([]);
});
