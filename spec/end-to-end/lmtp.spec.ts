/** A real LMTP server behind: aiosmtpd. */
import t from 'tap';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { startAiosmtpd } from '../support/aiosmtpd.ts';
import { createAuthority } from '../support/certificates.ts';
import { startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { swaks } from '../support/swaks.ts';

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: LMTP, plain, over STARTTLS and with TLS from the start`,
    needs('openssl', 'swaks'),
    async t => {
      const authority = await createAuthority(t);
      const { certFile, keyFile } = await authority.issue({ names: ['mx.example'] });
      const server = await startAiosmtpd(t, 'lmtp');
      const edge = (mode: string) => ({
        mode,
        required: mode === 'starttls',
        certificates: [{ cert: certFile, key: keyFile }],
      });
      const instance = await startInstance(t, transport, {
        listeners: [
          { name: 'plain', pool: 'lmtp' },
          { name: 'starttls', pool: 'lmtp', tls: edge('starttls') },
          { name: 'implicit', pool: 'lmtp', tls: edge('implicit') },
        ],
        pools: [{ name: 'lmtp', backends: [{ address: formatAddress(server.address) }] }],
      });
      const two = 'a@example.com,b@example.com';
      for (const [at, [listener, extra]] of [
        ['plain', []],
        ['starttls', ['--tls']],
        ['implicit', ['--tls-on-connect']],
      ].entries() as IterableIterator<[number, [string, string[]]]>) {
        const sent = await swaks(t, {
          server: instance.address(listener) as IpAddress,
          to: two,
          extra: [...extra, '--protocol', 'LMTP'],
        });
        t.equal(sent.exitCode, 0, `${listener}: ${sent.replies.slice(-3).join(' | ')}`);
        t.same(server.messages()[at], two.split(','));
        t.equal(sent.lines.filter(({ text }) => / delivered$/.test(text)).length, 2, 'a reply for each');
      }
      t.match(await instance.sessions(3), [{ cause: 'normal' }, { cause: 'normal' }, { cause: 'normal' }]);
      await instance.idle();
    },
  );
}
