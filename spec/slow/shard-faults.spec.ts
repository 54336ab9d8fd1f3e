/** A shard's thread that dies of itself, in each way a thread can, on each transport: what it held is given back. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, loadFast, type TransportName } from '../../lib/transport/fast.ts';
import { delivers } from '../shard/delivers.ts';
import { faultyShards } from '../shard/faulty-shards.ts';
import { FAULTS, type ThreadFault } from '../shard/faulty-thread.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { type Instance, mx, startInstance } from '../support/instance.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const KINDS: TransportName[] = ['net'];
for (const name of FAST_TRANSPORTS) if ((await loadFast(name)).reason === undefined) KINDS.push(name);

/** What the operator reads it died of. */
const DIED_OF: Readonly<Record<ThreadFault, RegExp>> = {
  exit: /exited with status 7/,
  throw: /thrown by the test/,
  memory: /memory limit/,
  hang: /hung, and was ended after 8 s/,
};

/** One that fills its memory is busy for a while, too, on a machine that gives it little. */
const PATIENCE = { silentMs: 2_000, hungMs: 8_000 };

const REPLACED = 'the shard has been replaced';
const linesOf = ({ log }: Instance, msg: string) => log.filter(line => line['msg'] === msg);

/** What each open descriptor is, without those that Node's own file calls come and go with. */
const openDescriptors = (): string[] =>
  readdirSync('/proc/self/fd').flatMap(fd => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, '')];
    } catch {
      return []; // the directory's own
    }
  });
const tally = (names: readonly string[]): string =>
  JSON.stringify(
    Object.fromEntries([...new Set(names)].map(name => [name, names.filter(other => other === name).length])),
  );
const mappedRings = (): number =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter(line => line.includes('io_uring')).length;

for (const transport of KINDS)
  t.test(`${transport}: a thread that exits, throws, runs out of memory, hangs`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const shards = faultyShards(t, transport, { patience: PATIENCE });
    const settings = mx([formatAddress(backend.address)], {}, { limits: { perClient: { connections: 2 } } });
    const instance = await startInstance(t, transport, settings, shards.choice);
    const before = instance.address();
    await delivers(t, instance);
    await instance.idle();
    const [descriptors, rings] = [openDescriptors(), mappedRings()];
    let restarts = 0;

    for (const fault of FAULTS) {
      const greeted = await connectClient(t, before);
      await greeted.expect(220);
      const relaying = await connectClient(t, before);
      await relaying.expect(220);
      await relaying.command('EHLO lost.example', 250);
      await relaying.command('MAIL FROM:<>', 250);
      t.equal((await instance.metrics()).sum('smtplb_backend_sessions_active'), 2, `${fault}: two sessions`);

      const hung = linesOf(instance, 'a shard hangs').length;
      const beganMs = performance.now();
      shards.suffer(fault);
      if (fault === 'hang') {
        await instance.logged('that it hangs', () => linesOf(instance, 'a shard hangs').length > hung);
        const metrics = await instance.metrics();
        t.equal(metrics.sum('smtplb_shard_up'), 0);
        t.ok(metrics.sum('smtplb_shard_silent_seconds') >= 2);
      }
      restarts++;
      await instance.logged(`replacement ${restarts}`, () => linesOf(instance, REPLACED).length === restarts);
      t.comment(`${fault}: replaced after ${Math.round(performance.now() - beganMs)} ms`);
      const lost = linesOf(instance, 'a shard was lost, and its sessions with it').at(-1);
      t.match(lost, { shard: 0, transport, sessions: 2, err: { message: DIED_OF[fault] } });
      await instance.idle();
      for (const client of [greeted, relaying]) client.end();
      for (const connection of backend.connections) connection.destroy();
      t.strictSame(instance.address(), before, 'at the same address');
      // With a count left behind the client would be at its limit by the second.
      await delivers(t, instance);
      await instance.idle();
      await Promise.all([delivers(t, instance), delivers(t, instance)]);
      await instance.idle();
      await eventually('all descriptors given back', () => {
        const open = openDescriptors();
        if (open.length > descriptors.length) throw new Error(`${tally(open)} and not ${tally(descriptors)}`);
        return true;
      });
      await eventuallyEqual('the memory of its ring given back', mappedRings, rings);
    }
    const metrics = await instance.metrics();
    t.equal(metrics.sum('smtplb_shard_restarts_total'), FAULTS.length);
    t.equal(metrics.sum('smtplb_shard_up'), 1);
    t.comment(
      `descriptors: ${descriptors.length} before, ${openDescriptors().length} after ${FAULTS.length} losses`,
    );
  });

for (const transport of KINDS)
  t.test(`${transport}: one that dies whenever it is started is started ever more rarely`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const shards = faultyShards(t, transport);
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]), shards.choice);
    shards.dieAtStart(9);
    shards.suffer('exit');
    await instance.logged('five attempts', () => linesOf(instance, 'it cannot be replaced yet').length >= 5);
    const pauses = linesOf(instance, 'it cannot be replaced yet').map(line => line['delayMs']);
    t.strictSame(pauses.slice(0, 5), [100, 200, 400, 800, 1_600]);
    t.ok(shards.started <= 7, `started ${shards.started} times`);
    t.equal((await instance.metrics()).sum('smtplb_shard_up'), 0);
    shards.dieAtStart(null);
    await instance.logged('a replacement', ({ msg }) => msg === REPLACED);
    await delivers(t, instance);
    await instance.idle();
  });

for (const [transport, call] of [
  ['epoll', 'epoll_wait'],
  ['io_uring', 'io_uring_enter'],
] as const)
  t.test(
    `${transport}: a thread whose wait in the kernel fails for good dies, and is replaced`,
    { skip: KINDS.includes(transport) ? false : `no ${transport} here` },
    async t => {
      const backend = await startScriptedBackend(t, smtp());
      const shards = faultyShards(t, transport);
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]), shards.choice);
      // Whether it says that it has heard of it before it dies, nobody knows.
      shards.fail({ every: 1, calls: { [call]: ['EBADF'] } }).catch(() => {});
      const lost = await instance.logged('that it was lost', ({ msg }) => String(msg).includes('was lost'));
      t.match(lost, { err: { message: `${call} EBADF of a shard` } });
      await instance.logged('a replacement', ({ msg }) => msg === REPLACED);
      await delivers(t, instance);
      await instance.idle();
    },
  );
