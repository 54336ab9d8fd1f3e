/** `check.instances`: which instances of a cluster check a backend, as an operator sees it. */
import t from 'tap';
import { statusText } from '../../lib/cli/status.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { status } from '../support/admin-api.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';

const redis = needs('redis-server', 'redis-cli');

const check = async (instance: Instance) => (await status(instance.admin)).pools[0]?.backends[0];
const here = async (instance: Instance) =>
  (await instance.metrics()).value('smtplb_backend_checked_here', { backend: 'b1' });

t.test('one of three instances checks, and the others go by what it finds', redis, async t => {
  const { port, process } = await startRedis(t);
  const backend = await startScriptedBackend(t, smtp());
  const names = ['a', 'b', 'c'];
  const instances = await Promise.all(
    names.map(instance =>
      startInstance(t, 'net', {
        instance,
        cluster: { name: 'edge', redis: `redis://127.0.0.1:${port}` },
        ...mx([formatAddress(backend.address)], {
          check: { type: 'smtp', interval: '100ms', rise: 1, fall: 2, instances: 1 },
        }),
      }),
    ),
  );
  const checkers = async () => Promise.all(instances.map(here));
  const outcomes = async () => Promise.all(instances.map(async each => (await check(each))?.check?.outcome));
  await eventually('one checker', async () => (await checkers()).filter(value => value === 1).length === 1);
  await eventually('a result', async () => (await outcomes()).every(outcome => outcome === 'ok'));
  const at = (await checkers()).indexOf(1);
  const stranger = instances[(at + 1) % 3] as Instance;
  // What it had found by itself, before it knew of the others, it may show a moment longer.
  await eventually(
    'what others found',
    async () => (await check(stranger))?.check?.detail === `as found by ${names[at]}`,
  );
  t.match(await check(stranger), { check: { isCheckedHere: false, checkers: [names[at]] } });
  t.match(statusText(await status(stranger.admin)), `ok as found by ${names[at]}`);
  t.match(statusText(await status((instances[at] as Instance).admin)), `(checked by ${names[at]})`);

  await backend.stop();
  const from = performance.now();
  const allDown = async () =>
    (await Promise.all(instances.map(check))).every(found => found?.health === 'down');
  await eventually('down everywhere', allDown);
  t.comment(`down at all three instances ${(performance.now() - from).toFixed()} ms after it stopped`);
  t.match(await outcomes(), ['refused', 'refused', 'refused']);

  await process.stop();
  await eventually('each by itself', async () => (await checkers()).every(value => value === 1));
  t.ok(await allDown(), 'without Redis it stays as it was until own checks say otherwise');
});
