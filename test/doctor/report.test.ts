import pico from 'picocolors';
import { describe, expect, test } from 'vitest';
import { doctorCommand } from '../../src/cli/doctor.js';
import type { Finding } from '../../src/doctor/finding.js';
import { reportJson, reportText } from '../../src/doctor/report.js';
import { readSettings } from '../../src/env.js';

const PLAIN = pico.createColors(false);
const FINDINGS: Finding[] = [
  { place: 'Redis', check: 'role', severity: 'ok', cause: 'master' },
  {
    place: 'MySQL-A',
    check: 'triggers',
    severity: 'fault',
    cause: 'none for UPDATE: readers are not told of such changes',
    remedy: 'tidemark migrate --to 2, then tidemark migrate',
  },
  { place: 'MySQL-A', check: 'version', severity: 'ok', cause: 'MySQL 9.7.4' },
];

describe('the report', () => {
  test('is aligned, in the order of the data, wrapped, and counts at its end', () => {
    expect(reportText(FINDINGS, 62, PLAIN).split('\n')).toEqual([
      'MySQL-A',
      '  FAULT    triggers  none for UPDATE: readers are not told',
      '                     of such changes',
      '                     -> tidemark migrate --to 2, then',
      '                        tidemark migrate',
      '  ok       version   MySQL 9.7.4',
      '',
      'Redis',
      '  ok       role      master',
      '',
      '1 fault, 0 warnings, 0 unknown, 2 ok',
    ]);
  });

  test('is not wider than a terminal', () => {
    for (const columns of [80, 100, 120]) {
      const lines = reportText(FINDINGS, columns, PLAIN).split('\n');
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
  });

  test('says all of it as JSON, too', () => {
    expect(JSON.parse(reportJson(FINDINGS))).toEqual({
      sound: false,
      counts: { ok: 2, unknown: 0, warning: 0, fault: 1 },
      findings: FINDINGS,
    });
  });
});

describe('the command', () => {
  async function run(environment: Record<string, string>) {
    const printed: string[] = [];
    const settings = readSettings('doctor', environment);
    const print = (line: string) => void printed.push(line);
    const isSound = await doctorCommand({ settings, json: true, print });
    return { isSound, report: JSON.parse(printed.join('\n')) };
  }

  test('wants one URL at least', async () => {
    await expect(run({})).rejects.toThrow(/at least one of MYSQL_A_URL, MYSQL_B_URL and REDIS_URL/);
  });

  test('is not content with a server that does not answer', async () => {
    const { isSound, report } = await run({ MYSQL_B_URL: 'mysql://u:pw@127.0.0.1:1/app' });
    expect(isSound).toBe(false);
    expect(report.findings.map((one: Finding) => `${one.place} ${one.severity}`)).toEqual([
      'MySQL-A unknown',
      'MySQL-B fault',
      'Redis unknown',
    ]);
  });
});
