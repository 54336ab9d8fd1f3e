import t from 'tap';
import { loadConfigText } from '../../lib/config/load.ts';

/** What a pool's `check` comes to. */
function check(text: string) {
  const loaded = loadConfigText(
    `hostName: lb.example\nlisteners: [{ listen: "127.0.0.1:0", pool: mx }]\n` +
      `pools: [{ name: mx, check: ${text}, backends: [{ address: "10.0.0.1:25" }] }]\n`,
    'f',
    {},
  );
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults));
  return loaded.config.pools[0]?.check;
}

t.test('a check that is not asked for has defaults, and is off', async t => {
  t.same(check('{}'), {
    type: 'none',
    intervalMs: 5_000,
    timeoutMs: 5_000,
    rise: 2,
    fall: 3,
    helo: 'lb.example',
    address: undefined,
    port: undefined,
    proxyHeader: true,
    starttls: undefined,
    mail: undefined,
  });
});

t.test('TLS is verified unless the file says otherwise', async t => {
  t.same(check('{ type: smtp, starttls: {} }')?.starttls, {
    verify: true,
    serverName: undefined,
    ca: undefined,
  });
  t.same(check('{ type: smtp, starttls: { serverName: mx.example.net, ca: /etc/ssl/own.pem } }')?.starttls, {
    verify: true,
    serverName: 'mx.example.net',
    ca: '/etc/ssl/own.pem',
  });
});

t.test('a transaction has the null sender unless the file names one', async t => {
  t.same(check('{ type: smtp, mail: { to: probe@example.net } }')?.mail, {
    from: '',
    to: 'probe@example.net',
  });
  t.same(check('{ type: smtp, mail: { from: "a+b@[192.0.2.1]", to: postmaster@example.net } }')?.mail, {
    from: 'a+b@[192.0.2.1]',
    to: 'postmaster@example.net',
  });
});

t.test('a port of its own may do without the header', async t => {
  t.match(check('{ type: smtp, address: "2001:db8::1", port: 10025, proxyHeader: false }'), {
    address: '2001:db8::1',
    port: 10_025,
    proxyHeader: false,
  });
});
