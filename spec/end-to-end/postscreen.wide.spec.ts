import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { connectClient } from '../support/smtp-client.ts';

const BANNER = 'postscreen_greet_banner = please wait';
const FIRST_LINE = '220-please wait\r\n';

for (const transport of TRANSPORTS) {
  t.test(`${transport}: postscreen's greeting comes line by line`, needsRoot('postfix'), async t => {
    const postfix = await startPostfix(t, { postscreen: true, main: [BANNER] });
    const instance = await startInstance(t, transport, mx([formatAddress(postfix.address)]));
    const from = performance.now();
    const client = await connectClient(t, instance.address());
    await client.until(FIRST_LINE);
    const firstMs = performance.now() - from;
    await client.expect(220);
    const wholeMs = performance.now() - from;
    await client.command('QUIT', 221);
    client.end();
    t.match(await instance.sessions(1), [{ cause: 'normal', greetingCode: 220, retries: [] }]);
    await instance.idle();
    t.comment(`first line after ${firstMs.toFixed(0)} ms, whole greeting after ${wholeMs.toFixed(0)} ms`);
  });

  t.test(
    `${transport}: who has postscreen's first line and talks before its turn is seen by it, and hears its 521`,
    needsRoot('postfix'),
    async t => {
      const postfix = await startPostfix(t, {
        postscreen: true,
        // Nobody sits it out: what is said into it ends it.
        main: [BANNER, 'postscreen_greet_action = drop', 'postscreen_greet_wait = 20s'],
      });
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(postfix.address)], { passiveHealth: { failures: 1, pause: '1m', maxPause: '1m' } }),
      );
      for (const when of ['before the first line', 'in the pause']) {
        const client = await connectClient(t, instance.address());
        if (when === 'in the pause') await client.until(FIRST_LINE);
        await client.send('EHLO hasty.example');
        if (when !== 'in the pause') await client.until(FIRST_LINE);
        await client.expect(/^521 5\.5\.1 Protocol error/);
        await client.closed;
        client.destroy();
      }
      await postfix.logged(/PREGREET 20 after \S+ from \S+ EHLO hasty\.example/);
      for (const record of await instance.sessions(2)) {
        t.match(record, { greetingCode: 521, retries: [], backend: 'b1' });
      }
      const metrics = await instance.metrics();
      t.equal(metrics.sum('smtplb_backend_failures_total'), 0);
      t.equal(metrics.value('smtplb_backend_ejected'), 0, 'hasty clients do not eject a backend');
      await instance.idle();
    },
  );
}
