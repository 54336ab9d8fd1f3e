/** Debian's Chromium, steered by playwright-core: real style, layout, focus and content security policy. */
import { type BrowserContextOptions, type ConsoleMessage, chromium, type Page } from 'playwright-core';
import { PATIENCE_MS } from './eventually.ts';
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

export interface View {
  /** Of the admin listener, in the tab's storage before the page is there. */
  readonly token?: string;
  readonly colorScheme?: 'light' | 'dark';
  readonly reducedMotion?: 'reduce' | 'no-preference';
  /** In a browser of its own, as it were, that is like this: nothing of another tab is there. */
  readonly own?: BrowserContextOptions;
}

export interface Opened {
  readonly page: Page;
  /** What the page complained of: console errors and warnings (violations of its policy are among them), and throws. */
  readonly found: string[];
}

export interface Screen {
  /**
   * Shows the status page, once it is live. All tests share a tab, which each leaves as its owner ends: a tab takes ten times
   * as long to open as to be led elsewhere.
   */
  open(owner: Owner, url: string, view?: View): Promise<Opened>;
}

/** Starts a headless Chromium; it ends with its owner. */
export async function startScreen(owner: Owner): Promise<Screen> {
  const executablePath = pathOf('chromium');
  if (executablePath === undefined) throw new Error('there is no chromium');
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  owner.teardown(() => browser.close());
  const newTab = async (options: BrowserContextOptions = {}): Promise<Page> => {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    return page;
  };
  const shared = await newTab();

  return {
    async open(owner, url, { token, colorScheme = 'light', reducedMotion = 'no-preference', own } = {}) {
      const page = own === undefined ? shared : await newTab(own);
      const found: string[] = [];
      const onConsole = (message: ConsoleMessage): void => {
        if (message.type() === 'error' || message.type() === 'warning') found.push(message.text());
      };
      const onError = (error: Error): void => void found.push(String(error));
      await page.emulateMedia({ colorScheme, reducedMotion });
      // Storage belongs to a port, and a port may have been another test's.
      const kept =
        token === undefined ? '' : `sessionStorage.setItem('smtplb-token', ${JSON.stringify(token)});`;
      const storing = await page.addInitScript(`sessionStorage.clear(); ${kept}`);
      page.on('console', onConsole);
      page.on('pageerror', onError);
      owner.teardown(async () => {
        if (own !== undefined) return page.context().close();
        page.off('console', onConsole);
        page.off('pageerror', onError);
        await page.unrouteAll();
        await page.goto('about:blank');
      });
      await page.goto(url);
      await page.locator('#live', { hasText: 'live' }).waitFor();
      await storing.dispose();
      return { page, found };
    },
  };
}
