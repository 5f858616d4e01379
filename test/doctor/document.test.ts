/** The example in docs/commands.md of the doctor's output is what it prints. */
import { readFileSync } from 'node:fs';
import pico from 'picocolors';
import { expect, test } from 'vitest';
import { CHECKS } from '../../src/doctor/doctor.js';
import type { Facts } from '../../src/doctor/facts.js';
import { examine } from '../../src/doctor/finding.js';
import { reportText } from '../../src/doctor/report.js';
import { SOUND, TRACKED } from './sound-facts.js';

const COMMANDS = readFileSync(new URL('../../docs/commands.md', import.meta.url), 'utf8');

/** Replication has stopped, a trigger is gone, and the account of readers cannot see the triggers. */
const BROKEN: Facts = {
  ...SOUND,
  a: {
    ...SOUND.a,
    tracked: new Map([
      [
        'configs',
        {
          ...TRACKED,
          triggers: { value: TRACKED.triggers.value.filter(({ event }) => event !== 'UPDATE') },
        },
      ],
    ]),
  },
  b: {
    ...SOUND.b,
    tracked: new Map([
      ['configs', { ...TRACKED, triggers: { lacking: 'TRIGGER ON `app`.`configs`' } }],
    ]),
    channels: {
      value:
        'value' in SOUND.b.channels
          ? SOUND.b.channels.value.map((one) => ({ ...one, sql: 'No', sqlErrno: 1062 }))
          : [],
    },
  },
};

test('shows lines that the doctor prints, in their order, and its last one', () => {
  const printed = reportText(examine(CHECKS, BROKEN), 92, pico.createColors(false));
  const [, block = ''] = COMMANDS.split('$ tidemark doctor; echo $?\n');
  const shown = block.split('\n```')[0]?.split('\n') ?? [];
  expect(shown.length).toBeGreaterThan(10);
  expect(shown.pop()).toBe('1'); // its exit code
  let rest = printed.split('\n');
  for (const line of shown.filter((one) => one !== '  ...')) {
    expect(rest).toContain(line);
    rest = rest.slice(rest.indexOf(line) + 1);
  }
  expect(rest).toEqual([]);
});
