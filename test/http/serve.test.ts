import { describe, expect, test } from 'vitest';
import { InvalidOptionsError } from '../../src/errors.js';
import { assertMayServeWrites, isLoopback } from '../../src/http/serve.js';

describe('where writes may be served without tokens', () => {
  test.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('%s is this machine', (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(() => assertMayServeWrites(host, [])).not.toThrow();
  });

  test.each([
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '::2',
    '127.0.0.1.evil.example',
    '',
    'db-a',
    '128.0.0.1',
  ])('%s may be the network', (host) => {
    expect(isLoopback(host)).toBe(false);
    expect(() => assertMayServeWrites(host, [])).toThrow(InvalidOptionsError);
    expect(() => assertMayServeWrites(host, [])).toThrow(/WRITE_TOKENS/);
    expect(() => assertMayServeWrites(host, ['token'])).not.toThrow();
  });
});
