import t from 'tap';
import { crc32c } from '../../lib/proxy-protocol/crc32c.ts';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { ascii, headerOf, hex, IPV4_BLOCK, refusal, tlv, v2 } from './samples.ts';

function withTlvs(...tlvs: Uint8Array[]): Uint8Array {
  return v2(0x21, 0x11, Buffer.concat([IPV4_BLOCK, ...tlvs]));
}

function tlvsOf(bytes: Uint8Array) {
  return headerOf(decodeProxyHeader(bytes))?.tlvs;
}

const SSL_HEAD = hex('07 00000001');

t.test('every TLV that is understood; unknown ones and NOOP are skipped', async t => {
  const uniqueId = Uint8Array.from({ length: 128 }, (_, at) => at * 2);
  const bytes = withTlvs(
    tlv(0x04, ascii('padding')),
    tlv(0x01, ascii('smtp')),
    tlv(0x02, Buffer.from('bücher.example')),
    tlv(0xe0, ascii('custom')),
    tlv(0x05, uniqueId),
    tlv(
      0x20,
      Buffer.concat([
        SSL_HEAD,
        tlv(0x21, ascii('TLSv1.3')),
        tlv(0x22, ascii('client.example')),
        tlv(0x23, ascii('TLS_AES_256_GCM_SHA384')),
        tlv(0x24, ascii('RSA-SHA256')),
        tlv(0x25, ascii('RSA2048')),
        tlv(0x2f, ascii('of a later specification')),
      ]),
    ),
    tlv(0x30, ascii('blue')),
    tlv(0x04, new Uint8Array(0)),
  );
  t.strictSame(tlvsOf(bytes), {
    alpn: 'smtp',
    authority: 'bücher.example',
    uniqueId,
    tls: {
      client: 7,
      verify: 1,
      version: 'TLSv1.3',
      commonName: 'client.example',
      cipher: 'TLS_AES_256_GCM_SHA384',
      signatureAlgorithm: 'RSA-SHA256',
      keyAlgorithm: 'RSA2048',
    },
    netns: 'blue',
  });
});

t.test('empty values, the largest verification result, octets that are no UTF-8', async t => {
  t.strictSame(tlvsOf(withTlvs(tlv(0x02, new Uint8Array(0)), tlv(0x05, new Uint8Array(0)))), {
    authority: '',
    uniqueId: new Uint8Array(0),
  });
  t.strictSame(tlvsOf(withTlvs(tlv(0x20, hex('00 ffffffff')))), { tls: { client: 0, verify: 0xffffffff } });
  t.strictSame(tlvsOf(withTlvs(tlv(0x02, hex('61ff62')))), { authority: 'a\ufffdb' });
});

t.test('what is handed out does not change with the buffer it was read from', async t => {
  const bytes = withTlvs(tlv(0x05, ascii('id')));
  const tlvs = tlvsOf(bytes);
  bytes.fill(0);
  t.strictSame(tlvs?.uniqueId, Uint8Array.from(ascii('id')));
});

t.test('TLVs that run over their end', async t => {
  t.equal(refusal(withTlvs(hex('02'))), 'v2: TLV is cut short');
  t.equal(refusal(withTlvs(hex('02 00'))), 'v2: TLV is cut short');
  t.equal(refusal(withTlvs(hex('02 0001'))), 'v2: TLV runs over the end');
  t.equal(refusal(withTlvs(hex('04 ffff 00'))), 'v2: TLV runs over the end');
  t.equal(refusal(withTlvs(tlv(0x02, ascii('x')), hex('e0 0002 00'))), 'v2: TLV runs over the end');
  t.equal(refusal(withTlvs(tlv(0x20, hex('01 000000')))), 'v2: SSL TLV is too short');
  const inner = Buffer.concat([SSL_HEAD, hex('21 0002 41')]);
  t.equal(refusal(withTlvs(tlv(0x20, inner), tlv(0x04, ascii('room enough')))), 'v2: TLV runs over the end');
  t.equal(refusal(withTlvs(tlv(0x20, Buffer.concat([SSL_HEAD, hex('21 00')])))), 'v2: TLV is cut short');
});

t.test('a unique id of 129 octets', async t => {
  t.equal(refusal(withTlvs(tlv(0x05, new Uint8Array(129)))), 'v2: unique id is longer than 128 octets');
});

t.test('what would be believed must not be said twice', async t => {
  for (const type of [0x01, 0x02, 0x05, 0x30]) {
    t.equal(refusal(withTlvs(tlv(type, ascii('a')), tlv(type, ascii('a')))), 'v2: TLV is given twice');
  }
  const twice = Buffer.concat([SSL_HEAD, tlv(0x22, ascii('a')), tlv(0x22, ascii('b'))]);
  t.equal(refusal(withTlvs(tlv(0x20, twice))), 'v2: TLV is given twice');
});

t.test('the checksum: kept at any place, refused when one bit of the header is not as it was', async t => {
  const bytes = withTlvs(tlv(0x02, ascii('a')), tlv(0x03, new Uint8Array(4)), tlv(0x05, ascii('id')));
  const at = bytes.length - 5 - 4;
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).writeUInt32BE(crc32c(bytes), at);
  t.equal(refusal(bytes), 'valid');
  t.equal(refusal(Buffer.concat([bytes, ascii('EHLO')])), 'valid', 'and is not taken over what follows');
  for (let bit = 16 * 8; bit < bytes.length * 8; bit++) {
    const changed = Uint8Array.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    // A changed type makes it another TLV, maybe no checksum; any other octet must be noticed.
    if (bit >> 3 === at - 3) continue;
    t.not(refusal(changed), 'valid', `bit ${bit}`);
  }
});

t.test('a checksum of another size is none, even where its first four octets would do', async t => {
  for (const octets of [0, 3, 4, 5]) {
    const bytes = Buffer.from(withTlvs(tlv(0x03, new Uint8Array(octets))));
    const value = bytes.length - octets;
    const sum = crc32c(new Uint8Array(4), 0, 4, crc32c(bytes, 0, value));
    if (octets >= 4) bytes.writeUInt32BE(sum, value);
    t.equal(refusal(bytes), octets === 4 ? 'valid' : 'v2: CRC32C does not match', `${octets} octets`);
  }
});
