import { SocketAddress } from 'node:net';
import t from 'tap';
import {
  type Address,
  formatAddress,
  ipAddress,
  ipBytes,
  ipFromBytes,
  parseAddress,
  parseHostPort,
} from '../../lib/core/address.ts';
import { type Random, randomFrom, seedOfRun } from '../smtp/random.ts';

/** What Node makes of an IPv6 literal: two implementations that have nothing in common with ours. */
const bySocketAddress = (host: string) => new SocketAddress({ address: host, family: 'ipv6' }).address;
const byUrl = (host: string) => new URL(`http://[${host}]/`).hostname.slice(1, -1);

const GROUPS = [
  '0',
  '0',
  '0',
  '00',
  '0000',
  '1',
  '0db8',
  'DB8',
  'ffff',
  'FfFf',
  'a',
  '00c0',
  '8000',
] as const;

/** An IPv6 literal in one of the many forms of RFC 4291 section 2.2. */
function literal(random: Random): string {
  const quad = random.below(4) === 0;
  const size = quad ? 6 : 8;
  const groups = Array.from({ length: size }, () => random.pick(GROUPS) as string);
  if (random.below(8) === 0) groups.fill('0', 0, 5)[5] = random.pick(['ffff', '0', 'FFFF']);
  const tail = quad ? [Array.from({ length: 4 }, () => random.below(256)).join('.')] : [];
  if (random.below(2) === 0) return [...groups, ...tail].join(':');
  // `::` stands for one group of zeros or more; what is left out need not have been zero, it is now.
  const from = random.below(size);
  const to = from + 1 + random.below(size - from);
  return `${groups.slice(0, from).join(':')}::${[...groups.slice(to), ...tail].join(':')}`;
}

t.test(
  'whatever form of an IPv6 address is written, its bytes and shortest form are as Node has them',
  async t => {
    const seed = seedOfRun();
    const random = randomFrom(seed);
    const faults: string[] = [];
    let mapped = 0;
    for (let round = 0; round < 20_000 && faults.length < 5; round++) {
      const host = literal(random);
      const shortest = ipFromBytes(ipBytes(host));
      const expected = bySocketAddress(host);
      const v4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(expected)?.[1];
      if (v4 !== undefined) mapped++;
      if (shortest !== (v4 ?? byUrl(host)))
        faults.push(`${host} became ${shortest}, not ${v4 ?? byUrl(host)}`);
      // Node keeps dotted quads in `::192.0.2.1`; RFC 5952 allows both, one form is what counts.
      if (v4 === undefined && byUrl(expected) !== shortest)
        faults.push(`${host}: ${expected} is not ${shortest}`);
      if (ipFromBytes(ipBytes(shortest)) !== shortest)
        faults.push(`${shortest} is not its own shortest form`);
    }
    t.comment(`SMTPLB_SEED=${seed}, ${mapped} of 20000 were v4-mapped`);
    t.ok(mapped > 0);
    t.strictSame(faults, [], `seed ${seed}`);
  },
);

t.test('bytes to text and back: any 4 or 16 bytes', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const faults: string[] = [];
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random.pick([4, 16]) }, () =>
      random.below(3) === 0 ? random.below(256) : 0,
    );
    const text = ipFromBytes(bytes);
    const again = ipBytes(text);
    const whole =
      again.length === bytes.length ? again : Uint8Array.from([...bytes.subarray(0, 12), ...again]);
    if (Buffer.compare(whole, bytes) !== 0) faults.push(`${bytes} became ${text} and ${again}`);
  }
  t.strictSame(faults, [], `seed ${seed}`);
});

t.test('the zeros that become :: are the longest run, the first of equals, and never one group', async t => {
  for (const [written, shortest] of [
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:DB8::0001', '2001:db8::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:192.0.2.1', '192.0.2.1'],
    ['::192.0.2.1', '::c000:201'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ] as const) {
    t.equal(ipFromBytes(ipBytes(written)), shortest, written);
  }
});

t.test('what is no address has no bytes', async t => {
  for (const host of ['', 'localhost', '192.0.2', '192.0.2.256', '1::2::3', 'g::', '[::1]', '::1 ']) {
    t.throws(() => ipBytes(host), TypeError, host);
    t.equal(ipAddress(host, 25), undefined, host);
  }
});

t.test('an address is formatted as it is parsed', async t => {
  const addresses: readonly [string, Address][] = [
    ['192.0.2.1:25', { family: 'ipv4', host: '192.0.2.1', port: 25 }],
    ['0.0.0.0:0', { family: 'ipv4', host: '0.0.0.0', port: 0 }],
    ['[2001:db8::1]:65535', { family: 'ipv6', host: '2001:db8::1', port: 65_535 }],
    ['[::]:25', { family: 'ipv6', host: '::', port: 25 }],
    ['unix:/run/mx.sock', { family: 'unix', path: '/run/mx.sock' }],
    ['unix:/a:b', { family: 'unix', path: '/a:b' }],
  ];
  for (const [text, address] of addresses) {
    t.strictSame(parseAddress(text), address, text);
    t.equal(formatAddress(address), text);
  }
});

t.test('one client has one address, however it is written', async t => {
  const same = { family: 'ipv4', host: '192.0.2.1', port: 25 };
  for (const text of [
    '192.0.2.1:25',
    '[::ffff:192.0.2.1]:25',
    '[::FFFF:c000:0201]:25',
    '[0:0:0:0:0:ffff:c000:201]:25',
  ]) {
    t.strictSame(parseAddress(text), same, text);
  }
  t.strictSame(ipAddress('::ffff:192.0.2.1', 25), same, 'as a dual-stack socket names its peer');
  t.strictSame(parseAddress('[2001:DB8:0:0::1]:25'), parseAddress('[2001:db8::1]:25'));
});

t.test('what is no address is not taken for one', async t => {
  for (const text of [
    '',
    ':25',
    '192.0.2.1',
    '192.0.2.1:',
    '192.0.2.1:65536',
    '192.0.2.1:123456',
    '192.0.2.1:-1',
    '192.0.2.1:+25',
    '192.0.2.1:2 5',
    '192.0.2.1:0x19',
    '::1:25',
    '[::1]',
    '[::1]:',
    '[192.0.2.1]:25',
    '[::1]]:25',
    '[[::1]:25',
    'localhost:25',
    '192.0.2.01:25x',
    '256.0.0.1:25',
    'unix:',
    'unix:run/x',
    'UNIX:/run/x',
    '192.0.2.1:25\n',
  ]) {
    t.equal(parseAddress(text), undefined, JSON.stringify(text));
  }
});

t.test('a host and its port: the host may be a name', async t => {
  t.strictSame(parseHostPort('mx.example.net:25'), { host: 'mx.example.net', port: 25 });
  t.strictSame(parseHostPort('[::1]:25'), { host: '::1', port: 25 });
  t.equal(parseHostPort('[mx.example.net]:25'), undefined);
  t.equal(parseHostPort('a:b:25'), undefined);
});
