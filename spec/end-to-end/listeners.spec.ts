import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { startInstance, TRANSPORTS } from '../support/instance.ts';
import { accepts } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: every listener has its addresses and its pool, and port 0 is a new port each time`,
    async t => {
      const names = ['inbound', 'outbound'];
      const backends = await Promise.all(
        names.map(name => startScriptedBackend(t, smtp({ hostName: `${name}.example` }))),
      );
      const instance = await startInstance(t, transport, {
        listeners: names.map(name => ({
          name,
          pool: name,
          listen: ['127.0.0.1:0', '127.0.0.1:0', '[::1]:0'],
        })),
        pools: names.map((name, at) => ({
          name,
          backends: [{ address: backends.map(({ address }) => formatAddress(address))[at] }],
        })),
      });
      const all = [...instance.server.listening.values()].flat();
      t.equal(new Set(all.map(formatAddress)).size, 6, 'six addresses');
      for (const name of names) {
        for (const address of instance.server.listening.get(name) ?? []) {
          const client = await connectClient(t, address);
          t.match((await client.reply()).raw, `220 ${name}.example ESMTP`);
          await client.command('QUIT', 221);
          client.end();
        }
      }
      const records = await instance.sessions(6);
      t.same(records.map(({ listener }) => listener).sort(), [...names, ...names, ...names].sort());
      await instance.idle();
      await instance.stop();
      for (const address of all)
        t.notOk(await accepts(address), `nobody listens on ${formatAddress(address)}`);
    },
  );
}
