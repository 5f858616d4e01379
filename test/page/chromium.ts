/** The distribution's Chromium, headless, with an empty profile of its own for each run of a file. */
import { type Browser, chromium } from 'playwright-core';
import { findChromium, required } from '../../src/demo/programs.js';

/** Without it the tests are left out; with CI=true they fail instead. */
export const hasBrowser = findChromium() !== undefined || process.env.CI === 'true';
if (!hasBrowser) console.warn('No chromium on this machine: the tests of the pages are left out.');

const ARGS = [
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/** @param more arguments of the command line */
export async function launch(...more: string[]): Promise<Browser> {
  const executablePath = required(findChromium(), 'chromium');
  // Not its `headless: true`, which is another program than what people have.
  return await chromium.launch({ executablePath, args: [...ARGS, ...more], headless: false });
}
