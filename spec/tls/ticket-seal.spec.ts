import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import t from 'tap';
import { TICKET_KEY_OCTETS } from '../../lib/tls/listener-tls.ts';
import { createTicketSeal, SEALED_OCTETS } from '../../lib/tls/ticket-seal.ts';

const pem = (type: 'ec' | 'rsa') =>
  String(
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
        }),
  );

const [one, two, other] = [pem('ec'), pem('rsa'), pem('ec')];
const key = Uint8Array.from(randomBytes(TICKET_KEY_OCTETS));

t.test(
  'who has the same private keys opens what is sealed, however they are written and in whatever order',
  async t => {
    const seal = createTicketSeal('edge', [one, two]);
    const sealed = seal.seal(7, key);
    t.equal(sealed.length, SEALED_OCTETS);
    t.not(seal.seal(7, key), sealed, 'never the same twice');
    const traditional = String(createPrivateKey(one).export({ type: 'sec1', format: 'pem' }));
    const same = createTicketSeal('edge', [two, traditional, two]);
    t.equal(same.group, seal.group);
    t.same(same.open(7, sealed), key);
  },
);

t.test('and nobody else, nor for another period or cluster', async t => {
  const seal = createTicketSeal('edge', [one, two]);
  const sealed = seal.seal(7, key);
  t.equal(seal.open(8, sealed), null);
  for (const [cluster, keys] of [
    ['edge', [one]],
    ['edge', [one, two, other]],
    ['edge', [other]],
    ['mail', [one, two]],
  ] as const) {
    const stranger = createTicketSeal(cluster, keys);
    t.not(stranger.group, seal.group);
    t.equal(stranger.open(7, sealed), null);
  }
});

t.test('what was changed, or is none, does not open', async t => {
  const seal = createTicketSeal('edge', [one]);
  const sealed = seal.seal(7, key);
  const bytes = Buffer.from(sealed, 'base64');
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    if (seal.open(7, changed.toString('base64')) !== null) t.fail(`octet ${at} does not count`);
  }
  for (const none of [
    '',
    'x',
    'x'.repeat(SEALED_OCTETS),
    '\0'.repeat(SEALED_OCTETS),
    sealed.slice(1),
    `${sealed}A`,
  ])
    t.equal(seal.open(7, none), null);
});
