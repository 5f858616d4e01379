/** The page of a reader in real Chromium, over a reader of the test's own. */
import type { FastifyInstance } from 'fastify';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { UnavailableError } from '../../src/errors.js';
import { MOST_CHANGES } from '../../src/http/page/recent.js';
import { type ReadAppOptions, readApp } from '../../src/http/read-app.js';
import { createServer } from '../../src/http/serve.js';
import { ANNOUNCEMENT, FakeReader, HEAD } from '../http/fake-reader.js';
import { portOf } from '../http/fuzz-run.js';
import { until } from '../support/until.js';
import { type Opening, open } from './browser.js';
import { hasBrowser, launch } from './chromium.js';
import { nameless, overflowOf, paleTexts } from './legibility.js';

const HOSTILE = [
  '<img src=x onerror="alert(1)">',
  '"><script>alert(2)</script>',
  'invoice\u202egnp.exe',
  '\u05e9\u05dc\u05d5\u05dd/\u0645\u0631\u062d\u0628\u0627',
  `<b>${'x'.repeat(252)}`,
  `${'\u{1f9ed}'.repeat(255)}`,
];

let browser: Browser;
let reader: FakeReader;
let server: FastifyInstance;

async function serve(options: Partial<ReadAppOptions> = {}): Promise<string> {
  server = createServer({ logLevel: 'silent' });
  onTestFinished(async () => void (await server.close()));
  await server.register(readApp, { reader, page: true, ...options });
  await server.listen({ host: '127.0.0.1', port: 0 });
  return `http://127.0.0.1:${portOf(server)}/`;
}

/** Changes that took 40 ms. */
function change(...keys: string[]): void {
  reader.changedAt = new Date(Date.now() - 40).toISOString().replace('T', ' ').replace('Z', '000');
  reader.change(...keys);
}

async function shows(page: Page, word: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: word, exact: true }).waitFor();
}

async function openPage(options: Opening = {}): Promise<Page> {
  const page = await open(browser, await serve(), options);
  await shows(page, 'Fresh');
  return page;
}

function rowsOf(page: Page, table: string) {
  return page.getByRole('table', { name: table }).locator('tbody tr');
}

describe.skipIf(!hasBrowser)('the page of a reader', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());
  beforeEach(() => {
    reader = new FakeReader();
    reader.state = { pollFailures: 0, reads: { local: 980, redis: 15, mysql: 5 } };
  });

  test('says at once how the reader stands, without an error and from its own origin', async () => {
    const page = await openPage();
    expect(await page.title()).toBe('Fresh – Tidemark reader');
    const numbers = await page.locator('.numbers').innerText();
    expect(numbers).toMatch(/Behind A\s+5\.0 ms/);
    expect(numbers).toMatch(/Replication lag\s+2\.0 ms/);
    expect(numbers).toMatch(/Applied\s+42\s+of head 42/);
    expect(numbers).toMatch(/Reads from memory\s+98 %/);
    await page.getByText('No change has come since this reader started.').waitFor();
    expect(await rowsOf(page, 'Reads by the tier').allInnerTexts()).toEqual([
      expect.stringMatching(/Memory\s+980\s+98 %\s+–/),
      expect.stringMatching(/Redis\s+15\s+1\.5 %/),
      expect.stringMatching(/MySQL-B\s+5\s+0\.5 %/),
    ]);
  });

  test('shows a change as it comes, and how long it took', async () => {
    const page = await openPage();
    change('checkout/limits/api', 'checkout/limits/db');
    await page.getByText('checkout/limits/db').waitFor();
    const rows = rowsOf(page, 'The latest changes');
    expect(await rows.count()).toBe(2);
    expect(await rows.first().innerText()).toMatch(
      /^44\s+checkout\/limits\/db\s+\d\d ms\s+\d\d:\d\d:\d\d\.\d{3}$/,
    );
    expect(await page.locator('#p50').innerText()).toMatch(/^\d\d ms$/);
    const chart = page.getByRole('img', { name: /over the last 10 minutes: 2 changes, p50/ });
    expect(await chart.locator('canvas').count()).toBe(1);
    await page.getByText('The same as tables').click();
    const bars = await rowsOf(page, 'By the time they took').allInnerTexts();
    expect(bars).toEqual([expect.stringMatching(/^\d+ ms to \d+ ms\s+2\s+100 %$/)]);
  });

  test('keeps a bounded number of changes', async () => {
    const page = await openPage();
    for (let turn = 0; turn < 10; turn += 1) {
      change(...Array.from({ length: 1_000 }, (_, index) => `key-${turn}-${index}`));
    }
    change('the-last');
    await page.getByText('the-last').waitFor();
    expect(await rowsOf(page, 'The latest changes').count()).toBe(MOST_CHANGES);
  });

  test('tells what to do when it is stale, not ready, or gone', async () => {
    const page = await open(browser, await serve(), { expected: /ERR_CONNECTION|Failed to load/ });
    await shows(page, 'Fresh');
    reader.stale = true;
    reader.state = { ageMs: 12_345, pollFailures: 3 };
    await shows(page, 'Stale');
    const state = page.locator('#state');
    expect(await state.innerText()).toMatch(/last heard from 12\.3 s ago.*Check replication/s);
    expect(await state.innerText()).toContain('3 polls in a row failed');
    reader.ready = false;
    await shows(page, 'Not ready');
    expect(await state.innerText()).toContain('a first answer from MySQL-B');
    expect(await page.locator('#said').innerText()).toMatch(/^Not ready\. Expected a first answer/);
    await server.close();
    await shows(page, 'No answer');
    expect(await state.innerText()).toMatch(/cannot be reached.*is .* old/);
  });

  test('tells of an audit that found something, and of Redis that is not asked', async () => {
    const audit = {
      ...{ sampled: 50, checked: 48, mismatches: 2, repaired: 2 },
      ...{ completed: 1, skipped: 0, lastAt: new Date().toISOString() },
    };
    const marks = [{ bucket: 0, generation: 'g', version: 41 }];
    const state = { ...reader.state, redis: { breaker: 'open' as const, asked: 0, marks }, audit };
    reader.state = state;
    const page = await openPage();
    expect(await page.locator('#state').innerText()).toMatch(/Redis is not asked.*went around/s);
    await page.getByText('Differences found').waitFor();
    expect(await page.locator('#audit').innerText()).toMatch(/Compared\s+48\s+Unlike MySQL-B\s+2/);
  });

  test('shows keys as texts, whatever they are', async () => {
    const page = await openPage({ viewport: { width: 360, height: 740 } });
    change(...HOSTILE);
    await page.getByText('<img src=x onerror="alert(1)">').waitFor();
    const shown = await rowsOf(page, 'The latest changes').locator('bdi').allTextContents();
    expect(shown.toReversed()).toEqual(HOSTILE.map((key) => key.replace('\u202e', '\\u{202e}')));
    expect(await page.locator('main img, main script, main b b').count()).toBe(0);
    expect(await overflowOf(page)).toBe(0);
  });

  test('can be walked with the keyboard alone, and every stop is seen', async () => {
    const page = await openPage();
    change('a');
    await page.getByRole('cell', { name: 'a', exact: true }).waitFor();
    const stops: string[] = [];
    const walk = async () => {
      await page.keyboard.press('Tab');
      return await page.evaluate(() => {
        const element = document.activeElement;
        if (element === null || element === document.body) return '';
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const isSeen = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2;
        const labels = element.getAttribute('aria-labelledby');
        const label = labels === null ? null : document.getElementById(labels);
        const name = (label ?? element).textContent?.trim().replaceAll(/\s+/g, ' ') ?? '';
        return `${name}${isSeen ? '' : ' (not seen)'}`;
      });
    };
    for (let stop = await walk(); stop !== '' && stops.length < 20; stop = await walk()) {
      stops.push(stop);
      if (stop === 'The same as tables') await page.keyboard.press('Enter');
    }
    expect(stops).toEqual([
      'Skip to the state of this reader',
      'Pause',
      'The same as tables',
      'By minute, the latest first',
      'By the time they took',
      'The latest changes, the newest first',
      'Each reader, and how it stands',
      'web-1 (7)',
      'API',
      'Metrics',
    ]);
    await page.reload();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
  });

  test('stands still while it is paused', async () => {
    const page = await openPage({ hasClock: true });
    await page.getByRole('button', { name: 'Pause', pressed: false }).focus();
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Pause', pressed: true }).waitFor();
    let asked = 0;
    page.on('request', () => {
      asked += 1;
    });
    change('while-paused');
    await page.clock.runFor(20_000);
    expect(asked).toBe(0);
    await page.keyboard.press('Space');
    await page.getByText('while-paused').waitFor();
  });

  test.each([
    ['light', 360],
    ['light', 1440],
    ['dark', 360],
    ['dark', 1440],
  ] as const)('is legible in %s colors, %i pixels wide', async (colorScheme, width) => {
    const page = await openPage({ colorScheme, viewport: { width, height: 800 } });
    change('a', 'b');
    await page.getByRole('cell', { name: 'b', exact: true }).waitFor();
    await page.getByText('The same as tables').click();
    expect(await overflowOf(page)).toBe(0);
    expect(await paleTexts(page)).toEqual([]);
    reader.stale = true;
    await shows(page, 'Stale');
    expect(await paleTexts(page)).toEqual([]);
    reader.ready = false;
    await shows(page, 'Not ready');
    expect(await paleTexts(page)).toEqual([]);
    const isDark = await page.evaluate(() => {
      const [red = 255] = getComputedStyle(document.body).backgroundColor.match(/\d+/g) ?? [];
      return Number(red) < 128;
    });
    expect(isDark).toBe(colorScheme === 'dark');
  });

  test('moves nothing for those who asked for that', async () => {
    const animations = async (reducedMotion: 'reduce' | 'no-preference') => {
      const page = await openPage({ reducedMotion });
      change('a');
      await page.getByRole('cell', { name: 'a', exact: true }).waitFor();
      change('b');
      await page.getByRole('cell', { name: 'b', exact: true }).waitFor();
      return await page.evaluate(() => document.getAnimations().length);
    };
    expect(await animations('reduce')).toBe(0);
    expect(await animations('no-preference')).toBeGreaterThan(0);
  });

  test('has a name for each thing in the accessibility tree', async () => {
    const page = await openPage();
    change('a');
    await page.getByRole('cell', { name: 'a', exact: true }).waitFor();
    await page.getByText('The same as tables').click();
    expect(await nameless(page)).toEqual([]);
    const tree = await page.locator('body').ariaSnapshot();
    for (const part of ['banner', 'main', 'contentinfo', 'heading "Fresh" [level=1]', 'status']) {
      expect(tree).toContain(part);
    }
  });

  test('asks for a token where the app has some, and keeps it in its tab', async () => {
    const url = await serve({ tokens: ['secret'] });
    const page = await open(browser, url, { expected: /401/ });
    await shows(page, 'Locked');
    await until('focus', () => page.evaluate(() => document.activeElement?.id === 'token'));
    await page.keyboard.type('guess');
    await page.keyboard.press('Enter');
    await page.getByText('This reader does not know that token.').waitFor();
    await page.getByLabel('A read token').fill('secret');
    await page.keyboard.press('Enter');
    await shows(page, 'Fresh');
    expect(await page.locator('#token-form').isVisible()).toBe(false);
    expect(page.url()).toBe(url);
    expect(await page.evaluate(() => JSON.stringify(localStorage) + document.cookie)).toBe('{}');
    await page.reload();
    await shows(page, 'Fresh');
  });

  test('shows all readers, and believes no link in the roster', async () => {
    const usual = { ...ANNOUNCEMENT, applied: HEAD - 1, head: HEAD, stalenessMs: 70 };
    const reads = { local: 99, redis: 1, mysql: 0 };
    reader.announced = [
      { ...usual, reads, id: 'a', host: 'b-1', url: 'http://b-1:81/' },
      { ...usual, reads, id: 'b', host: '<i>', url: 'javascript:alert(1)', ready: false },
    ];
    const page = await openPage();
    const rows = rowsOf(page, 'Each reader');
    await page.getByText('<i> (7)').waitFor();
    expect(await rows.allInnerTexts()).toEqual([
      expect.stringMatching(/^b-1 \(7\)\s+Fresh\s+41\s+1\s+70 ms\s+99 %\s+\S+$/),
      expect.stringMatching(/^<i> \(7\)\s+Not ready/),
    ]);
    const links = await rows.locator('a').evaluateAll((all) => all.map(String));
    expect(links).toEqual(['http://b-1:81/']);
  });

  test('shows itself while the roster cannot be read', async () => {
    reader.failure = new UnavailableError('Expected Redis to say which readers run, it does not.');
    const page = await open(browser, await serve(), { expected: /503/ });
    await page.getByText('The list of all readers, which is in Redis, cannot be had.').waitFor();
    expect(await rowsOf(page, 'Each reader').count()).toBe(1);
  });
});
