/** Takes the pictures of the status page: `npx tsx spec/admin/take-screenshots.ts FOLDER`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContextOptions } from 'playwright-core';
import { complaints, startChromium } from '../support/chromium.ts';
import { madeUpHistory, madeUpStatus, secondLater } from './made-up.ts';
import { MADE_UP_TOKEN, startMadeUpAdmin } from './made-up-admin.ts';
import { inACluster } from './made-up-cluster.ts';

const [folder = '.'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const ends: (() => unknown)[] = [];
const owner = { teardown: (end: () => unknown) => ends.unshift(end) };

let status = inACluster(madeUpStatus());
const ticking = setInterval(() => {
  status = secondLater(status);
}, 1_000);
ends.push(() => clearInterval(ticking));
const { url } = await startMadeUpAdmin(owner, () => status);
const browser = await startChromium(owner);

const desktop = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const pictures: readonly (readonly [name: string, options: BrowserContextOptions, token: boolean])[] = [
  ['desktop-light', { ...desktop, colorScheme: 'light' }, true],
  ['desktop-dark', { ...desktop, colorScheme: 'dark' }, true],
  ['phone-dark', { ...phone, colorScheme: 'dark' }, true],
  ['phone-light', { ...phone, colorScheme: 'light' }, false],
];
await Promise.all(
  pictures.map(async ([name, options, token]) => {
    const page = await (await browser.newContext(options)).newPage();
    const found = complaints(page);
    await page.route('**/api/v1/history', route => route.fulfill({ json: madeUpHistory(status) }));
    if (token) await page.addInitScript(`sessionStorage.setItem('smtplb-token', '${MADE_UP_TOKEN}')`);
    await page.goto(url);
    await page.locator('.pickss .amount', { hasText: /\d/ }).first().waitFor();
    // Rates settle.
    await page.waitForTimeout(6_000);
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    if (found.length > 0) console.error(name, found);
  }),
);
for (const end of ends) await end();
