import t from 'tap';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { encodeProxyV2 } from '../../lib/proxy-protocol/encode.ts';
import type { ProxyTlvOptions } from '../../lib/proxy-protocol/encode-tlv.ts';
import { headerOf, ip } from './samples.ts';

const ends = { source: ip('192.0.2.1', 0x1234), destination: ip('198.51.100.2', 25) };

function encode(options: ProxyTlvOptions): Buffer {
  return Buffer.from(encodeProxyV2({ command: 'proxy', ...ends, ...options }));
}
/** What stands behind the address block, up to where the length field says the header ends. */
function tlvs(options: ProxyTlvOptions): string {
  const out = encode(options);
  const end = 16 + out.readUInt16BE(14);
  return end === out.length ? out.toString('hex', 28) : `${out.length} octets that say they are ${end}`;
}

t.test('octets of each TLV', async t => {
  t.equal(tlvs({}), '');
  t.equal(tlvs({ uniqueId: 'ab' }), '0500026162');
  t.equal(tlvs({ uniqueId: Uint8Array.of(0, 255) }), '05000200ff');
  t.equal(tlvs({ authority: 'ü' }), '020002c3bc');
  t.equal(tlvs({ alpn: 'smtp' }), '010004736d7470');
  t.equal(tlvs({ authority: '' }), '020000');
  t.equal(tlvs({ uniqueId: undefined, tls: undefined, crc32c: false }), '');
});

t.test('octets of the TLS of a client', async t => {
  t.equal(tlvs({ tls: { client: 1, verify: 0 } }), '2000050100000000');
  t.equal(tlvs({ tls: { client: 7, verify: 0xfffffffe, version: 'T' } }), '20000907fffffffe21000154');
  const tls = {
    client: 1,
    verify: 1,
    version: 'a',
    commonName: 'b',
    cipher: 'c',
    signatureAlgorithm: 'd',
    keyAlgorithm: 'e',
  };
  t.equal(tlvs({ tls }), '20001901000000012100016122000162230001632400016425000165');
});

t.test('the checksum of a known header', async t => {
  // Summed bit by bit, without a table, by a program that is not this one.
  t.equal(tlvs({ crc32c: true }), '030004a9440dc1');
  t.equal(headerOf(decodeProxyHeader(encode({ crc32c: true })))?.command, 'proxy');
});

t.test('what is too long is left out, not cut', async t => {
  t.equal(tlvs({ uniqueId: 'x'.repeat(128) }).length, 2 * 131);
  t.equal(tlvs({ uniqueId: 'x'.repeat(129) }), '');
  t.equal(tlvs({ uniqueId: new Uint8Array(129) }), '');
  t.equal(tlvs({ authority: 'ü'.repeat(128) }), '');
  t.equal(tlvs({ authority: 'x'.repeat(256), alpn: 'smtp' }), '010004736d7470');
  t.equal(
    tlvs({ tls: { client: 1, verify: 0, commonName: 'x'.repeat(256), cipher: 'c' } }),
    '200009010000000023000163',
  );
});
