/**
 * `npm run screenshot`: the pictures of the README, of the demo as it runs (docs/, or --to folder).
 * It writes for a minute first, so that there is something to see. With --all, also on a phone.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { Propagation } from '../../src/demo/propagation.js';
import { SAMPLE_SEED, sampleConfigs, seededRandom } from '../../src/demo/sample-configs.js';
import { startStage } from '../../src/demo/stage.js';
import { StagePage } from '../../src/demo/stage-page.js';
import { launch } from './chromium.js';

const READERS = 3;
const WRITES = 60;
const DESKTOP = { width: 1280, height: 960 };
const PHONE = { width: 360, height: 740 };

const { values } = parseArgs({
  options: { to: { type: 'string', default: 'docs' }, all: { type: 'boolean', default: false } },
});

interface Picture {
  readonly name: string;
  readonly url: string;
  readonly look: BrowserContextOptions;
  readonly prepare: (page: Page) => Promise<void>;
}

async function take(browser: Browser, { name, url, look, prepare }: Picture): Promise<void> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...look });
  const page = await context.newPage();
  await page.goto(url);
  await prepare(page);
  const path = join(values.to, name);
  await page.screenshot({ path, fullPage: look.viewport === PHONE });
  console.log(path);
  await context.close();
}

async function untilFresh(page: Page): Promise<void> {
  await page.getByRole('heading', { level: 1, name: 'Fresh' }).waitFor();
  await page.locator('.chart canvas').nth(1).waitFor();
  await page.locator('#reads tr:first-child td:last-child').getByText('%').waitFor();
}

async function untilTurned(page: Page): Promise<void> {
  await page.getByRole('heading', { name: `Reader ${READERS}` }).waitFor();
  await page.getByLabel('New value').fill('{"level":"debug","sampleRate":0.5}');
  await page.keyboard.press('Enter');
  await page.getByText(`All ${READERS} readers had it after`).waitFor();
}

async function takeAll(browser: Browser, readerUrl: string, demoUrl: string): Promise<void> {
  const schemes = ['light', 'dark'] as const;
  const shapes = values.all ? [DESKTOP, PHONE] : [DESKTOP];
  for (const viewport of shapes) {
    for (const colorScheme of schemes) {
      const suffix = `${colorScheme === 'dark' ? '-dark' : ''}${viewport === PHONE ? '-phone' : ''}`;
      const look = { viewport, colorScheme, isMobile: viewport === PHONE };
      await take(browser, { name: `page${suffix}.png`, url: readerUrl, look, prepare: untilFresh });
      if (suffix !== '' && !values.all) continue;
      await take(browser, { name: `demo${suffix}.png`, url: demoUrl, look, prepare: untilTurned });
    }
  }
}

/** What a service does: it reads, here some hundred keys again and again. */
async function readAlong(url: string): Promise<void> {
  const keys = sampleConfigs().slice(0, 200);
  while (!signal.aborted) {
    const { key = '' } = keys[Math.floor(Math.random() * keys.length)] ?? {};
    await fetch(`${url}/v1/configs/${key}`).then((response) => response.arrayBuffer());
    await delay(5);
  }
}

await mkdir(values.to, { recursive: true });
const ending = new AbortController();
const { signal } = ending;
const stage = await startStage({ flavor: 'mysql', readers: READERS, signal });
const random = seededRandom(SAMPLE_SEED);
const propagation = new Propagation({ stage, random, writes: true });
const running = propagation.run(signal);
const page = await StagePage.open(stage, propagation);
const readerUrl = stage.description.read[0]?.url ?? '';
const reading = readAlong(readerUrl);
const browser = await launch('--hide-scrollbars');
try {
  while (propagation.all.count < WRITES * READERS) await delay(100);
  await takeAll(browser, readerUrl, page.url);
} finally {
  await browser.close();
  await page.close();
  ending.abort();
  await Promise.all([running, reading]);
  await stage.stop();
}
