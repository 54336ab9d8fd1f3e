/** Ticket keys over a real Redis, with periods of a second or two in place of twelve hours. */
import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { keysOf } from '../../lib/cluster/keys.ts';
import { openLink } from '../../lib/cluster/link.ts';
import { createTicketSharing, type TicketSharing } from '../../lib/cluster/ticket-keys.ts';
import { monotonicMs } from '../../lib/core/clock.ts';
import { createTicketKeys } from '../../lib/tls/ticket-keys.ts';
import { createTicketSeal, SEALED_OCTETS } from '../../lib/tls/ticket-seal.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const redis = needs('redis-server', 'redis-cli');
const { prefix } = keysOf('edge');
const newKey = () =>
  String(
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  );
const PRIVATE = newKey();
const { group } = createTicketSeal(prefix, [PRIVATE]);
const HASH = `${prefix}tickets:${group}`;

interface Sharer extends Pick<TicketSharing, 'isShared'> {
  /** The keys as hexadecimal, the one that seals first. */
  keys(): string[];
  readonly log: ReturnType<typeof recordedLog>;
}

function sharer(
  owner: Owner,
  port: number,
  periodMs: number,
  privateKey: () => string = () => PRIVATE,
): Sharer {
  const log = recordedLog();
  const link = openLink(redisUrl(port), log);
  const tickets = createTicketKeys();
  const sharing = createTicketSharing({
    ...{ link, prefix, tickets, log, periodMs },
    privateKeys: () => [privateKey()],
    now: monotonicMs,
    leadMs: Math.min(periodMs / 2, 1_000),
    exchangeMs: 20,
  });
  const ticking = setInterval(sharing.tick, 10);
  owner.teardown(() => {
    clearInterval(ticking);
    link.close();
  });
  return {
    get isShared() {
      return sharing.isShared;
    },
    keys: () => tickets.keys.map(key => Buffer.from(key).toString('hex')),
    log,
  };
}

/** No end of a period within the test. */
const LONG_MS = 36_000_000_000;
const same = (...sharers: readonly Sharer[]) =>
  eventually('one key at all of them', () => {
    const [first, ...others] = sharers.map(one => one.keys()[0]);
    return sharers.every(one => one.isShared) && others.every(other => other === first);
  });

t.test('all change at once, and each has a key before anybody seals with it', redis, async t => {
  const { port } = await startRedis(t);
  const [a, b] = [sharer(t, port, 2_000), sharer(t, port, 2_000)];
  await same(a, b);
  for (let change = 0; change < 2; change++) {
    const before = a.keys()[0] ?? '';
    const next = await eventually('another key', () => (a.keys()[0] === before ? null : a.keys()[0]));
    t.ok(b.keys().includes(next), 'what seals there is good here');
    await same(a, b);
    for (const { keys } of [a, b]) {
      t.ok(keys().includes(before), 'the one before is still accepted');
      t.ok(keys().length <= 3);
    }
  }
});

t.test('without Redis they go on, and are together again when it is back, wiped or not', redis, async t => {
  const server = await startRedis(t);
  const [a, b] = [sharer(t, server.port, 1_500), sharer(t, server.port, 1_500)];
  await same(a, b);
  await server.process.stop();
  await eventually('keys of their own', () => !a.isShared && !b.isShared && a.keys()[0] !== b.keys()[0]);
  const own = a.keys()[0] ?? '';
  await server.again();
  await same(a, b);
  t.ok(a.keys().includes(own) || a.keys().length <= 3, 'what was sealed meanwhile is not lost at once');
});

t.test('a wiped Redis is told again', redis, async t => {
  const server = await startRedis(t);
  const a = sharer(t, server.port, LONG_MS);
  await eventually('a key', () => a.isShared);
  const [key] = a.keys();
  await server.cli('flushall');
  await eventually('the key again', async () => (await server.cli('exists', HASH)) === '1');
  const b = sharer(t, server.port, LONG_MS);
  await same(a, b);
  t.equal(b.keys()[0], key, 'no other has taken its place');
  t.ok(Number(await server.cli('pttl', HASH)) <= 2 * LONG_MS, 'and it does not stay for ever');
});

t.test('nonsense in Redis is thrown away, and told once', redis, async t => {
  const server = await startRedis(t);
  const a = sharer(t, server.port, LONG_MS);
  await eventually('a key', () => a.isShared);
  const period = await server.cli('hkeys', HASH);
  const megabyte = 'x'.repeat(100_000);
  for (const spoil of [
    () => server.cli('hset', HASH, period, ''),
    () => server.cli('hset', HASH, period, megabyte),
    () => server.cli('hset', HASH, period, 'A'.repeat(SEALED_OCTETS)),
    () =>
      server.cli(
        'hset',
        HASH,
        period,
        createTicketSeal('other', [PRIVATE]).seal(Number(period), new Uint8Array(48)),
      ),
    () => server.cli('hset', HASH, 'nan', 'x', '__proto__', 'y', '1e99', 'z', `${megabyte}`, 'x'),
    () => server.cli('hset', HASH, ...Array.from({ length: 40 }, (_, at) => [`f${at}`, 'x']).flat()),
    async () => {
      await server.cli('del', HASH);
      await server.cli('set', HASH, megabyte);
    },
    async () => {
      await server.cli('del', HASH);
      await server.cli('rpush', HASH, megabyte);
    },
  ]) {
    const [key] = a.keys();
    await spoil();
    await eventually(
      'order',
      async () => (await server.cli('type', HASH)) === 'hash' && (await server.cli('hkeys', HASH)) === period,
    );
    t.equal(a.keys()[0], key);
  }
  await same(a, sharer(t, server.port, LONG_MS));
  t.equal(a.log.lines.filter(line => line.includes('no ticket keys of ours')).length, 1);
});

t.test('who has other private keys has other company, from the moment he has them', redis, async t => {
  const server = await startRedis(t);
  let privateKey = newKey();
  const [a, b] = [sharer(t, server.port, LONG_MS), sharer(t, server.port, LONG_MS, () => privateKey)];
  await eventually('a key each', () => a.isShared && b.isShared);
  t.not(a.keys()[0], b.keys()[0]);
  const [before] = b.keys();
  privateKey = PRIVATE;
  await same(a, b);
  t.equal(b.keys()[1], before, 'what was sealed before is still good');
  for (const one of [a, b]) {
    for (const key of one.keys()) {
      for (const text of [key, Buffer.from(key, 'hex').toString('base64').slice(4, -4)])
        t.notMatch(await server.cli('hvals', HASH), text, 'no key lies there in the clear');
    }
  }
});
