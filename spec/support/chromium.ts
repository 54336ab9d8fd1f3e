/** Debian's Chromium, steered by playwright-core: real style, layout, focus and content security policy. */
import { type Browser, chromium, type Page } from 'playwright-core';
import { pathOf } from './needs.ts';
import type { Owner } from './owner.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** Starts a headless Chromium; it ends with the test. */
export async function startChromium(owner: Owner): Promise<Browser> {
  const executablePath = pathOf('chromium');
  if (executablePath === undefined) throw new Error('there is no chromium');
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  owner.teardown(() => browser.close());
  return browser;
}

/** What a page complained of: console errors and warnings (violations of its policy are among them), and throws. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on('console', message => {
    if (message.type() === 'error' || message.type() === 'warning') found.push(message.text());
  });
  page.on('pageerror', error => found.push(String(error)));
  return found;
}
