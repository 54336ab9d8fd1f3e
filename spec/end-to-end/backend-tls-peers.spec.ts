/** HAProxy as a backend that speaks TLS, with a PROXY header before it or without: sessions and checks. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { freeAddress } from '../support/free-port.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

for (const transport of TRANSPORTS) {
  t.test(`${transport}: HAProxy with ssl and accept-proxy`, needs('openssl', 'haproxy'), async t => {
    const authority = await createAuthority(t);
    const certificate = await authority.issue({ names: ['mx.example'] });
    const both = join(await temporaryDirectory(t), 'mx.pem');
    await writeFile(both, certificate.cert + certificate.key);
    const behind = await startScriptedBackend(t, async connection => {
      await connection.until(/^PROXY [^\r]*\r\n/);
      await smtp()(connection);
    });
    const ssl = `ssl crt ${both} ssl-min-ver TLSv1.2`;
    const [plain, proxied] = [await freeAddress(), await freeAddress()];
    await startHaproxy(t, [
      { from: plain, to: behind.address, bindOptions: ssl, serverOptions: 'send-proxy' },
      { from: proxied, to: behind.address, bindOptions: `${ssl} accept-proxy`, serverOptions: 'send-proxy' },
    ]);
    const tls = { mode: 'implicit', ca: authority.certFile, serverName: 'mx.example' };
    const check = { type: 'smtp', interval: '10s', rise: 1, fall: 1 };
    const ways = [
      ['none', plain, '127.0.0.1'],
      ['proxy-v1', proxied, '127.7.0.9'],
      ['proxy-v2', proxied, '127.7.0.9'],
    ] as const;
    const instance = await startInstance(t, transport, {
      listeners: ways.map(([identity]) => ({ name: identity, pool: identity })),
      pools: ways.map(([identity, address]) => {
        const backends = [{ name: 'b1', address: formatAddress(address) }];
        return { name: identity, identity, tls, check, backends };
      }),
    });
    for (const [at, [identity, , seen]] of ways.entries()) {
      const checked = await instance.logged(
        'a check',
        line => line['msg'] === 'check' && line['pool'] === identity,
      );
      t.match(checked, { outcome: 'ok', detail: /spoke TLS/ }, `${identity}: the check`);
      for (let session = 0; session < 2; session++) {
        const client = await connectClient(t, instance.address(identity), { from: '127.7.0.9' });
        await client.expect(220);
        await client.command('EHLO client.example', 250);
        await client.deliver();
        await client.command('QUIT', 221);
        client.end();
      }
      const records = (await instance.sessions(2 * at + 2)).slice(2 * at);
      t.match(records, [{ cause: 'normal', backendTls: /^TLSv1\.3 TLS_/ }, {}]);
      const clients = behind.connections
        .filter(({ received }) => received.includes('EHLO client.example'))
        .slice(2 * at)
        .map(({ received }) => /^PROXY TCP4 (\S+)/.exec(received.toString())?.[1]);
      t.same(clients, [seen, seen], `${identity}: the client as HAProxy knows it`);
    }
    const metrics = await instance.metrics();
    const resumed = metrics.sum('smtplb_backend_tls_handshakes_total', { result: 'resumed' });
    t.comment(`${resumed} of ${2 * ways.length} handshakes resumed`);
    await instance.idle();
  });
}
