/** The status page of a running instance, in a real browser: what an operator sees and can do. */
import type { Page } from 'playwright-core';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { startScreen, type View } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, type Settings, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const TOKEN = 'correct-horse-battery-staple';
/** Milliseconds within which a change is on the screen by itself: the page hears of it each second, and a busy machine draws it late. */
const SOON_MS = 10_000;

const CHECK = { type: 'smtp', interval: '100ms', timeout: '10s', rise: 1, fall: 1, helo: 'probe.example' };

function settings(backends: readonly ScriptedBackend[], pool: object): Settings {
  return {
    ...mx(
      backends.map(({ address }) => formatAddress(address)),
      { passiveHealth: { failures: 1, pause: '30s' }, connect: { attempts: 2 }, ...pool },
    ),
    admin: { listen: '127.0.0.1:0', token: TOKEN },
  };
}

async function start(
  owner: Owner,
  backends: readonly ScriptedBackend[],
  pool: object = {},
): Promise<Instance> {
  return startInstance(owner, 'net', settings(backends, pool));
}

function tell(instance: Instance, verb: string, body: object = {}): Promise<Response> {
  return fetch(`http://${formatAddress(instance.admin)}/api/v1/pools/mx/backends/b1/${verb}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify(body),
  });
}

function row(page: Page, backend: string) {
  return page.locator('tbody tr', { has: page.locator('.name', { hasText: new RegExp(`^${backend}$`) }) });
}

t.test('the status page of an instance', needs('chromium'), async t => {
  const screen = await startScreen(t);
  const open = (owner: Owner, instance: Instance, view?: View) =>
    screen.open(owner, `http://${formatAddress(instance.admin)}/`, view);

  t.test('a change of admin state or of health is on the screen by itself', async t => {
    const backends = [await startScriptedBackend(t, smtp()), await startScriptedBackend(t, smtp())] as const;
    const instance = await start(t, backends);
    const { page, found } = await open(t, instance);
    t.equal(await page.locator('#headline').textContent(), 'Ready, no mail right now');

    t.equal((await tell(instance, 'drain')).status, 200);
    await row(page, 'b1').locator('.chip', { hasText: 'drain, none left' }).waitFor({ timeout: SOON_MS });
    t.match(await page.locator('#notes').textContent(), /mx\/b1 is drained/);
    t.equal((await tell(instance, 'ready')).status, 200);
    await row(page, 'b1')
      .locator('.chip', { hasText: 'drain' })
      .waitFor({ state: 'hidden', timeout: SOON_MS });

    const [, killed] = backends;
    await killed.stop();
    await eventually('the dead backend to be left alone', async () => {
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
      return instance.log.some(line => line['msg'] === 'backend is left alone: sessions failed there');
    });
    await row(page, 'b2').locator('.chip', { hasText: 'failing' }).waitFor({ timeout: SOON_MS });
    t.match(
      await row(page, 'b2').locator('.why').textContent(),
      /^1 failure in a row: left alone, tried again in \d+ s\.$/,
    );
    await page.locator('#headline', { hasText: '1 backend is sick' }).waitFor({ timeout: SOON_MS });
    t.match(await page.title(), /^▲ test: /, 'a tab in the background shows it too');

    await page.locator('.listener', { hasText: 'normal' }).waitFor({ timeout: SOON_MS });
    t.match(await page.locator('.pool .queue').textContent(), /Queue0 \/ 1,000/);
    t.strictSame(found, []);
  });

  t.test('what checks find is on the screen, in their words', async t => {
    const markup = '<script>hacked()</script><img src=x onerror=hacked()>\x1b[31m';
    const backends = [
      await startScriptedBackend(t, smtp()),
      await startScriptedBackend(t, smtp({ greeting: `HTTP/1.1 ${markup}\r\n` })),
    ] as const;
    const instance = await start(t, backends, { check: CHECK });
    const { page, found } = await open(t, instance);
    await row(page, 'b1').locator('.outcome', { hasText: 'ok' }).waitFor({ timeout: SOON_MS });
    const hostile = row(page, 'b2');
    await hostile.locator('.chip', { hasText: 'down' }).waitFor({ timeout: SOON_MS });
    t.equal(await hostile.locator('.outcome').textContent(), 'not-smtp');
    t.match(await hostile.locator('.detail').textContent(), '<script>hacked()</script>', 'as text');
    t.equal(await page.locator('script').count(), 1, 'its own');
    t.equal(await page.locator('img').count(), 0);

    await backends[0].stop();
    await instance.logged('b1 down', line => line['msg'] === 'backend is down' && line['backend'] === 'b1');
    await row(page, 'b1').locator('.outcome', { hasText: 'refused' }).waitFor({ timeout: SOON_MS });
    await page.locator('#headline', { hasText: 'No mail flows' }).waitFor({ timeout: SOON_MS });
    t.strictSame(found, []);
  });

  t.test('verbs are there for who holds the token, and for nobody else', async t => {
    const backends = [await startScriptedBackend(t, smtp()), await startScriptedBackend(t, smtp())];
    const instance = await start(t, backends);
    const { page, found } = await open(t, instance);
    const buttons = page.locator('.verbs');
    const message = page.locator('#message-text');
    const field = page.getByLabel('Token');
    const drain = page.getByRole('button', { name: 'drain mx/b1' });
    t.equal(await buttons.count(), 0, 'none without a token, not even disabled');

    await field.fill('wrong');
    await page.keyboard.press('Enter');
    await drain.click();
    await message.filter({ hasText: 'the token is missing or wrong' }).waitFor();
    t.equal(await buttons.count(), 0, 'a wrong token is forgotten');
    t.equal(await field.isVisible(), true);
    const refusals = found.splice(0);
    t.match(refusals, [/401/], 'the browser notes the refusal, and nothing else');

    await field.fill(TOKEN);
    await page.getByRole('button', { name: 'Use' }).click();
    await drain.click();
    await message.filter({ hasText: 'mx/b1 is in drain' }).waitFor();
    await row(page, 'b1').locator('.chip', { hasText: 'drain' }).waitFor();
    t.equal(await drain.getAttribute('aria-pressed'), 'true');

    const html = await page.content();
    t.notMatch(html, new RegExp(TOKEN), 'the page does not show the token');
    t.equal(await page.locator('#token').inputValue(), '');
    await page.reload();
    await buttons.first().waitFor();
    t.pass('the tab keeps it');
    const stranger = await open(t, instance, { own: {} });
    t.equal(await stranger.page.locator('.verbs').count(), 0, 'another browser does not have it');
    await page.getByRole('button', { name: 'Forget' }).click();
    t.equal(await buttons.count(), 0);
    t.strictSame(found, []);
  });

  t.test('maintenance asks first, and ends sessions where that is chosen', async t => {
    const backend = await startScriptedBackend(t, smtp());
    const instance = await start(t, [backend]);
    const client = await connectClient(t, instance.address());
    await client.expect(220);
    const { page, found } = await open(t, instance);
    await page.getByLabel('Token').fill(TOKEN);
    await page.keyboard.press('Enter');
    const maint = page.getByRole('button', { name: 'maint mx/b1' });
    const dialog = page.getByRole('dialog', { name: 'Put mx/b1 into maintenance?' });

    await maint.click();
    t.match(await dialog.textContent(), /1 session is running there/);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    t.equal(instance.log.filter(line => line['state'] === 'maint').length, 0, 'nothing happens unasked');

    await maint.click();
    await dialog.getByRole('button', { name: 'Maintenance, and end sessions' }).click();
    await client.expectClosed('fin');
    await row(page, 'b1').locator('.chip', { hasText: 'maint, none left' }).waitFor();
    await page.locator('#headline', { hasText: 'No mail flows' }).waitFor();
    t.strictSame(found, []);
  });

  t.test('the keyboard is enough', async t => {
    const backend = await startScriptedBackend(t, smtp());
    const instance = await start(t, [backend]);
    const { page } = await open(t, instance);
    const focused = () =>
      page.evaluate<string>('document.activeElement.getAttribute("aria-label") ?? document.activeElement.id');
    const ring = () => page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle');
    await page.keyboard.press('Tab');
    t.equal(await focused(), 'token');
    await page.keyboard.type(TOKEN);
    await page.keyboard.press('Enter');
    t.equal(await focused(), 'token-forget');
    const seen = [];
    for (let tabs = 0; tabs < 3; tabs++) {
      await page.keyboard.press('Tab');
      seen.push(await focused());
      t.equal(await ring(), 'solid', `the focus on ${seen.at(-1)} is seen`);
    }
    t.strictSame(seen, ['ready mx/b1', 'drain mx/b1', 'maint mx/b1'], 'in their order');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await row(page, 'b1').locator('.chip', { hasText: 'drain' }).waitFor();
    t.equal(await focused(), 'drain mx/b1', 'the focus stays where it was');
  });

  t.test('what a hostile backend and a hostile client say is never markup', async t => {
    const markup = '<script>hacked()</script><img src=x onerror=hacked()>\x1b[31m';
    const backends = [
      await startScriptedBackend(t, smtp()),
      await startScriptedBackend(t, smtp({ greeting: `HTTP/1.1 ${markup}\r\n` })),
    ];
    const instance = await start(t, backends);
    const { page, found } = await open(t, instance);
    await eventually('the hostile backend to be left alone', async () => {
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      await client.command(`EHLO ${markup}`);
      await client.command('QUIT', 221);
      client.end();
      return instance.log.some(line => line['msg'] === 'backend is left alone: sessions failed there');
    });
    await row(page, 'b2').locator('.chip', { hasText: 'failing' }).waitFor({ timeout: SOON_MS });
    t.equal(await page.locator('script').count(), 1, 'its own');
    t.equal(await page.locator('img').count(), 0);
    t.notMatch(await page.content(), /hacked/);
    t.strictSame(found, []);
  });
});
