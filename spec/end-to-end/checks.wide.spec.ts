import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ABOVE_TRANSPORTS, type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startPostfix } from '../support/postfix.ts';
import { closeAtOnce, silent, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

/** Who is ill says so at once: nobody is waited for so long, and nobody well found ill, on a busy machine. */
const CHECK = { type: 'smtp', interval: '100ms', timeout: '10s', rise: 2, fall: 2, helo: 'probe.example' };

async function health(instance: Instance, backend: string): Promise<number | undefined> {
  return (await instance.metrics()).value('smtplb_backend_up', { backend });
}

/** One session from greeting to QUIT; resolves with the backend that served it. */
async function served(t: Owner, instance: Instance, count: number): Promise<unknown> {
  const client = await connectClient(t, instance.address());
  await client.expect(220);
  await client.command('QUIT', 221);
  client.end();
  return (await instance.sessions(count))[count - 1]?.['backend'];
}

for (const transport of ABOVE_TRANSPORTS) {
  t.test(
    `${transport}: a backend goes down with its checks and comes back with them; no session is sent there meanwhile`,
    async t => {
      // It stops and starts again: nobody else may be given its port.
      const port = await freePort();
      const [one, two] = [
        await startScriptedBackend(t, smtp()),
        await startScriptedBackend(t, smtp(), { port }),
      ];
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(one.address), formatAddress(two.address)], { check: CHECK }),
      );
      await eventuallyEqual('b2 up', () => health(instance, 'b2'), 1);
      await two.stop();
      await instance.logged('b2 down', line => line['msg'] === 'backend is down' && line['backend'] === 'b2');
      // The shard hears of it in the moment in which the log does: the first session may still find out by itself.
      t.equal(await served(t, instance, 1), 'b1');
      const retries = async () => (await instance.metrics()).sum('smtplb_retries_total');
      const before = await retries();
      for (let at = 2; at <= 6; at++) t.equal(await served(t, instance, at), 'b1');
      t.equal(await retries(), before, 'no session had to find out');

      await startScriptedBackend(t, smtp(), { port });
      await instance.logged('b2 up', line => line['msg'] === 'backend is up' && line['backend'] === 'b2');
      let at = 6;
      await eventually('a session at b2', async () => (await served(t, instance, ++at)) === 'b2');
      await instance.idle();
    },
  );

  t.test(`${transport}: all backends down: 421 at once, and service as soon as one is back`, async t => {
    const port = await freePort();
    const backend = await startScriptedBackend(t, smtp(), { port });
    const instance = await startInstance(
      t,
      transport,
      mx([formatAddress(backend.address)], { check: CHECK }),
    );
    await backend.stop();
    await eventuallyEqual('down', () => health(instance, 'b1'), 0);
    const from = performance.now();
    const client = await connectClient(t, instance.address());
    await client.expect(/^421 4\.3\.2 lb\.example /);
    const tookMs = performance.now() - from;
    t.comment(`421 after ${tookMs.toFixed(0)} ms`);
    t.ok(
      tookMs < 5_000,
      'nobody is dialled, which would take so long, and nobody waits in a queue for ten seconds',
    );
    t.match(await instance.sessions(1), [{ cause: 'no-backend' }]);

    await startScriptedBackend(t, smtp(), { port });
    await eventuallyEqual('up', () => health(instance, 'b1'), 1);
    t.equal(await served(t, instance, 2), 'b1');
  });

  t.test(`${transport}: what a session met is checked at once, long before the interval`, async t => {
    const [good, hanging] = [
      await startScriptedBackend(t, smtp()),
      await startScriptedBackend(t, [smtp(), silent]),
    ];
    const instance = await startInstance(t, transport, {
      ...mx([formatAddress(good.address), formatAddress(hanging.address)], {
        balance: 'round-robin',
        check: { ...CHECK, interval: '1h', timeout: '1s' },
        connect: { greetingTimeout: '1s' },
        passiveHealth: { failures: 100 },
      }),
      shards: 1, // each goes round by itself
    });
    await eventually(
      'the first checks',
      async () => (await instance.metrics()).sum('smtplb_checks_total') === 2,
    );
    for (let at = 1; at <= 2; at++) t.equal(await served(t, instance, at), 'b1');
    await eventuallyEqual('down', () => health(instance, 'b2'), 0);
    t.match(await instance.logged('why', line => line['msg'] === 'backend is down'), {
      backend: 'b2',
      outcome: 'timeout',
    });
  });

  t.test(
    `${transport}: a backend that sessions left is trusted again by a check, without a session`,
    async t => {
      const [good, slow] = [
        await startScriptedBackend(t, smtp()),
        await startScriptedBackend(t, [smtp(), closeAtOnce, smtp()]),
      ];
      const instance = await startInstance(t, transport, {
        ...mx([formatAddress(good.address), formatAddress(slow.address)], {
          balance: 'round-robin',
          check: { ...CHECK, interval: '3s', fall: 9 },
          passiveHealth: { failures: 1, pause: '300ms' },
        }),
        shards: 1, // each goes round by itself
      });
      await eventually('the first check of b2', async () => {
        const metrics = await instance.metrics();
        return metrics.value('smtplb_checks_total', { backend: 'b2', outcome: 'ok' }) === 1;
      });
      for (let at = 1; at <= 2; at++) t.equal(await served(t, instance, at), 'b1');
      // From the log: a check may come any moment.
      await instance.logged('b2 left', line => /^backend is left alone/.test(String(line['msg'])));
      const ejected = async () =>
        (await instance.metrics()).value('smtplb_backend_ejected', { backend: 'b2' });
      await eventuallyEqual('trusted again', ejected, 0);
      t.equal(
        (await instance.metrics()).sum('smtplb_picks_total', { backend: 'b2' }),
        1,
        'no session tried it',
      );
    },
  );

  t.test(
    `${transport}: a backend that flaps is neither up nor down faster than rise and fall allow`,
    async t => {
      // Well, ill, well, ill ...: two in a row never come together.
      const turns = Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? closeAtOnce : smtp()));
      const flapping = await startScriptedBackend(t, [smtp(), ...turns]);
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(flapping.address)], { check: CHECK }),
      );
      await eventually('five checks', async () => (await instance.metrics()).sum('smtplb_checks_total') >= 5);
      t.equal(await health(instance, 'b1'), 1, 'still up: never two bad results in a row');
      t.same(
        instance.log.filter(line => line['msg'] === 'backend is down'),
        [],
      );
    },
  );

  t.test(
    `${transport}: Postfix that expects PROXY is checked with it, and its log stays quiet`,
    needs('postfix'),
    async t => {
      const postfix = await startPostfix(t, { proxyProtocol: true });
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(postfix.address)], { identity: 'proxy-v2', check: CHECK }),
      );
      await eventually('five good checks', async () => {
        return ((await instance.metrics()).value('smtplb_checks_total', { outcome: 'ok' }) ?? 0) >= 5;
      });
      t.notMatch(await postfix.log(), /warning|lost connection|improper/);
    },
  );

  t.test(
    `${transport}: Postfix that expects no PROXY header is found out by name`,
    needs('postfix'),
    async t => {
      const postfix = await startPostfix(t);
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(postfix.address)], { identity: 'proxy-v2', check: CHECK }),
      );
      t.match(await instance.logged('why', line => line['msg'] === 'backend is down'), {
        outcome: 'proxy-not-understood',
        detail: /PROXY/,
      });
    },
  );
}
