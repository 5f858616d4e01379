/** A page as someone new sees it, who minds every error. */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';

/** What a page waits for comes within this, on any machine. */
const GIVE_UP_AFTER_MS = 45_000;

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
  context.setDefaultTimeout(GIVE_UP_AFTER_MS);
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
