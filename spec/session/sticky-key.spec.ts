import t from 'tap';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import type { StickyOptions } from '../../lib/pool/snapshot.ts';
import { stickyKey } from '../../lib/session/sticky-key.ts';

const by = (by: StickyOptions['by'], more: Partial<StickyOptions> = {}): StickyOptions => ({
  by,
  ttlMs: 1,
  timeoutMs: 1,
  ipv4Prefix: 24,
  ipv6Prefix: 64,
  ...more,
});
const from = (host: string) => ({ address: ipAddress(host, 4711) as Address });
const UNIX = { address: { family: 'unix', path: '/run/x' } } as const;

t.test('a client by its address, whatever port it comes from', async t => {
  t.equal(stickyKey(by('client-address'), from('192.0.2.7')), '192.0.2.7');
  t.equal(stickyKey(by('client-address'), from('2001:db8::7')), '2001:db8::7');
  t.equal(stickyKey(by('client-address'), from('2001:0db8:0:0:0:0:0:7')), '2001:db8::7', 'in one spelling');
  t.equal(stickyKey(by('client-address'), UNIX), null);
});

t.test('a client by its network', async t => {
  t.equal(stickyKey(by('client-network'), from('192.0.2.7')), '192.0.2.0/24');
  t.equal(stickyKey(by('client-network'), from('2001:db8:1:2:3:4:5:6')), '2001:db8:1:2::/64');
  const odd = by('client-network', { ipv4Prefix: 19, ipv6Prefix: 61 });
  t.equal(stickyKey(odd, from('10.20.255.7')), '10.20.224.0/19');
  t.equal(stickyKey(odd, from('2001:db8:1:f:3:4:5:6')), '2001:db8:1:8::/61');
  t.equal(stickyKey(by('client-network', { ipv4Prefix: 32 }), from('192.0.2.7')), '192.0.2.7');
});

t.test('a client by a name, where it gives one', async t => {
  const facts = { ...from('192.0.2.7'), serverName: 'Mail.Example.', helloName: 'HOST.example' };
  t.equal(stickyKey(by('server-name'), facts), 'sni:mail.example');
  t.equal(stickyKey(by('hello-name'), facts), 'ehlo:host.example');
  t.equal(stickyKey(by('server-name'), from('192.0.2.7')), null);
  t.equal(stickyKey(by('server-name'), { ...facts, serverName: '' }), null);
  t.equal(stickyKey(by('hello-name'), { ...facts, helloName: 'x'.repeat(256) }), null);
});
