import t from 'tap';
import { type AdmissionOptions, createAdmission } from '../../lib/admission/admission.ts';
import type { Client } from '../../lib/admission/client-limits.ts';
import { parseNetwork } from '../../lib/config/units.ts';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import { openBoard } from '../../lib/core/board.ts';
import { type Cidr, cidrSet } from '../../lib/core/cidr.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';

const network = (text: string): Cidr => parseNetwork(text) as Cidr;
const from = (host: string): Address => ipAddress(host, 4_711) as Address;
const UNIX: Address = { family: 'unix', path: '' };
const OPEN: AdmissionOptions = {
  allow: [],
  deny: [],
  connections: Number.POSITIVE_INFINITY,
  perClient: { connections: Number.POSITIVE_INFINITY, rate: null, ipv6Prefix: 64 },
};

function door(options: Partial<AdmissionOptions>) {
  const board = openBoard();
  const admission = createAdmission({ ...OPEN, ...options }, 3, board, () => 0);
  return { ...admission, sessions: () => board.listenerSessions[3] };
}

t.test('networks: an address is in the ones whose bits it has', async t => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.6/31', '192.0.2.7', true],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:db8::1', '2001:DB8:0::1', true],
    ['::/0', '2001:db8::1', true],
    ['fe80::/10', 'febf::1', true],
  ];
  for (const [cidr, host, inside] of cases)
    t.equal(cidrSet([network(cidr)]).has(from(host)), inside, `${host} in ${cidr}`);
  t.notOk(cidrSet([network('0.0.0.0/0'), network('::/0')]).has(UNIX), 'a Unix socket’s peer is in none');
  t.ok(cidrSet([]).empty);
});

t.test('networks agree with a comparison of bits', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const faults: string[] = [];
  for (let round = 0; round < 3_000; round++) {
    const [base, bit, prefix] = [random.below(2 ** 32), random.below(32), random.below(33)];
    const dotted = (value: number) => [24, 16, 8, 0].map(shift => (value >>> shift) & 255).join('.');
    const set = cidrSet([network(`${dotted(base)}/${prefix}`)]);
    const other = (base ^ (1 << (31 - bit))) >>> 0;
    if (set.has(from(dotted(other))) !== bit >= prefix)
      faults.push(`${dotted(other)} in ${dotted(base)}/${prefix}`);
  }
  t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
});

t.test('deny comes before allow; an empty allow list is everybody', async t => {
  const { enter } = door({ allow: [network('192.0.2.0/24')], deny: [network('192.0.2.128/25')] });
  t.type(enter(from('192.0.2.1')), 'object');
  t.type(enter(from('::ffff:192.0.2.1')), 'object');
  t.equal(enter(from('192.0.2.200')), 'denied');
  t.equal(enter(from('198.51.100.1')), 'denied');
  t.equal(enter(from('2001:db8::1')), 'denied');
  t.type(enter(UNIX), 'object', 'a Unix socket has file permissions for a list');

  const open = door({ deny: [network('2001:db8::/32')] });
  t.type(open.enter(from('203.0.113.1')), 'object');
  t.equal(open.enter(from('2001:db8::1')), 'denied');
});

t.test('what is refused takes nothing: the listener’s count is those inside', async t => {
  const limits = { connections: 2, perClient: { connections: 1, rate: null, ipv6Prefix: 64 } };
  const { enter, leave, sessions } = door({ ...limits, deny: [network('198.51.100.0/24')] });
  const first = enter(from('192.0.2.1')) as Client;
  t.equal(enter(from('192.0.2.1')), 'client-limit');
  t.equal(sessions(), 1);
  t.equal(enter(from('198.51.100.1')), 'denied');
  t.equal(sessions(), 1);
  const second = enter(from('2001:db8::1')) as Client;
  t.equal(enter(from('192.0.2.3')), 'listener-limit');
  t.equal(sessions(), 2);
  leave(first);
  t.equal(enter(from('2001:db8::2')), 'client-limit', 'the same household');
  t.type(enter(from('192.0.2.1')), 'object');
  leave(second);
  leave(first);
  t.equal(sessions(), 0);
});

t.test('two shards share a listener’s bound', async t => {
  const board = openBoard();
  const options = { ...OPEN, connections: 3 };
  const shards = [0, 1].map(() => createAdmission(options, 3, openBoard(board.memory), () => 0));
  const outcomes = [0, 1, 0, 1].map(at => typeof shards[at]?.enter(from('192.0.2.1')));
  t.strictSame(outcomes, ['object', 'object', 'object', 'string']);
});
