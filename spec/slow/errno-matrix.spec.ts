/** Whole instances on a C library that fails: what each error of the kernel comes to, and that nothing is left behind. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, type FastTransportName, loadFast } from '../../lib/transport/fast.ts';
import { faultyShards } from '../shard/faulty-shards.ts';
import type { CallFaults } from '../shard/faulty-thread.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, startInstance } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { bodyOf, connectClient } from '../support/smtp-client.ts';

const CLIENTS = 40;
const BODY_OCTETS = 200_000;
const BODY = bodyOf(BODY_OCTETS);
const BEGIN = 'DATA\r\n';

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

/** How often a message is there, whole and unchanged, among what connections have said. */
function arrived(said: readonly string[], body: string): number {
  const whole = `${body}.\r\n`;
  return said.filter(text => {
    const at = text.indexOf(BEGIN) + BEGIN.length;
    return text.slice(at, at + whole.length) === whole; // startsWith takes thirty times as long
  }).length;
}

/** What a backend was told on its connections but the first so many. */
const saidTo = ({ connections }: ScriptedBackend, from = 0): string[] =>
  connections.slice(from).map(({ received }) => received.toString('latin1'));

for (const transport of FAST_TRANSPORTS) {
  const { reason } = await loadFast(transport);
  t.test(`${transport}: errors of the kernel`, { skip: reason ?? false }, async t => {
    const backends = [await startScriptedBackend(t, smtp()), await startScriptedBackend(t, smtp())];
    const shards = faultyShards(t, transport);
    const pool = { connect: { attempts: 8 }, passiveHealth: { failures: 1_000 } };
    const addresses = backends.map(({ address }) => formatAddress(address));
    const instance = await startInstance(t, transport, mx(addresses, pool), shards.choice);
    const records = () => instance.log.filter(({ msg }) => msg === 'session');
    const recordedSince = (from: number, count: number) =>
      eventually('a record of each session', () => records().length >= from + count && records().slice(from));

    for (const [at, { causes = [], retries, ...faults }] of CASES[transport].entries())
      await t.test(`one in ${faults.every} of ${JSON.stringify(faults.calls)}`, async t => {
        const [before, recorded] = [await instance.metrics(), records().length];
        const earlier = backends.map(({ connections }) => connections.length);
        await shards.fail(faults);
        const bodies = Array.from({ length: CLIENTS }, (_, nth) => `${BODY}number ${at}.${nth}\r\n`);
        const outcomes = await Promise.all(bodies.map(body => talk(t, instance, body)));
        await shards.fail({ every: 1, calls: {} });
        await instance.idle();
        const accepted = bodies.filter((_, at) => outcomes[at]);
        const said = backends.flatMap((backend, at) => saidTo(backend, earlier[at]));
        t.ok(
          accepted.every(body => arrived(said, body) === 1),
          'what was accepted is there, unchanged, once',
        );
        if (causes.length === 0) t.equal(accepted.length, CLIENTS, 'all delivered');
        else t.ok(accepted.length > 0, 'not all fail');
        const metrics = await instance.metrics();
        const retried = { reason: retries ?? '' };
        if (retries !== undefined)
          t.ok(
            metrics.sum('smtplb_retries_total', retried) > before.sum('smtplb_retries_total', retried),
            `retries: ${retries}`,
          );
        t.equal(metrics.sum('smtplb_shard_restarts_total'), 0);
        t.notOk(
          instance.log.some(({ level }) => level === 'error'),
          'nothing is said to be our fault',
        );
        const ends = new Map<string, number>();
        for (const { cause } of await recordedSince(recorded, CLIENTS))
          ends.set(String(cause), (ends.get(String(cause)) ?? 0) + 1);
        t.strictSame(
          [...ends.keys()].filter(cause => ![...causes, 'normal'].includes(cause)),
          [],
          'each ends as its fault',
        );
        t.comment(`${accepted.length} of ${CLIENTS} delivered; ${JSON.stringify(Object.fromEntries(ends))}`);
        t.ok(await talk(t, instance, bodyOf(1_000)), 'and afterwards all is well');
        await instance.idle();
        await recordedSince(recorded, CLIENTS + 1);
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
  const said = saidTo(backend);
  t.ok(
    bodies.every(body => arrived(said, body) === 1),
    'unchanged, once',
  );
  t.notOk(
    instance.log.some(({ level }) => level === 'error'),
    'nothing is said to be our fault',
  );
  await instance.idle();
});
