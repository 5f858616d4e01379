/** `npm start` in real Chromium: type a value in A, watch each reader of B turn. */
import { request } from 'node:http';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DemoDescription } from '../../src/cli/demo.js';
import { flavors, query } from '../support/data-centers.js';
import { Demo } from '../support/demo.js';
import { type Opening, open } from './browser.js';
import { hasBrowser, launch } from './chromium.js';
import { nameless, overflowOf, paleTexts } from './legibility.js';

const READERS = 2;
const MS = /^\d+(\.\d)? ms$/;

let browser: Browser;
let demo: Demo;
let stage: DemoDescription;

async function openStage(options?: Opening): Promise<Page> {
  const page = await open(browser, stage.page, options);
  await page.getByRole('heading', { name: `Reader ${READERS}` }).waitFor();
  return page;
}

/** Types a value in A, and waits until all readers have turned. */
async function write(page: Page, key: string, value: string): Promise<void> {
  await page.getByLabel('Key').fill(key);
  await page.getByLabel('New value').fill(value);
  await untilTurned(page, () => page.keyboard.press('Enter'));
}

/** What was written before may be there still: it goes by the version. */
async function untilTurned(page: Page, send: () => Promise<void>): Promise<void> {
  const [response] = await Promise.all([page.waitForResponse(/\/write$/), send()]);
  const { version }: { version: number } = await response.json();
  const written = `Version ${version.toLocaleString('en-US')} was written in A.`;
  await page.getByText(`${written} All ${READERS} readers had it after`).waitFor();
}

async function valuesOf(page: Page): Promise<string[]> {
  return await page.getByRole('group', { name: 'Value of reader' }).allTextContents();
}

describe.skipIf(!hasBrowser).each(flavors)(
  'the page of the demo on %s',
  { timeout: 120_000 },
  (flavor) => {
    beforeAll(async () => {
      browser = await launch();
      demo = await Demo.spawn(['--flavor', flavor, '--readers', String(READERS), '--json']);
      stage = await demo.description();
    });
    afterAll(async () => {
      await browser?.close();
      await demo?.remove();
    });

    test('takes a value in A, and shows when each reader in B had it', async () => {
      const page = await openStage();
      await page.getByText('{"level":').first().waitFor(); // what each holds before
      await write(page, 'checkout/log-levels/api', '{"level":"trace"}');
      expect(await valuesOf(page)).toEqual(Array(READERS).fill('{"level":"trace"}'));
      const times = await page.locator('.reader .took').allTextContents();
      expect(times).toEqual(Array(READERS).fill(expect.stringMatching(MS)));
      expect(
        await page.getByText('New value', { exact: true }).and(page.locator('.word')).count(),
      ).toBe(READERS);
      const [row] = await page
        .getByRole('row', { name: 'checkout/log-levels/api' })
        .allInnerTexts();
      expect(row?.split(/\s{2,}|\t/).slice(-READERS)).toEqual(
        Array(READERS).fill(expect.stringMatching(MS)),
      );
    });

    test('shows what someone else changes, too', async () => {
      const page = await openStage();
      const { user, password, host, port, database } = stage.mysqlA;
      const url = `mysql://${user}:${password}@${host}:${port}/${database}`;
      const sql = 'INSERT INTO configs (config_key, config_value) VALUES (?, ?)';
      await query(url, sql, [`by-sql/${flavor}`, '1']);
      const row = page.getByRole('row', { name: `by-sql/${flavor}` });
      await row
        .getByText(/ms$/)
        .nth(READERS - 1)
        .waitFor();
      expect(await row.innerText()).toContain('you, by SQL or HTTP');
    });

    test('shows keys and values as texts, whatever they are', async () => {
      const page = await openStage({ viewport: { width: 360, height: 740 } });
      const key = '<img src=x onerror="alert(1)">\u202e/\u05e9\u05dc\u05d5\u05dd';
      await write(page, key, '<script>alert("2")</script>');
      expect(await valuesOf(page)).toEqual(
        Array(READERS).fill('"<script>alert(\\"2\\")</script>"'), // as it was stored
      );
      expect(await page.locator('main bdi').first().textContent()).toBe(
        key.replace('\u202e', '\\u{202e}'),
      );
      expect(await page.locator('main img, main script').count()).toBe(0);
      await write(page, 'x'.repeat(255), 'y'.repeat(5_000));
      expect(await overflowOf(page)).toBe(0);
    });

    test('says what was wrong with a write', async () => {
      const page = await openStage({ expected: /502/ });
      await page.getByLabel('Key').fill('a\u0007');
      await page.getByLabel('New value').fill('1');
      await page.keyboard.press('Enter');
      const outcome = page.locator('#outcome');
      await outcome.getByText(/^Nothing was written: .*without control characters/).waitFor();
      await write(page, 'a', '1'); // and it goes on
    });

    test.each(['light', 'dark'] as const)(
      'is legible and named in %s colors',
      async (colorScheme) => {
        const page = await openStage({ colorScheme, viewport: { width: 1440, height: 900 } });
        await write(page, 'checkout/log-levels/api', `{"level":"${colorScheme}"}`);
        expect(await paleTexts(page)).toEqual([]);
        expect(await nameless(page)).toEqual([]);
        expect(await overflowOf(page)).toBe(0);
      },
    );

    test('is usable with the keyboard alone', async () => {
      const page = await openStage();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter'); // skips to the value
      await page.keyboard.type('{"level":"typed"}');
      await page.keyboard.press('Tab');
      await untilTurned(page, () => page.keyboard.press('Space'));
      expect(await valuesOf(page)).toEqual(Array(READERS).fill('{"level":"typed"}'));
    });

    test('leads to the page of each reader, where the change is', async () => {
      const page = await openStage();
      await write(page, 'checkout/log-levels/db', '"seen"');
      const links = await page
        .getByRole('link', { name: 'Its page' })
        .evaluateAll((all) => all.map(String));
      expect(links).toEqual(stage.read.map(({ url }) => `${url}/`));
      for (const link of links) {
        const own = await open(browser, link);
        await own.getByRole('heading', { level: 1, name: 'Fresh' }).waitFor();
        await own.getByText('checkout/log-levels/db').first().waitFor();
        await own
          .locator('#lag')
          .getByText(/\d m?s$/)
          .waitFor(); // once a heartbeat has come
      }
    });

    test('obeys no page but its own', async () => {
      const plain = await fetch(`${stage.page}/write`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' }, // what another site may send without asking
        body: '{"key":"a","value":"1"}',
      });
      expect(plain.status).toBe(415);
      const preflight = await fetch(`${stage.page}/write`, { method: 'OPTIONS' });
      expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
      const status = await new Promise((resolve, reject) => {
        const headers = { host: 'rebound.example' };
        const client = request(`${stage.page}/values?key=a`, { headers }, (response) => {
          resolve(response.resume().statusCode);
        });
        client.on('error', reject).end();
      });
      expect(status).toBe(403);
      const html = await (await fetch(stage.page)).text();
      expect(html).not.toContain(stage.write.token);
    });
  },
);
