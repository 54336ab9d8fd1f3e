/** Takes the pictures of the status page: `npx tsx spec/admin/take-screenshots.ts FOLDER`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserContextOptions } from 'playwright-core';
import { startAdmin } from '../../lib/admin/admin.ts';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { complaints, startChromium } from '../support/chromium.ts';
import { madeUpControl, madeUpHistory, madeUpStatus, secondLater } from './made-up.ts';

const [folder = '.'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const ends: (() => unknown)[] = [];
const owner = { teardown: (end: () => unknown) => ends.unshift(end) };

let status = madeUpStatus();
const ticking = setInterval(() => {
  status = secondLater(status);
}, 1_000);
ends.push(() => clearInterval(ticking));
const admin = await startAdmin({
  listen: { family: 'ipv4', host: '127.0.0.1', port: 0 },
  socket: null,
  takeInherited: () => undefined,
  access: () => ({ token: 'a-token-of-the-picture', hosts: [] }),
  maxConnections: 50,
  metrics: { contentType: 'text/plain', scrape: async () => '' },
  unready: () => null,
  control: madeUpControl(() => status),
});
owner.teardown(() => admin.close());
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
    if (token) await page.addInitScript("sessionStorage.setItem('smtplb-token', 'a-token-of-the-picture')");
    await page.goto(`http://${formatAddress(admin.address as Address)}/`);
    await page.locator('.pickss .amount', { hasText: '17' }).first().waitFor();
    await page.waitForTimeout(4_000);
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    if (found.length > 0) console.error(name, found);
  }),
);
for (const end of ends) await end();
