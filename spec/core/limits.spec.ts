import t from 'tap';
import * as limits from '../../lib/core/limits.ts';

t.test('every bound is a whole number above zero', async t => {
  for (const [name, value] of Object.entries(limits)) t.ok(Number.isInteger(value) && value > 0, name);
});

t.test('the sizes of the protocols are those of their specifications', async t => {
  t.equal(limits.COMMAND_LINE_OCTETS, 512, 'RFC 5321 section 4.5.3.1.4');
  t.equal(limits.REPLY_LINE_OCTETS, 512, 'RFC 5321 section 4.5.3.1.5');
  t.equal(limits.HELLO_NAME_OCTETS, 255, 'RFC 5321 section 4.5.3.1.2');
  t.equal(limits.PROXY_V1_OCTETS, 107, 'proxy-protocol.txt section 2.1');
  t.equal(limits.PROXY_UNIQUE_ID_OCTETS, 128, 'proxy-protocol.txt section 2.2.5');
});

t.test('the bounds fit each other', async t => {
  const { REPLY_LINE_OCTETS, REPLY_OCTETS, EARLY_CLIENT_OCTETS, COMMAND_LINE_OCTETS } = limits;
  t.ok(REPLY_LINE_OCTETS <= REPLY_OCTETS);
  t.ok(COMMAND_LINE_OCTETS <= EARLY_CLIENT_OCTETS);
  t.ok(limits.PROXY_V1_OCTETS < limits.PROXY_V2_OCTETS);
  t.ok(
    limits.RESERVED_DESCRIPTORS >= 2,
    'the reserve can be halved: those that wait, those that are told and closed',
  );
  t.ok(limits.MAX_BACKENDS >= limits.MAX_POOLS, 'every pool can have a backend');
});
