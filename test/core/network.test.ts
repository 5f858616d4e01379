import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import { isNetwork } from '../../src/core/network.js';

describe('an address or a network', () => {
  test.each([
    '10.0.0.1',
    '10.0.0.0/8',
    '10.0.0.1/32',
    '::1',
    'fd00::/8',
    '2001:db8::1/128',
    '::ffff:10.0.0.1',
  ])('%s is one, for Fastify, too', async (text) => {
    expect(isNetwork(text)).toBe(true);
    expect(() => Fastify({ trustProxy: [text] })).not.toThrow();
  });

  test.each([
    '',
    ' ',
    'true',
    '*',
    '1',
    'loopback',
    'proxy.example',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '10.0.0.0/',
    '10.0.0.0/255.0.0.0',
    'fd00::/129',
    'fe80::1%eth0',
    '10.0.0.1:80',
  ])('%j is none', (text) => {
    expect(isNetwork(text)).toBe(false);
  });

  test.each(['0.0.0.0/0', '::/0'])('%s would be everybody, and is none', (text) => {
    expect(isNetwork(text)).toBe(false);
  });
});
