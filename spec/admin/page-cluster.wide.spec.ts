/** The cluster on the status page: who is there, what is wrong, and words to all of them. */
import t from 'tap';
import type { ClusterDocument } from '../../lib/admin/cluster-status.ts';
import type { StatusDocument } from '../../lib/admin/status.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { status } from '../support/admin-api.ts';
import { startScreen, type View } from '../support/chromium.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { madeUpStatus } from './made-up.ts';
import { MADE_UP_TOKEN, startMadeUpAdmin } from './made-up-admin.ts';
import { inACluster, madeUpCluster, madeUpInstance, madeUpSummary } from './made-up-cluster.ts';

const PHONE: View = { own: { viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true } };

t.test('the cluster on the status page', needs('chromium', 'redis-server'), async t => {
  const screen = await startScreen(t);
  const show = async (
    owner: Owner,
    of: StatusDocument,
    cluster: ClusterDocument = madeUpCluster(),
    view: View = {},
  ) => {
    const { url } = await startMadeUpAdmin(
      owner,
      () => of,
      0,
      async () => cluster,
    );
    return screen.open(owner, url, { token: MADE_UP_TOKEN, ...view });
  };

  t.test('names who checks a backend for all of them', async t => {
    const status = inACluster(madeUpStatus());
    const [pool] = status.pools;
    const shared = pool?.backends.map(backend => ({
      ...backend,
      check: backend.check && {
        ...backend.check,
        checkers: ['edge-1', 'edge-3'],
        isCheckedHere: backend.name === pool.backends[0]?.name,
      },
    }));
    const { page, found } = await show(t, {
      ...status,
      pools: [{ ...pool, backends: shared ?? [] }] as never,
    });
    const checks = page.locator('main tr', { hasText: 'by edge-1, edge-3' });
    await checks.nth(1).waitFor();
    t.match(await checks.nth(0).textContent(), /\d ms, by edge-1, edge-3/, 'this one checks');
    t.notMatch(await checks.nth(1).textContent(), /\d ms, by/, 'others do');
    t.same(found, []);
  });

  t.test('shows the instances and what is wrong among them', async t => {
    const { page, found } = await show(t, inACluster(madeUpStatus()));
    const rows = page.locator('#cluster tbody tr');
    await rows.nth(3).waitFor();
    t.match(await rows.nth(0).textContent(), /^edge-1this oneedge-1\.example\.netrunningup 12 d/);
    t.match(
      await rows.nth(2).textContent(),
      /0\.0\.92 × epollpool mx differs, pool lists is not theregeneration 6/,
    );
    t.match(await rows.nth(3).textContent(), /stopping.*4 s ago$/);
    t.match(
      await page.locator('#notes').textContent(),
      /cluster mail-edge the configuration of edge-3 is another/,
    );
    t.equal(await page.locator('#cluster-redis').textContent(), 'Redis answers in 0.8 ms');
    const mx3 = page.locator('tr', { hasText: 'mx3' });
    t.match(await mx3.textContent(), /drain, 7 leftwhole cluster.*\+ 18 elsewhere/);
    t.strictSame(found, []);
  });

  t.test('says when Redis is gone, and shows nothing of it where there is none', async t => {
    const summary = madeUpSummary();
    const redis = { ...summary.redis, status: 'unreachable', reason: 'connect ECONNREFUSED' } as const;
    const lost = await show(t, { ...madeUpStatus(), cluster: { ...summary, redis } });
    t.match(await lost.page.locator('#notes').textContent(), /cannot reach Redis \(connect ECONNREFUSED\)/);
    t.equal(
      await lost.page.locator('#cluster-redis').textContent(),
      'Redis is not reachable: connect ECONNREFUSED',
    );
    const alone = await show(t, madeUpStatus());
    t.notOk(await alone.page.locator('#cluster-section').isVisible());
    t.notOk(await alone.page.locator('#scope').isVisible());
    t.strictSame([...lost.found, ...alone.found], []);
  });

  t.test('hostile instances are text, and fit a phone', async t => {
    const markup = `<img src=x onerror=alert(1)>\u202e${'x'.repeat(200)}`;
    const hostile = madeUpInstance({
      instance: markup,
      hostName: markup,
      version: markup,
      transport: markup,
      differences: [`pool ${markup} is only there`],
      startedAt: '275760-09-13T00:00:00.000Z',
    });
    const cluster = madeUpCluster({ instances: [hostile, hostile], warnings: [markup] });
    const of = { ...inACluster(madeUpStatus()), cluster: madeUpSummary({ warnings: [markup] }) };
    const { page, found } = await show(t, of, cluster, PHONE);
    await page.locator('#cluster tbody tr').nth(1).waitFor();
    t.equal(await page.locator('img').count(), 0);
    t.match(
      await page.locator('#cluster .name').first().textContent(),
      /<img src=x onerror=alert\(1\)>\\u202ex/,
    );
    const out = `[...document.querySelectorAll('body :not(thead, thead *)')].filter(e => e.getBoundingClientRect().right > 361).map(e => e.tagName + '.' + e.className + '#' + e.id)`;
    t.same(await page.evaluate(out), [], 'nothing sticks out');
    t.strictSame(found, []);
  });

  t.test('one click tells the whole cluster', async t => {
    const token = 'a-token';
    const { port } = await startRedis(t);
    const { address } = await startScriptedBackend(t, smtp());
    const start = (instance: string): Promise<Instance> =>
      startInstance(t, 'net', {
        instance,
        admin: { listen: '127.0.0.1:0', token },
        cluster: { redis: `redis://127.0.0.1:${port}` },
        ...mx([formatAddress(address)]),
      });
    const [a, b] = [await start('edge-1'), await start('edge-2')] as const;
    const { page, found } = await screen.open(t, `http://${formatAddress(a.admin)}/`, { token });
    await page.locator('#cluster tbody tr').nth(1).waitFor();
    const admin = async () => (await status(b.admin)).pools[0]?.backends[0];
    await page.getByRole('button', { name: 'drain mx/b1' }).click();
    await page.locator('#message', { hasText: 'mx/b1 is in drain; ' }).waitFor();
    t.match(await admin(), { admin: 'ready' }, 'without the box it is this instance alone');
    await page.getByRole('checkbox', { name: 'whole cluster' }).check();
    await page.getByRole('button', { name: 'maint mx/b1' }).click();
    const dialog = page.getByRole('dialog', { name: 'Put mx/b1 into maintenance in the whole cluster?' });
    await dialog.getByRole('button', { name: 'Maintenance', exact: true }).click();
    await page
      .locator('#message', { hasText: 'mx/b1 is in maint for all 2 instances of the cluster' })
      .waitFor();
    await eventually('the other', async () => (await admin())?.admin === 'maint');
    await page.locator('.state', { hasText: 'whole cluster' }).waitFor();
    t.ok(await page.getByRole('checkbox', { name: 'whole cluster' }).isChecked(), 'the box stays as it is');
    t.strictSame(found, []);
  });
});
