/** The distribution's Chromium, headless, with an empty profile of its own for each run of a file. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { findChromium, required } from '../../src/demo/programs.js';

/** Without it the tests are left out; with CI=true they fail instead. */
export const hasBrowser = findChromium() !== undefined || process.env.CI === 'true';
if (!hasBrowser) console.warn('No chromium on this machine: the tests of the pages are left out.');

const ARGS = [
  ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

export async function launch(): Promise<Browser> {
  const executablePath = required(findChromium(), 'chromium');
  // Not its `headless: true`, which is another program than what people have.
  return await chromium.launch({ executablePath, args: ARGS, headless: false });
}

export interface Opening extends BrowserContextOptions {
  /** Faults that the test is about. */
  readonly expected?: RegExp;
  /** Whether the test moves the page's clock on. */
  readonly hasClock?: boolean;
}

/** Opens `url` as someone new. The test fails when the page reports an error, opens a dialog, or asks
 * another origin for anything. */
export async function open(browser: Browser, url: string, options: Opening = {}): Promise<Page> {
  const { expected, hasClock = false, ...contextOptions } = options;
  const context = await browser.newContext(contextOptions);
  const page = await context.newPage();
  const faults: string[] = [];
  const report = (fault: string) => {
    if (!expected?.test(fault)) faults.push(fault);
  };
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) report(message.text());
  });
  page.on('pageerror', (error) => report(String(error)));
  page.on('dialog', (dialog) => report(`a dialog: ${dialog.message()}`));
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (origin !== new URL(url).origin) report(`a request to ${request.url()}`);
  });
  onTestFinished(async () => {
    await context.close();
    expect(faults).toEqual([]);
  });
  if (hasClock) await page.clock.install();
  await page.goto(url);
  return page;
}
