import { Redis } from 'ioredis';
import { createPool } from 'mysql2/promise';
import { afterEach, expect, test, vi } from 'vitest';
import { createReader, InvalidOptionsError } from '../../src/index.js';
import { PollLoop } from '../../src/reader/poll-loop.js';

vi.mock('../../src/reader/poll-loop.js', { spy: true });

/** Clients that connect to nothing before they are used. */
const clients = () => ({
  mysql: createPool({ host: '127.0.0.1', port: 1 }),
  redis: new Redis({ host: '127.0.0.1', port: 1, lazyConnect: true }),
});

/** The interval that the loop of a new reader got. */
function intervalOf(options: { pollIntervalMs?: number } = {}): number | undefined {
  createReader({ ...clients(), ...options });
  return vi.mocked(PollLoop).mock.lastCall?.[0].intervalMs;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each<[string, string, { pollIntervalMs?: number }, number]>([
  ['250 ms when nothing says otherwise', '', {}, 250],
  ['what POLL_INTERVAL_MS says', '40', {}, 40],
  ['what its option says, before the environment', '40', { pollIntervalMs: 70 }, 70],
])('an embedded reader polls every %s', (_, variable, options, expected) => {
  vi.stubEnv('POLL_INTERVAL_MS', variable);
  expect(intervalOf(options)).toBe(expected);
});

test('a typo in POLL_INTERVAL_MS is named with what was got, beside all other faults', () => {
  vi.stubEnv('POLL_INTERVAL_MS', 'fast');
  const create = () => createReader({ ...clients(), pageSize: 0 });
  expect(create).toThrow(InvalidOptionsError);
  expect(create).toThrow('Expected POLL_INTERVAL_MS to be a whole number above 0, got fast');
  expect(create).toThrow('Expected pageSize to be a whole number above 0, got 0');
});

/** Whether the loop of a new reader has something that wakes it. */
function isWoken(options: { earlyWake?: 'auto' | 'off' } = {}): boolean {
  createReader({ ...clients(), ...options });
  return vi.mocked(PollLoop).mock.lastCall?.[0].wake !== undefined;
}

test.each<[string, string, { earlyWake?: 'auto' | 'off' }, boolean]>([
  ['is woken early when nothing says otherwise', '', {}, true],
  ['is not when EARLY_WAKE says off', 'off', {}, false],
  ['is when its option says so, before the environment', 'off', { earlyWake: 'auto' }, true],
  ['is not when its option says so', '', { earlyWake: 'off' }, false],
])('an embedded reader %s', (_, variable, options, expected) => {
  vi.stubEnv('EARLY_WAKE', variable);
  expect(isWoken(options)).toBe(expected);
});

test('a typo in EARLY_WAKE is named with what was got', () => {
  vi.stubEnv('EARLY_WAKE', 'of');
  const expected = "Expected EARLY_WAKE to be 'auto' or 'off', got of";
  expect(() => createReader(clients())).toThrow(expected);
});

test('an option that says when to audit, and does not, is named', () => {
  const create = () => createReader({ ...clients(), auditCron: 'sometimes', auditSample: 0 });
  expect(create).toThrow("Expected auditCron to be a cron expression or 'off', got sometimes");
  expect(create).toThrow('Expected auditSample to be a whole number above 0, got 0');
  vi.stubEnv('AUDIT_CRON', 'never');
  const expected = "Expected AUDIT_CRON to be a cron expression or 'off', got never";
  expect(() => createReader(clients())).toThrow(expected);
  vi.stubEnv('AUDIT_CRON', 'off');
  expect(() => createReader(clients())).not.toThrow();
});
