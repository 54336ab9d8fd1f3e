/** Whole instances on a C library that fails: what each error of the kernel comes to, and that nothing is left behind. */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, type FastTransportName, loadFast } from '../../lib/transport/fast.ts';
import { faultyShards } from '../shard/faulty-shards.ts';
import type { CallFaults } from '../shard/faulty-thread.ts';
import { type Instance, mx, startInstance } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { bodyOf, connectClient } from '../support/smtp-client.ts';

const CLIENTS = 40;
const BODY_OCTETS = 200_000;

interface Case extends CallFaults {
  /** What sessions may end as instead of being served. */
  readonly causes?: readonly string[];
  /** A fault that the metrics must show; a retry's reason. */
  readonly retries?: string;
}

/** A session tries each of the two backends once: one in nine finds none. */
const dialled = (call: string): readonly Case[] =>
  (
    [
      ['no-ports', 'local-ports', ['EADDRNOTAVAIL']],
      ['refused', 'backend-refused', ['EAGAIN', 'ECONNREFUSED']],
      ['unreachable', 'backend-refused', ['ENETUNREACH', 'EHOSTUNREACH']],
      ['connect-timeout', 'backend-timeout', ['ETIMEDOUT']],
      ['failed', 'internal', ['EPERM', 'ENOBUFS', 'ENOMEM']],
    ] as const
  ).map(([retries, cause, errors]) => ({ every: 3, calls: { [call]: errors }, causes: [cause], retries }));
const SHORT = ['EINTR', 'ENOBUFS', 'ENOMEM'] as const;
const SOCKETS: Case = {
  every: 3,
  calls: { socket: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] },
  causes: ['descriptors', 'internal'],
};
/** What is said of a descriptor that nobody can do anything about. */
const IDLE_WORDS: Case = {
  every: 2,
  calls: { shutdown: ['ENOTCONN'], setsockopt: ['EINVAL'], close: ['EINTR'] },
};
const BROKEN = ['client-reset', 'backend-reset', 'backend-closed'];

const CASES: Readonly<Record<FastTransportName, readonly Case[]>> = {
  epoll: [
    { every: 2, calls: { accept4: ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] } },
    { every: 2, calls: { accept4: ['ECONNABORTED', 'EINTR', 'EPERM', 'EPROTO'] } },
    ...dialled('connect'),
    { every: 3, calls: { recv: SHORT, send: SHORT } },
    { every: 2, calls: { epoll_wait: ['EINTR'] } },
    SOCKETS,
    { every: 7, calls: { epoll_ctl: ['ENOSPC', 'ENOMEM'] }, causes: [...BROKEN, 'internal'] },
    { every: 50, calls: { send: ['EPIPE', 'ECONNRESET', 'EHOSTUNREACH', 'ETIMEDOUT'] }, causes: BROKEN },
    {
      every: 50,
      calls: { recv: ['ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'] },
      causes: BROKEN,
    },
    IDLE_WORDS,
  ],
  io_uring: [
    { every: 2, calls: { io_uring_enter: ['EINTR', 'EAGAIN', 'EBUSY', 'ENOMEM'] } },
    SOCKETS,
    {
      every: 25,
      calls: { send: ['EPIPE', 'ECONNRESET'], recv: ['ECONNRESET', 'ETIMEDOUT'] },
      causes: BROKEN,
    },
    { every: 2, calls: { 'ring/accept': ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EAGAIN', 'ECANCELED'] } },
    { every: 2, calls: { 'ring/accept': ['ECONNABORTED', 'EINTR', 'EPERM', 'EPROTO'] } },
    ...dialled('ring/connect'),
    { every: 3, calls: { 'ring/receive': [...SHORT, 'EAGAIN'], 'ring/send': [...SHORT, 'EAGAIN'] } },
    { every: 2, calls: { 'ring/writable': [...SHORT, 'ECANCELED'], 'ring/broken': [...SHORT, 'ECANCELED'] } },
    { every: 2, calls: { 'ring/wake': [...SHORT, 'ECANCELED'] } },
    {
      every: 50,
      calls: { 'ring/send': ['EPIPE', 'ECONNRESET', 'EHOSTUNREACH', 'ETIMEDOUT', 'ECANCELED'] },
      causes: BROKEN,
    },
    {
      every: 50,
      calls: { 'ring/receive': ['ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECANCELED'] },
      causes: BROKEN,
    },
    IDLE_WORDS,
  ],
};

/** A client that delivers one message, or is told why not; whichever, it is over soon. */
async function talk(owner: Owner, instance: Instance, body: string): Promise<boolean> {
  const client = await connectClient(owner, instance.address());
  try {
    await client.expect(220);
    await client.command('EHLO some.example', 250);
    await client.deliver(body);
    await client.command('QUIT', 221);
    return true;
  } catch (error) {
    if (client.closing === 'open' && client.octets === 0) throw error; // neither served nor told
    return false;
  } finally {
    client.destroy();
  }
}

function arrived(backends: readonly ScriptedBackend[], body: string): number {
  return backends.flatMap(({ connections }) => connections).filter(({ received }) => received.includes(body))
    .length;
}

for (const transport of FAST_TRANSPORTS) {
  const { reason } = await loadFast(transport);
  t.test(`${transport}: errors of the kernel`, { skip: reason ?? false }, async t => {
    for (const { causes = [], retries, ...faults } of CASES[transport])
      await t.test(`one in ${faults.every} of ${JSON.stringify(faults.calls)}`, async t => {
        const backends = [await startScriptedBackend(t, smtp()), await startScriptedBackend(t, smtp())];
        const shards = faultyShards(t, transport);
        const pool = { connect: { attempts: 8 }, passiveHealth: { failures: 1_000 } };
        const addresses = backends.map(({ address }) => formatAddress(address));
        const instance = await startInstance(t, transport, mx(addresses, pool), shards.choice);
        shards.fail(faults);
        await pause(100); // the thread hears it at its next tick; nothing tells that it has
        const bodies = Array.from({ length: CLIENTS }, (_, at) => `${bodyOf(BODY_OCTETS)}number ${at}\r\n`);
        const outcomes = await Promise.all(bodies.map(body => talk(t, instance, body)));
        shards.fail({ every: 1, calls: {} });
        await pause(100);
        await instance.idle();
        const accepted = bodies.filter((_, at) => outcomes[at]);
        t.ok(
          accepted.every(body => arrived(backends, body) === 1),
          'what was accepted is there, unchanged, once',
        );
        if (causes.length === 0) t.equal(accepted.length, CLIENTS, 'all delivered');
        else t.ok(accepted.length > 0, 'not all fail');
        const metrics = await instance.metrics();
        if (retries !== undefined)
          t.ok(metrics.sum('smtplb_retries_total', { reason: retries }) > 0, `retries: ${retries}`);
        t.equal(metrics.sum('smtplb_shard_restarts_total'), 0);
        t.notOk(
          instance.log.some(({ level }) => level === 'error'),
          'nothing is said to be our fault',
        );
        const ends = new Map<string, number>();
        for (const record of instance.log.filter(({ msg }) => msg === 'session'))
          ends.set(String(record['cause']), (ends.get(String(record['cause'])) ?? 0) + 1);
        t.strictSame(
          [...ends.keys()].filter(cause => ![...causes, 'normal'].includes(cause)),
          [],
          'each ends as its fault',
        );
        t.comment(`${accepted.length} of ${CLIENTS} delivered; ${JSON.stringify(Object.fromEntries(ends))}`);
        t.ok(await talk(t, instance, bodyOf(1_000)), 'and afterwards all is well');
        await instance.idle();
      });
  });
}

const { reason } = await loadFast('io_uring');
t.test('io_uring: a ring with far too few places loses nothing', { skip: reason ?? false }, async t => {
  const backend = await startScriptedBackend(t, smtp());
  // Fewer completions than sessions, and more that read at a time than there are buffers (64).
  const shards = faultyShards(t, 'io_uring', { ring: { entries: 4, completions: 8 } });
  const instance = await startInstance(t, 'io_uring', mx([formatAddress(backend.address)]), shards.choice);
  const bodies = Array.from({ length: 5 * CLIENTS }, (_, at) => `${bodyOf(BODY_OCTETS / 2)}number ${at}\r\n`);
  const outcomes = await Promise.all(bodies.map(body => talk(t, instance, body)));
  t.ok(
    outcomes.every(delivered => delivered),
    `${outcomes.length} delivered`,
  );
  t.ok(
    bodies.every(body => arrived([backend], body) === 1),
    'unchanged, once',
  );
  t.notOk(
    instance.log.some(({ level }) => level === 'error'),
    'nothing is said to be our fault',
  );
  await instance.idle();
});
