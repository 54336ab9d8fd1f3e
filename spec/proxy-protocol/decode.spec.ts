import t from 'tap';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { ascii, hex, refusal } from './samples.ts';

t.test('nothing yet is incomplete', async t => {
  t.strictSame(decodeProxyHeader(new Uint8Array(0)), { status: 'incomplete' });
});

t.test('a connection without a header is refused at its first wrong octet, never let through', async t => {
  for (const octets of [
    ascii('E'),
    ascii('EHLO client.example.net\r\n'),
    ascii('GET / HTTP/1.1\r\n'),
    hex('16030100'),
    ascii('proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n'),
    ascii('PROX '),
    ascii('PROXY\tTCP4'),
    ascii(' PROXY TCP4'),
    ascii('\r\n\r\nEHLO'),
    hex('0d0a0d0a000d0a515549540b'),
    hex('00'),
    hex('0a'),
  ]) {
    t.equal(refusal(octets), 'no PROXY signature', JSON.stringify(Buffer.from(octets).toString('latin1')));
  }
});

t.test('the beginning of either signature is incomplete', async t => {
  for (const signature of [ascii('PROXY '), hex('0d0a0d0a000d0a515549540a')]) {
    for (let cut = 0; cut <= signature.length; cut++) {
      t.equal(decodeProxyHeader(signature.subarray(0, cut)).status, 'incomplete', `${cut} octets`);
    }
  }
});
