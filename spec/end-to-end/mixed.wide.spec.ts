/** TLS where the transport speaks it, and where it does not: then shards of two kinds serve. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { chooseShards, type ShardChoice } from '../../lib/shards.ts';
import { createAuthority } from '../support/certificates.ts';
import { type Instance, startInstance, type TransportName, WITH_NET } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { capabilitiesOf, connectStarttls, connectTls } from '../support/tls-client.ts';

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

/** As where a build of Node keeps its OpenSSL to itself. */
async function withoutTls(transport: TransportName): Promise<ShardChoice> {
  const choice = await chooseShards({ shards: 1, transport });
  return {
    ...choice,
    seats: choice.seats.map(seat => ({ ...seat, speaksTls: seat.transport === 'net' })),
  };
}

for (const transport of WITH_NET)
  t.test(`${transport}: with and without TLS in one configuration`, needs('openssl'), async t => {
    const authority = await createAuthority(t);
    const { certFile: cert, keyFile: key } = await authority.issue({ names: ['mx.example.net'] });
    const tls = (mode: string) => ({ tls: { mode, certificates: [{ cert, key }] } });
    const backend = await startScriptedBackend(t, smtp({ capabilities: ['PIPELINING'] }));
    const settings = (
      of: Readonly<Record<string, unknown>>,
      more: readonly Readonly<Record<string, unknown>>[],
    ) => ({
      shards: 1,
      listeners: [{ name: 'mx', pool: 'mx', ...of }, ...more],
      pools: [{ name: 'mx', backends: [{ name: 'b1', address: formatAddress(backend.address) }] }],
    });
    const secure = { name: 'secure', pool: 'mx', ...tls('implicit') };
    const kindsOf = async (instance: Instance) => (await instance.metrics()).sum('smtplb_shard_up');

    const able = await startInstance(t, transport, settings({}, [secure]));
    await delivers(t, able, 'secure', true);
    t.equal(await kindsOf(able), 1, 'TLS needs no shard of its own');

    t.comment('where this transport has no TLS, others do');
    const instance = await startInstance(t, transport, settings({}, []), await withoutTls(transport));
    t.equal(await kindsOf(instance), 1, 'nobody needs another shard');
    await delivers(t, instance, 'mx', false);
    const address = instance.address('mx');

    t.comment('a listener with TLS comes');
    instance.configure(settings({}, [secure]));
    t.match(await instance.server.reload(), { ok: true });
    t.equal(await kindsOf(instance), transport === 'net' ? 1 : 2);
    await delivers(t, instance, 'secure', true);
    await delivers(t, instance, 'mx', false);

    t.comment('the other one has it, too, and loses it again, and nobody is turned away');
    const clients = arriving(t, instance, 'mx');
    for (const round of [1, 2, 3]) {
      instance.configure(settings(tls('starttls'), [secure]));
      t.match(await instance.server.reload(), { ok: true }, `round ${round}`);
      t.strictSame(instance.address('mx'), address);
      const client = await connectStarttls(t, address);
      t.strictSame(capabilitiesOf(client.plain), ['PIPELINING', 'STARTTLS']);
      await client.command('QUIT', 221);
      client.end();
      instance.configure(settings({}, [secure]));
      t.match(await instance.server.reload(), { ok: true });
      t.strictSame(instance.address('mx'), address);
      const plain = await connectClient(t, address);
      await plain.expect(220);
      t.strictSame(capabilitiesOf(await plain.command('EHLO mixed.example', 250)), ['PIPELINING']);
      await plain.command('QUIT', 221);
      plain.end();
    }
    t.comment(`${await clients.end()} clients came meanwhile, and all were greeted`);
    await instance.idle();
  });
