import t from 'tap';
import { PROXY_V2_OCTETS } from '../../lib/core/limits.ts';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { encodeProxyV2 } from '../../lib/proxy-protocol/encode.ts';
import { ascii, headerOf, hex, IPV4_BLOCK, ip, refusal, tlv, v2 } from './samples.ts';

t.test('TCP over IPv4; what follows belongs to the session', async t => {
  const bytes = Buffer.concat([v2(0x21, 0x11, IPV4_BLOCK), ascii('EHLO x\r\n')]);
  t.strictSame(decodeProxyHeader(bytes), {
    status: 'valid',
    length: 28,
    header: {
      version: 2,
      command: 'proxy',
      source: ip('192.0.2.1', 0x1234),
      destination: ip('198.51.100.2', 25),
      tlvs: {},
    },
  });
});

t.test('TCP over IPv6, mapped addresses too', async t => {
  const plain = hex('20010db8000000000000000000000001 20010db8000000000000000000000002 ffff 0000');
  const header = headerOf(decodeProxyHeader(v2(0x21, 0x21, plain)));
  t.strictSame([header?.source, header?.destination], [ip('2001:db8::1', 65535), ip('2001:db8::2', 0)]);
  const mapped = hex('00000000000000000000ffffc0000201 20010db8000000000000000000000002 0001 0019');
  t.strictSame(headerOf(decodeProxyHeader(v2(0x21, 0x21, mapped)))?.source, ip('192.0.2.1', 1));
});

t.test('Unix streams: padded, unnamed, and as long as the field', async t => {
  const block = Buffer.alloc(216);
  block.write('/run/client\0rubbish');
  block.fill('y', 108);
  const header = headerOf(decodeProxyHeader(v2(0x21, 0x31, block)));
  t.strictSame(header?.source, { family: 'unix', path: '/run/client' });
  t.strictSame(header?.destination, { family: 'unix', path: 'y'.repeat(108) });
  const unnamed = headerOf(decodeProxyHeader(v2(0x21, 0x31, Buffer.alloc(216))));
  t.strictSame(unnamed?.source, { family: 'unix', path: '' });
});

t.test('LOCAL keeps the real peer: family and block are skipped, whatever they are', async t => {
  const local = { version: 2, command: 'local', source: null, destination: null };
  for (const [family, payload] of [
    [0x00, new Uint8Array(0)],
    [0x11, IPV4_BLOCK],
    [0x12, new Uint8Array(1)],
    [0xff, ascii('no TLV, no address')],
  ] as const) {
    const bytes = v2(0x20, family, payload);
    t.strictSame(decodeProxyHeader(bytes), { status: 'valid', length: bytes.length, header: local });
  }
});

t.test('CVE-2024-23327: LOCAL in, version 2 out, no addresses to write', async t => {
  const header = headerOf(decodeProxyHeader(v2(0x20, 0x00, new Uint8Array(0))));
  if (header === undefined) return t.fail('LOCAL was refused');
  t.strictSame(Buffer.from(encodeProxyV2(header)), Buffer.from(v2(0x20, 0x00, new Uint8Array(0))));
});

t.test('UNSPEC keeps the real peer too', async t => {
  const unknown = { version: 2, command: 'proxy', source: null, destination: null };
  for (const family of [0x00, 0x01, 0x10, 0x20, 0x30]) {
    for (const payload of [new Uint8Array(0), IPV4_BLOCK, Uint8Array.of(1)]) {
      t.strictSame(headerOf(decodeProxyHeader(v2(0x21, family, payload))), unknown);
    }
  }
});

t.test('the first 16 octets are judged as they come', async t => {
  const payload = new Uint8Array(216);
  for (const version of [0x01, 0x11, 0x31, 0xf1]) {
    t.equal(refusal(v2(version, 0x11, payload).subarray(0, 13)), 'v2: version is not 2');
  }
  for (const command of [0x22, 0x2f]) {
    t.equal(refusal(v2(command, 0x11, payload).subarray(0, 13)), 'v2: unknown command');
  }
  for (const [family, reason] of [
    [0x41, 'v2: unknown address family'],
    [0xf1, 'v2: unknown address family'],
    [0x13, 'v2: unknown transport'],
    [0x0f, 'v2: unknown transport'],
    [0x02, 'v2: datagrams are no SMTP session'],
    [0x12, 'v2: datagrams are no SMTP session'],
    [0x22, 'v2: datagrams are no SMTP session'],
    [0x32, 'v2: datagrams are no SMTP session'],
  ] as const) {
    t.equal(refusal(v2(0x21, family, payload).subarray(0, 14)), reason, family.toString(16));
  }
});

t.test('a length that lies', async t => {
  for (const [family, octets] of [
    [0x11, 12],
    [0x21, 36],
    [0x31, 216],
  ] as const) {
    const short = v2(0x21, family, new Uint8Array(octets), octets - 1);
    t.equal(refusal(short.subarray(0, 16)), 'v2: length is less than its addresses take');
    t.equal(refusal(short), 'v2: length is less than its addresses take');
    t.equal(refusal(v2(0x21, family, new Uint8Array(octets), octets + 1)), 'incomplete');
    t.equal(refusal(v2(0x21, family, new Uint8Array(octets))), 'valid');
  }
});

t.test('the longest header that is accepted', async t => {
  const room = PROXY_V2_OCTETS - 16 - IPV4_BLOCK.length;
  const most = Buffer.concat([IPV4_BLOCK, tlv(0x04, new Uint8Array(room - 3))]);
  t.match(decodeProxyHeader(v2(0x21, 0x11, most)), { status: 'valid', length: PROXY_V2_OCTETS });
  t.equal(refusal(v2(0x21, 0x11, new Uint8Array(0), room + 13)), 'v2: longer than accepted');
  t.equal(refusal(v2(0x20, 0x00, new Uint8Array(0), 65_535)), 'v2: longer than accepted');
});
