import t from 'tap';
import { PROXY_V1_OCTETS, PROXY_V2_OCTETS } from '../../lib/core/limits.ts';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { encodeProxyV1, encodeProxyV2 } from '../../lib/proxy-protocol/encode.ts';
import { headerOf, hex, IPV4_BLOCK, ip, v2 } from './samples.ts';

const v4 = { source: ip('192.0.2.1', 0x1234), destination: ip('198.51.100.2', 25) };
const v6 = { source: ip('2001:db8::1', 65535), destination: ip('2001:db8::2', 0) };
const unix = {
  source: { family: 'unix', path: '' },
  destination: { family: 'unix', path: '/run/smtp' },
} as const;

function line(ends: Parameters<typeof encodeProxyV1>[0]): string {
  return Buffer.from(encodeProxyV1(ends)).toString('latin1');
}

t.test('version 1', async t => {
  t.equal(line(v4), 'PROXY TCP4 192.0.2.1 198.51.100.2 4660 25\r\n');
  t.equal(line(v6), 'PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n');
  const mixed = { source: v4.source, destination: v6.destination };
  t.equal(line(mixed), 'PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 4660 0\r\n');
  const turned = { source: v6.source, destination: v4.destination };
  t.equal(line(turned), 'PROXY TCP6 2001:db8::1 ::ffff:198.51.100.2 65535 25\r\n');
});

t.test('version 1 says UNKNOWN where it cannot say who', async t => {
  for (const ends of [
    { source: null, destination: null },
    { source: v4.source, destination: null },
    { source: null, destination: v4.destination },
    { source: v4.source, destination: unix.destination },
    unix,
  ]) {
    t.equal(line(ends), 'PROXY UNKNOWN\r\n');
  }
});

t.test('version 1 never takes more than 107 octets, nor a zone, however an address was written', async t => {
  const zoned = { family: 'ipv6', host: 'fe80::1%a-long-interface-name-of-somebody', port: 65535 } as const;
  t.equal(line({ source: zoned, destination: zoned }), 'PROXY TCP6 fe80::1 fe80::1 65535 65535\r\n');
  const eth0 = { family: 'ipv6', host: 'fe80::1%eth0', port: 1 } as const;
  t.equal(line({ source: eth0, destination: eth0 }), 'PROXY TCP6 fe80::1 fe80::1 1 1\r\n');
  const host = 'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255';
  const dotted = { family: 'ipv6', host, port: 65535 } as const;
  const longest = encodeProxyV1({ source: dotted, destination: dotted });
  t.equal(longest.length, 104);
  t.ok(longest.length <= PROXY_V1_OCTETS);
  const mapped = { family: 'ipv6', host: '0000:0000:0000:0000:0000:ffff:192.168.200.100', port: 1 } as const;
  t.equal(
    line({ source: mapped, destination: v6.source }),
    'PROXY TCP6 ::ffff:192.168.200.100 2001:db8::1 1 65535\r\n',
  );
});

t.test('version 2, octet by octet', async t => {
  const same = (options: Parameters<typeof encodeProxyV2>[0], expected: Uint8Array, name: string) =>
    t.equal(Buffer.from(encodeProxyV2(options)).toString('hex'), Buffer.from(expected).toString('hex'), name);

  same(
    { command: 'proxy', ...v4 },
    hex('0d0a0d0a000d0a515549540a 21 11 000c c0000201 c6336402 1234 0019'),
    'IPv4',
  );
  const db8 = '20010db80000000000000000000000';
  same({ command: 'proxy', ...v6 }, v2(0x21, 0x21, hex(`${db8}01 ${db8}02 ffff 0000`)), 'IPv6');
  const mapped = '00000000000000000000ffff';
  same(
    { command: 'proxy', source: v4.source, destination: v6.destination },
    v2(0x21, 0x21, hex(`${mapped}c0000201 ${db8}02 1234 0000`)),
    'IPv4 to IPv6',
  );
  same(
    { command: 'proxy', source: v6.source, destination: v4.destination },
    v2(0x21, 0x21, hex(`${db8}01 ${mapped}c6336402 ffff 0019`)),
    'IPv6 to IPv4',
  );
  const paths = Buffer.alloc(216);
  paths.write('/run/smtp', 108);
  same({ command: 'proxy', ...unix }, v2(0x21, 0x31, paths), 'Unix');
});

t.test('every form of an IPv6 address has the same octets', async t => {
  for (const [host, octets] of [
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['1::', `0001${'00'.repeat(14)}`],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
    ['ABCD:ef01::00ff', `abcdef01${'00'.repeat(11)}ff`],
    ['fe80::dead:beef%eth0', `fe80${'00'.repeat(10)}deadbeef`],
    ['64:ff9b::192.0.2.33', `0064ff9b${'00'.repeat(8)}c0000221`],
    ['1:2:3:4:5:6:192.0.2.33', '000100020003000400050006c0000221'],
  ] as const) {
    const end = { family: 'ipv6', host, port: 0 } as const;
    const out = Buffer.from(encodeProxyV2({ command: 'proxy', source: end, destination: end }));
    t.equal(out.toString('hex', 16), octets + octets + '00'.repeat(4), host);
  }
});

t.test(
  'version 2 without two ends of one family: 16 octets, and a proxied session never says LOCAL',
  async t => {
    const long = { family: 'unix', path: 'x'.repeat(109) } as const;
    for (const ends of [
      { source: null, destination: null },
      { source: v4.source, destination: null },
      { source: v4.source, destination: unix.destination },
      { source: unix.source, destination: v4.destination },
      { source: unix.source, destination: long },
    ]) {
      const out = encodeProxyV2({ command: 'proxy', ...ends, uniqueId: 'x', crc32c: true });
      t.strictSame(Buffer.from(out), Buffer.from(v2(0x21, 0x00, new Uint8Array(0))));
    }
  },
);

t.test('LOCAL says nothing else, addresses at hand or not', async t => {
  for (const ends of [v4, { source: null, destination: null }]) {
    const out = encodeProxyV2({ command: 'local', ...ends, uniqueId: 'x' });
    t.strictSame(Buffer.from(out), Buffer.from(v2(0x20, 0x00, new Uint8Array(0))));
  }
});

t.test('a path that fills its field is written whole', async t => {
  const source = { family: 'unix', path: `/${'é'.repeat(53)}x` } as const;
  const out = encodeProxyV2({ command: 'proxy', source, destination: unix.destination });
  t.strictSame(headerOf(decodeProxyHeader(out))?.source, source);
});

t.test('two headers do not share octets', async t => {
  const first = encodeProxyV2({ command: 'proxy', ...v4 });
  encodeProxyV2({ command: 'proxy', ...v6 }).fill(0xee);
  t.strictSame(Buffer.from(first), Buffer.from(v2(0x21, 0x11, IPV4_BLOCK)));
});

t.test('the longest header this program writes is one it would accept', async t => {
  const text = 'x'.repeat(255);
  const tls = {
    client: 7,
    verify: 0,
    version: text,
    commonName: text,
    cipher: text,
    signatureAlgorithm: text,
    keyAlgorithm: text,
  };
  const options = {
    command: 'proxy',
    ...unix,
    uniqueId: 'x'.repeat(128),
    authority: text,
    alpn: text,
    tls,
    crc32c: true,
  } as const;
  const out = encodeProxyV2(options);
  t.equal(out.length, 16 + 216 + 3 + 128 + 2 * 258 + 8 + 5 * 258 + 7);
  t.ok(out.length <= PROXY_V2_OCTETS);
  t.strictSame(headerOf(decodeProxyHeader(out))?.tlvs?.tls, tls);
});
