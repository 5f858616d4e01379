/** What npm installs is what was looked at: each package by its hash, none with a script of its own. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Locked {
  readonly integrity?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
  readonly dev?: boolean;
}

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
