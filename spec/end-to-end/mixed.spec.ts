/** Pools that speak TLS beside those that do not: over a fast transport they are served by shards of two kinds. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { type Instance, startInstance, WITH_NET } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { connectTls } from '../support/tls-client.ts';

async function delivers(owner: Owner, instance: Instance, listener: string, tls: boolean): Promise<void> {
  const at = instance.address(listener);
  const client = tls ? await connectTls(owner, at) : await connectClient(owner, at);
  await client.expect(220);
  await client.command('EHLO mixed.example', 250);
  await client.deliver();
  await client.command('QUIT', 221);
  client.end();
}

/** Connects again and again until told to stop; resolves with how many clients were greeted. All must be. */
function arriving(owner: Owner, instance: Instance, listener: string) {
  let over = false;
  const ended = (async () => {
    let greeted = 0;
    for (; !over; greeted++) {
      const client = await connectClient(owner, instance.address(listener));
      await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
    }
    return greeted;
  })();
  return {
    end() {
      over = true;
      return ended;
    },
  };
}

for (const transport of WITH_NET)
  t.test(`${transport}: pools with and without TLS in one configuration`, needs('openssl'), async t => {
    const authority = await createAuthority(t);
    const { certFile: cert, keyFile: key } = await authority.issue({ names: ['mx.example.net'] });
    const backend = await startScriptedBackend(t, smtp({ capabilities: ['PIPELINING'] }));
    const backends = [{ name: 'b1', address: formatAddress(backend.address) }];
    const settings = (pool: string, more: readonly Readonly<Record<string, unknown>>[]) => ({
      shards: 1,
      listeners: [{ name: 'mx', pool }, ...more],
      pools: [
        { name: 'near', backends },
        { name: 'far', backends, tls: { mode: 'may' } },
      ],
    });
    const tls = { mode: 'implicit', certificates: [{ cert, key }] };
    const secure = (pool: string) => ({ name: 'secure', pool, tls });

    const instance = await startInstance(t, transport, settings('near', []));
    const kinds = async () => (await instance.metrics()).sum('smtplb_shard_up');
    t.equal(await kinds(), 1, 'nobody needs another shard');
    await delivers(t, instance, 'mx', false);
    const address = instance.address('mx');

    t.comment('a listener comes where TLS ends');
    instance.configure(settings('near', [secure('near')]));
    t.match(await instance.server.reload(), { ok: true });
    t.equal(await kinds(), 1, 'nor for the TLS of clients');
    await delivers(t, instance, 'secure', true);

    t.comment('its pool speaks TLS as well');
    instance.configure(settings('near', [secure('far')]));
    t.match(await instance.server.reload(), { ok: true });
    t.equal(await kinds(), transport === 'net' ? 1 : 2);
    await delivers(t, instance, 'secure', true);
    await delivers(t, instance, 'mx', false);

    t.comment('the other one moves there, too, and back again, and nobody is turned away');
    const clients = arriving(t, instance, 'mx');
    for (const pool of ['far', 'near', 'far', 'near', 'far', 'near']) {
      instance.configure(settings(pool, [secure('far')]));
      t.match(await instance.server.reload(), { ok: true }, pool);
      t.strictSame(instance.address('mx'), address);
      await delivers(t, instance, 'mx', false);
    }
    t.comment(`${await clients.end()} clients came meanwhile, and all were greeted`);
    await instance.idle();
  });
