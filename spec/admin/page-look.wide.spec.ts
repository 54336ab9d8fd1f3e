/** The status page with made-up documents: how it looks, reads and behaves where an instance is hard to bring to it. */
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import type { StatusDocument } from '../../lib/admin/status.ts';
import { startScreen, type View } from '../support/chromium.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { madeUpBackend, madeUpCheck, madeUpHistory, madeUpStatus } from './made-up.ts';
import { MADE_UP_TOKEN, startMadeUpAdmin } from './made-up-admin.ts';

t.test('the status page', needs('chromium'), async t => {
  const screen = await startScreen(t);
  const open = (owner: Owner, url: string, view: View = {}) =>
    screen.open(owner, url, { token: MADE_UP_TOKEN, ...view });
  const show = async (owner: Owner, status: StatusDocument, view: View = {}) =>
    open(owner, (await startMadeUpAdmin(owner, () => status)).url, view);

  t.test('says what is wrong, the worst first', async t => {
    const { page, found } = await show(t, madeUpStatus());
    t.equal(await page.locator('#headline').textContent(), 'Mail flows; 2 backends are sick');
    t.match(await page.locator('#facts').textContent(), /5 of 9 backends serve/);
    t.strictSame(await page.locator('#notes li').allTextContents(), [
      'mx/mx4 is down. To the PROXY header it answered "500 5.5.2 Error: bad syntax".',
      'submission/sub2 is failing. 6 failures in a row: left alone, tried again in 12 s. Connected, and no greeting within 5 s.',
      'submission has 14 sessions waiting for a backend with room; its queue holds 100.',
      'mx/mx3 certificate expires in 9 days.',
      'lists/list2 is in maintenance, no session left.',
      'mx/mx3 is drained, 7 sessions left.',
    ]);
    await page.getByRole('link', { name: 'mx/mx4' }).click();
    t.equal(await page.locator('tr:target .name').textContent(), 'mx4', 'and leads there');

    const check = (name: string) => page.locator('tr', { hasText: name }).locator('.lastcheck');
    t.match(await check('mx4').textContent(), /proxy-not-understood · smtp, 31 ms, 118 times in a row/);
    t.match(await check('mx1').textContent(), /ok · smtp, 14 ms.*certificate expires in 61 days/);
    t.match(await check('list1').textContent(), /not checked/);
    t.match(await page.locator('tr', { hasText: 'mx2' }).textContent(), /weight 1, configured 2/);
    t.notMatch(await page.locator('tr', { hasText: 'mx1' }).textContent(), /weight/);
    t.strictSame(found, []);
  });

  t.test('a failed reload, a stop, and mail that does not flow are loud', async t => {
    let status = madeUpStatus({
      lastReload: { at: new Date().toISOString(), ok: false, message: 'mx.yaml:3:5: a fault' },
    });
    const { page } = await open(t, (await startMadeUpAdmin(t, () => status)).url);
    t.match(
      await page.locator('#notes li').first().textContent(),
      /The last reload failed .*mx\.yaml:3:5: a fault/,
    );
    t.match(await page.locator('#reload').textContent(), /failed/);

    const [pool] = status.pools;
    const down = {
      ...pool,
      backends: [madeUpBackend({ health: 'down' })],
    } as StatusDocument['pools'][number];
    status = madeUpStatus({ pools: [down] });
    await page.locator('#headline', { hasText: 'No mail flows: no backend can serve' }).waitFor();
    t.match(await page.title(), /^✖/);
    status = madeUpStatus({ state: 'stopping' });
    await page.locator('#headline', { hasText: 'Stopping: no new sessions, 311 left' }).waitFor();
  });

  t.test('says when what it shows is old, and comes back by itself', async t => {
    const status = madeUpStatus();
    const port = await freePort();
    const first = await startMadeUpAdmin(t, () => status, port);
    const { page } = await open(t, first.url);
    await first.close();
    const lost = page.locator('#lost', { hasText: /Connection lost, last seen \d+ s ago/ });
    await lost.waitFor();
    t.equal(await page.evaluate('getComputedStyle(document.querySelector("main")).filter'), 'grayscale(1)');
    await startMadeUpAdmin(t, () => ({ ...status, instance: 'back-again' }), port);
    await page.locator('#instance', { hasText: 'back-again' }).waitFor();
    await lost.waitFor({ state: 'hidden' });
  });

  t.test('an upgrade brings its own page', async t => {
    let status = madeUpStatus();
    const { page } = await open(t, (await startMadeUpAdmin(t, () => status)).url);
    await page.evaluate('window.isOld = true');
    status = { ...status, version: '0.2.0' };
    await page.locator('#version', { hasText: '0.2.0' }).waitFor();
    t.equal(await page.evaluate('window.isOld'), undefined, 'it was loaded anew');
    t.ok((await page.locator('.verbs').count()) > 0, 'and the token is still there');
  });

  t.test('the last ten minutes are there at once', async t => {
    const status = madeUpStatus();
    const { url } = await startMadeUpAdmin(t, () => status);
    const { page } = await screen.open(t, url);
    await page.route('**/api/v1/history', route => route.fulfill({ json: madeUpHistory(status) }));
    await page.reload();
    const plot = page.getByRole('img', { name: /^Sessions over the last ten minutes, peak 4\d\.\d\/s$/ });
    await plot.waitFor();
    const points = await plot.locator('path.stroke').getAttribute('d');
    t.ok((points?.split('L').length ?? 0) > 100, 'a point every five seconds');
    await page.locator('.ends td[data-some]').first().waitFor();
    t.equal(
      await page
        .locator('.listener')
        .first()
        .locator('tr', { hasText: 'denied' })
        .locator('td')
        .last()
        .textContent(),
      '18,402',
    );
  });

  t.test('hostile names and answers are shown as what they are', async t => {
    const hostile = '<script>hacked()</script><img src=x onerror=hacked()>';
    const unseen = `\x1b[31m\u202e${hostile}`;
    const pools = madeUpStatus().pools.map(pool => ({
      ...pool,
      name: `${pool.name}${hostile}`,
      backends: [
        madeUpBackend({
          name: hostile,
          health: 'down',
          check: madeUpCheck({ outcome: 'not-smtp', detail: unseen }),
        }),
        madeUpBackend({ name: '__proto__', address: unseen }),
      ],
    }));
    const status = madeUpStatus({ instance: unseen, pools });
    const { page, found } = await show(t, status);
    t.equal(await page.locator('script').count(), 1);
    t.equal(await page.locator('img').count(), 0);
    t.equal(await page.locator('.detail').first().textContent(), `\\x1b[31m\\u202e${hostile}`);
    t.equal(await page.locator('#instance').textContent(), `\\x1b[31m\\u202e${hostile}`);
    t.equal(await page.locator('.name', { hasText: '__proto__' }).count(), 3);
    t.strictSame(found, []);
  });

  t.test('a phone of 360 pixels shows everything without scrolling sideways', async t => {
    const long = 'a-backend-with-a-very-long-name-that-somebody-thought-was-a-good-idea';
    const [first, ...rest] = madeUpStatus().pools;
    const backends = [
      madeUpBackend({ name: long, address: `[2001:db8:1234:5678:9abc:def0:1234:5678]:10025` }),
    ];
    const status = madeUpStatus({
      pools: [...rest, { ...first, name: long, backends } as StatusDocument['pools'][number]],
    });
    const { page } = await show(t, status, {
      own: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
    });
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360);
    t.strictSame(await page.evaluate(OUTSIDE), [], 'and nothing is cut off');
    const { height } = (await page
      .getByRole('button', { name: /^drain / })
      .first()
      .boundingBox()) ?? { height: 0 };
    t.ok(height >= 44, `a thumb hits a button of ${height} pixels`);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    t.test(`${colorScheme}: words can be read, and every control has a name`, async t => {
      const { page } = await show(t, madeUpStatus(), { colorScheme });
      const paper = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
      const [red = 0] = paper.match(/\d+/g)?.map(Number) ?? [];
      t.equal(red < 128, colorScheme === 'dark', `the paper is ${paper}`);
      t.strictSame(await page.evaluate(FAINT), [], 'contrast is 4.5 to 1 or better (WCAG AA)');
      t.strictSame(await page.evaluate(NAMELESS), []);
      await checkHeadings(t, page);
    });
  }

  t.test('nothing moves for who wants no motion', async t => {
    const status = madeUpStatus();
    const { page } = await show(t, status, { reducedMotion: 'reduce' });
    t.equal(
      await page.evaluate('getComputedStyle(document.querySelector(".bar-used")).transitionDuration'),
      '0s',
    );
  });
});

async function checkHeadings(t: Test, page: Page): Promise<void> {
  const levels = await page.evaluate<number[]>(
    '[...document.querySelectorAll("main :is(h1, h2, h3, h4)")].map(heading => Number(heading.tagName[1]))',
  );
  t.equal(levels[0], 1);
  t.ok(
    levels.every((level, at) => level <= (levels[at - 1] ?? 0) + 1),
    `no level is left out: ${levels}`,
  );
}

/** Visible elements that reach out of a 360 pixel wide page. */
const OUTSIDE = `[...document.querySelectorAll('main *, header *')]
  .filter(element => element.getClientRects().length > 0 && !element.closest('thead'))
  .filter(element => element.getBoundingClientRect().right > 360.5 || element.getBoundingClientRect().left < 0)
  .map(element => element.outerHTML.slice(0, 80))`;

/** Texts whose colour is too near to what is behind them. */
const FAINT = `(() => {
  const parse = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map(c => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const behind = element => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (texts.currentNode.data.trim() === '' || element.getClientRects().length === 0) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.add(element.className + ': ' + texts.currentNode.data + ' ' + ratio.toFixed(2));
  }
  return [...faint];
})()`;

/** Controls, pictures and table heads without a name; ids that are there twice; styles written into elements. */
const NAMELESS = `(() => {
  const all = selector => [...document.querySelectorAll(selector)];
  const nameless = all('button, a, [role=img], th').filter(
    element => (element.getAttribute('aria-label') ?? element.textContent).trim() === '' && !element.closest('dialog'),
  );
  const fields = all('input').filter(field => field.labels.length === 0);
  const ids = all('[id]').map(element => element.id);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
  const dangling = all('[aria-labelledby]').filter(
    element => document.getElementById(element.getAttribute('aria-labelledby')) === null,
  );
  const styled = all('[style], style, [onclick]');
  return [...nameless, ...fields, ...dangling, ...styled].map(element => element.outerHTML).concat(twice);
})()`;
