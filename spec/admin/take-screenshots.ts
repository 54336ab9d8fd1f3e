/** Takes the pictures of the status page: `npx tsx spec/admin/take-screenshots.ts FOLDER`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startScreen, type View } from '../support/chromium.ts';
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
const screen = await startScreen(owner);

const desktop = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const token = MADE_UP_TOKEN;
const pictures: readonly (readonly [name: string, view: View])[] = [
  ['desktop-light', { own: desktop, colorScheme: 'light', token }],
  ['desktop-dark', { own: desktop, colorScheme: 'dark', token }],
  ['phone-dark', { own: phone, colorScheme: 'dark', token }],
  ['phone-light', { own: phone, colorScheme: 'light' }],
];
await Promise.all(
  pictures.map(async ([name, view]) => {
    const { page, found } = await screen.open(owner, url, view);
    await page.route('**/api/v1/history', route => route.fulfill({ json: madeUpHistory(status) }));
    await page.reload();
    await page.locator('.pickss .amount', { hasText: /\d/ }).first().waitFor();
    // Rates settle.
    await page.waitForTimeout(6_000);
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    if (found.length > 0) console.error(name, found);
  }),
);
for (const end of ends) await end();
