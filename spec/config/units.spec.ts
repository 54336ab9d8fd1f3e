import t from 'tap';
import {
  isHostName,
  parseBackendAddress,
  parseDuration,
  parseListenAddress,
  parseNetwork,
  parseRate,
} from '../../lib/config/units.ts';

t.test('durations', async t => {
  const good = {
    '250ms': 250,
    '5s': 5_000,
    '10m': 600_000,
    '1h': 3_600_000,
    '1d': 86_400_000,
    '1m30s': 90_000,
  };
  for (const [text, ms] of Object.entries(good)) t.equal(parseDuration(text), ms, text);
  t.equal(parseDuration('1d2h3m4s5ms'), 93_784_005);
  t.equal(parseDuration('0s'), 0);
  for (const text of [
    '',
    '5',
    's',
    '-5s',
    '+5s',
    '1.5s',
    '5 s',
    '5S',
    '5s5s',
    '1s1m',
    '1ms1s',
    '1w',
    '9999999999999d',
  ]) {
    t.equal(parseDuration(text), undefined, `"${text}"`);
  }
});

t.test('rates', async t => {
  t.same(parseRate('60/1m'), { count: 60, perMs: 60_000 });
  t.same(parseRate('1000000/1s'), { count: 1_000_000, perMs: 1_000 });
  for (const text of [
    '',
    '60',
    '60/',
    '/1m',
    '60/m',
    '0/1m',
    '-1/1m',
    '1000001/1m',
    '5/999ms',
    '5/25h',
    '60 / 1m',
  ]) {
    t.equal(parseRate(text), undefined, `"${text}"`);
  }
});

t.test('networks', async t => {
  const ipv4 = (host: string, prefix: number) => ({ family: 'ipv4', host, prefix });
  const ipv6 = (host: string, prefix: number) => ({ family: 'ipv6', host, prefix });
  t.same(parseNetwork('192.0.2.7'), ipv4('192.0.2.7', 32), 'an address is a network of one');
  t.same(parseNetwork('2001:DB8::7'), ipv6('2001:db8::7', 128));
  t.same(parseNetwork('0.0.0.0/0'), ipv4('0.0.0.0', 0));
  t.same(parseNetwork('::/0'), ipv6('::', 0));
  t.same(parseNetwork('10.1.2.3/9'), ipv4('10.0.0.0', 9), 'bits beyond the prefix are cleared');
  t.same(parseNetwork('10.255.2.3/12'), ipv4('10.240.0.0', 12));
  t.same(parseNetwork('2001:db8:ffff::1/33'), ipv6('2001:db8:8000::', 33));
  t.same(parseNetwork('::ffff:10.0.0.0/104'), ipv4('10.0.0.0', 8), 'v4-mapped is IPv4');
  t.same(parseNetwork('::ffff:c000:207'), ipv4('192.0.2.7', 32), 'in any spelling');
  t.same(parseNetwork('::ffff:0:0/95'), ipv6('::fffe:0:0', 95), 'more than the mapped ones is IPv6');
  for (const text of [
    '',
    'lan',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0/8',
    '10.0.0.0/-1',
    'fe80::1%lo',
    '/8',
  ]) {
    t.equal(parseNetwork(text), undefined, `"${text}"`);
  }
});

t.test('addresses', async t => {
  t.same(parseListenAddress('127.0.0.1:0'), { family: 'ipv4', host: '127.0.0.1', port: 0 });
  t.same(parseListenAddress('unix:/run/mx'), { family: 'unix', path: '/run/mx' });
  for (const text of ['*:25', ':25', '25', 'mx:25', '::1:25', 'unix:mx', `unix:/${'x'.repeat(107)}`]) {
    t.equal(parseListenAddress(text), undefined, text);
  }
  t.same(parseBackendAddress('[2001:db8::1]:25'), { family: 'ipv6', host: '2001:db8::1', port: 25 });
  t.same(parseBackendAddress('unix:/run/mx'), { family: 'unix', path: '/run/mx' });
  t.same(parseBackendAddress('mx1.example.net:25'), { family: 'name', host: 'mx1.example.net', port: 25 });
  t.same(parseBackendAddress('localhost:25'), { family: 'name', host: 'localhost', port: 25 });
  for (const text of [
    '10.0.0.1',
    '10.0.0.1:0',
    '[::1]:0',
    'mx:0',
    'mx:65536',
    '10.0.0.256:25',
    '-mx:25',
    'a b:25',
  ]) {
    t.equal(parseBackendAddress(text), undefined, text);
  }
});

t.test('host names', async t => {
  for (const name of [
    'mx',
    'mx.example.net',
    'mx.example.net.',
    '3com.test',
    'a_b.test',
    'xn--bcher-kva.test',
  ]) {
    t.ok(isHostName(name), name);
  }
  const long = `${'a'.repeat(63)}.`.repeat(4);
  for (const name of [
    '',
    '.',
    'a..b',
    '-a',
    'a-',
    '10.0.0.1',
    '1',
    'a.1',
    'ä.test',
    `${'a'.repeat(64)}.b`,
    long,
  ]) {
    t.notOk(isHostName(name), name);
  }
});
