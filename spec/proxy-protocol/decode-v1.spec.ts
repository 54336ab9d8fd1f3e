import t from 'tap';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { ascii, headerOf, ip, refusal } from './samples.ts';

t.test("the specification's example", async t => {
  const line = 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n';
  t.strictSame(decodeProxyHeader(ascii(`${line}GET / HTTP/1.1\r\n`)), {
    status: 'valid',
    length: line.length,
    header: {
      version: 1,
      command: 'proxy',
      source: ip('192.168.0.1', 56324),
      destination: ip('192.168.0.11', 443),
    },
  });
});

t.test('the longest line of each protocol', async t => {
  const v6 = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
  for (const [line, octets] of [
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', 56],
    [`PROXY TCP6 ${v6} ${v6} 65535 65535\r\n`, 104],
    [`PROXY UNKNOWN ${v6} ${v6} 65535 65535\r\n`, 107],
    ['PROXY UNKNOWN\r\n', 15],
  ] as const) {
    t.equal(line.length, octets);
    t.match(decodeProxyHeader(ascii(`${line}EHLO`)), { status: 'valid', length: octets }, line.trim());
  }
});

t.test('108 octets are refused, before and after the CRLF is there', async t => {
  const line = `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`;
  t.equal(line.length, 108);
  t.equal(refusal(ascii(line)), 'v1: no CRLF within 107 octets');
  t.equal(refusal(ascii(line.slice(0, 106))), 'v1: no CRLF within 107 octets', 'no CR among 106 octets');
  t.equal(refusal(ascii(line.slice(0, 105))), 'incomplete');
  t.equal(refusal(ascii(`PROXY UNKNOWN ${'x'.repeat(16_000)}`)), 'v1: no CRLF within 107 octets');
});

t.test('UNKNOWN names nobody, whatever stands behind it', async t => {
  for (const rest of ['', ' ', ' anything at all \0\xff', ' 192.0.2.1 192.0.2.2 1 2']) {
    t.strictSame(headerOf(decodeProxyHeader(ascii(`PROXY UNKNOWN${rest}\r\n`))), {
      version: 1,
      command: 'proxy',
      source: null,
      destination: null,
    });
  }
});

t.test('IPv6 in any of its forms is one address, and a mapped one is the IPv4 address', async t => {
  for (const [written, read] of [
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:C000:0201', '192.0.2.1'],
  ] as const) {
    const header = headerOf(decodeProxyHeader(ascii(`PROXY TCP6 ${written} 2001:db8::25 1 25\r\n`)));
    t.strictSame(header?.source, ip(read, 1), written);
  }
});

t.test('lines that are not exact are refused as soon as that shows', async t => {
  // The part before the bar is still fine; the octet behind it is not.
  for (const [good, bad] of [
    ['PROXY ', ' TCP4 192.0.2.1 192.0.2.2 1 2\r\n'],
    ['PROXY TCP', '5 '],
    ['PROXY TCP4', '\t'],
    ['PROXY ', 'tcp4 '],
    ['PROXY UDP'.slice(0, 6), 'UDP4'],
    ['PROXY UNKNOWN', 'S\r\n'],
    ['PROXY TCP4 ', ' 192.0.2.1'],
    ['PROXY TCP4 192.0.2.01', ' '],
    ['PROXY TCP4 192.0.2.256', ' '],
    ['PROXY TCP4 192.0.2', ' '],
    ['PROXY TCP4 0300.0.2.1', ' '],
    ['PROXY TCP4 ', 'mail.example.net'],
    ['PROXY TCP4 192.0.2.1', ',192'],
    ['PROXY TCP4 ::1', ' ::2 1 2\r\n'],
    ['PROXY TCP4 192.0.2.1 ::1', ' '],
    ['PROXY TCP6 192.0.2.1', ' 192.0.2.2 1 2\r\n'],
    ['PROXY TCP6 ::1 192.0.2.1', ' '],
    ['PROXY TCP6 fe80::1', '%1 '],
    ['PROXY TCP6 1::2::3', ' '],
    ['PROXY TCP6 1:2:3:4:5:6:7', ' '],
    ['PROXY TCP6 12345::1', ' '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 01', ' '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 ', '+1 '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 ', '-1 '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 65536', ' '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 100000', ' '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1f', ' '],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 ', ' 2\r\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 00', '\r\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2', ' \r\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 ', '\r\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1', '\r\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2', '\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r', 'E'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r', '\r\n'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2', '\0\r\n'],
    ['PROXY TCP4', '\r\n'],
    ['PROXY', '\r\n'],
    ['PROXY ', '\r\n'],
    ['PROXY UNKNOWN x', '\n'],
    ['PROXY UNKNOWN x\r', 'y\r\n'],
  ] as const) {
    const shown = JSON.stringify(`${good}|${bad}`);
    t.equal(refusal(ascii(good)), 'incomplete', `${shown} up to the bar`);
    t.match(
      refusal(ascii(good + bad.slice(0, bad.startsWith('\r\n') ? 1 : bad.length))),
      /^v1: |^no PROXY/,
      shown,
    );
    t.match(refusal(ascii(`${good}${bad}EHLO x\r\n`)), /^v1: |^no PROXY/, `${shown} and more`);
  }
});
