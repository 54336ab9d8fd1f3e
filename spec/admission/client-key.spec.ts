import t from 'tap';
import {
  type ClientKey,
  clientKeyText,
  createClientKey,
  hashClient,
  isSameClient,
  readClientKey,
} from '../../lib/admission/client-key.ts';
import { type Address, ipAddress, ipBytes, ipFromBytes } from '../../lib/core/address.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';

const from = (host: string): Address => ipAddress(host, 4_711) as Address;

function keyOf(address: Address, prefix = 64): ClientKey {
  const key = createClientKey();
  readClientKey(address, prefix, key);
  return key;
}

/** The same, from the bytes of the address. */
function naiveText(host: string, prefix: number): string {
  const bytes = ipBytes(host);
  if (bytes.length === 4) return host;
  for (let bit = prefix; bit < 128; bit++)
    bytes[bit >> 3] = (bytes[bit >> 3] as number) & ~(0x80 >> (bit & 7));
  return `${Buffer.from(bytes.subarray(0, Math.ceil(prefix / 8))).toString('hex')}/${prefix}`;
}

t.test('who is one client: an IPv4 address, an IPv6 network', async t => {
  const text = (host: string, prefix = 64) => clientKeyText(keyOf(from(host), prefix));
  t.equal(text('2001:db8::1'), text('2001:db8::ffff:1'));
  t.not(text('2001:db8:0:1::1'), text('2001:db8:0:2::1'));
  t.equal(text('::ffff:192.0.2.1'), text('192.0.2.1'));
  t.equal(text('255.255.255.255'), '255.255.255.255');
  t.not(text('192.0.2.1'), text('192.0.2.2'));
  t.equal(text('2001:db8:0:ff00::1', 56), text('2001:db8:0:ffff::1', 56));
  t.not(text('2001:db8:0:fe00::1', 56), text('2001:db8:0:ff00::1', 56));
  t.equal(text('8000::', 1), text('ffff::', 1));
  t.not(text('7fff::', 1), text('8000::', 1));
  t.not(text('2001:db8::1', 128), text('2001:db8::2', 128));
  t.equal(clientKeyText(keyOf({ family: 'unix', path: '' })), 'unix', 'all on a Unix socket are one');
  t.notOk(isSameClient(keyOf(from('2001:db8::'), 64), keyOf(from('2001:db8::'), 63)));
  t.notOk(isSameClient(keyOf(from('::c000:201'), 128), keyOf(from('192.0.2.1'), 128)));
});

t.test('every way to write an address is read, bit by bit', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const faults: string[] = [];
  const check = (host: string, prefix: number) => {
    const [found, expected] = [clientKeyText(keyOf(from(host), prefix)), naiveText(host, prefix)];
    if (found !== expected) faults.push(`${host}/${prefix}: ${found}, not ${expected}`);
  };
  for (const host of [
    '::',
    '::1',
    '1::',
    '1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    'FE80::A:b',
  ])
    for (const prefix of [1, 31, 32, 33, 64, 127, 128]) check(host, prefix);
  for (const host of ['64:ff9b::192.0.2.33', '1:2:3:4:5:6:1.2.3.4']) check(host, 128);
  t.equal(
    clientKeyText(keyOf(from('fe80::1%lo'), 128)),
    naiveText('fe80::1', 128),
    'a zone is no part of it',
  );
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random.pick([4, 16]) }, () =>
      random.below(3) === 0 ? 0 : random.below(256),
    );
    check(ipFromBytes(bytes), 1 + random.below(128));
  }
  t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
});

t.test('clients spread evenly over the sets of a table, neighbours too', async t => {
  const SETS = 256;
  for (const [what, host] of [
    ['a network of IPv4 addresses', (at: number) => `192.0.${at >> 8}.${at & 255}`],
    ['IPv6 networks in a row', (at: number) => `2001:db8:0:${at.toString(16)}::`],
  ] as const) {
    const counts = new Array<number>(SETS).fill(0);
    for (let at = 0; at < 64 * SETS; at++) {
      const set = hashClient(keyOf(from(host(at))), 0x1234_5678, 0x0fed_cba9) & (SETS - 1);
      counts[set] = (counts[set] as number) + 1;
    }
    const most = Math.max(...counts);
    t.comment(`${what}: 64 a set, at most ${most}, at least ${Math.min(...counts)}`);
    t.ok(most < 64 + 6 * 8 && Math.min(...counts) > 64 - 6 * 8, 'within six standard deviations');
  }
  const key = keyOf(from('192.0.2.1'));
  t.not(hashClient(key, 1, 2), hashClient(key, 1, 3), 'another seed, another place');
});
