import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { refusingAddress } from '../support/free-port.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: a backend that refuses is left for another, and the client sees one greeting`,
    async t => {
      const good = await startScriptedBackend(t, smtp());
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(await refusingAddress()), { address: formatAddress(good.address), backup: true }]),
      );
      const client = await connectClient(t, instance.address());
      t.match(await client.reply(), { code: 220 });
      await client.command('QUIT', 221);
      client.end();
      const [record] = await instance.sessions(1);
      t.match(record, { backend: 'b2', retries: [{ backend: 'b1', fault: 'refused' }] });
      await instance.idle();
    },
  );
}
