/** What npm installs is what was looked at: each package by its hash, none with a script of its own,
 * all for the Node that package.json names. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';

interface Locked {
  readonly integrity?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
  readonly dev?: boolean;
  readonly engines?: { readonly node?: string };
}

/** npm's own reading of ranges; fastify brings it. */
const semver: {
  satisfies(version: string, range: string): boolean;
  minVersion(range: string): { readonly version: string };
} = createRequire(import.meta.url)('semver');

const file = new URL('../../package-lock.json', import.meta.url);
const lock: { packages: Record<string, Locked> } = JSON.parse(readFileSync(file, 'utf8'));
const packages = Object.entries(lock.packages).filter(([path]) => path !== '');

test('each package is locked by a SHA-512', () => {
  expect(packages.length).toBeGreaterThan(100);
  // npm leaves it out for the linter's programs of other platforms, which it has not seen.
  const ours = packages.filter(([, { dev, optional }]) => !(dev && optional));
  const loose = ours.filter(([, one]) => !one.integrity?.startsWith('sha512-'));
  expect(loose.map(([path]) => path)).toEqual([]);
});

test('nothing that runs in production has an install script', () => {
  const scripted = packages.filter(([, one]) => one.hasInstallScript && !one.dev);
  expect(scripted.map(([path]) => path)).toEqual([]);
});

// Where Tidemark is a dependency its `overrides` do not count: npm then takes cookie 2, and warns
// that it declares Node 22. It is part of fastify's `inject`, for tests, and runs on Node 20.
test('all that runs in production declares to run on the oldest Node that we do', () => {
  const { engines } = lock.packages[''] ?? {};
  const oldest = semver.minVersion(engines?.node ?? '').version;
  expect(oldest).toBe('20.15.0');
  const others = packages.filter(([, one]) => !one.dev && one.engines?.node !== undefined);
  expect(others.length).toBeGreaterThan(20);
  const tooNew = others.filter(([, one]) => !semver.satisfies(oldest, one.engines?.node ?? ''));
  expect(tooNew.map(([path, one]) => `${path}: ${one.engines?.node}`)).toEqual([]);
});
