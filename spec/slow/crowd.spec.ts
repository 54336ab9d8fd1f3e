/** Nine thousand sessions that are open and say nothing, and newcomers who must not notice. */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, loadFast, type TransportName } from '../../lib/transport/fast.ts';
import { LOADER, modulePath } from '../support/checkout.ts';
import { COMMAND, type Command, START_MS, startCommand } from '../support/command.ts';
import { freeAddress } from '../support/free-port.ts';
import { mx } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { start } from '../support/processes.ts';
import { connectClient } from '../support/smtp-client.ts';

const KINDS: TransportName[] = ['net'];
for (const name of FAST_TRANSPORTS) if ((await loadFast(name)).reason === undefined) KINDS.push(name);

const SESSIONS = 9_000;
/** Processes that hold them: none near its limit of open files, and none of them the one that times. */
const HOLDERS = 2;
const NEWCOMERS = 250;
/** Addresses that the backend listens on, each a backend of its own to the balancer. */
const DOORS = 4;
/** Milliseconds, at p99, on top of what a backend takes by itself in the same moments. One round of three has to be within it. */
const BOUND_MS = 50;
const ROUNDS = 3;

/** What a newcomer waited for its greeting. */
async function greeted(owner: Owner, address: Address): Promise<number> {
  const beganMs = performance.now();
  const client = await connectClient(owner, address);
  await client.expect(220);
  const waited = performance.now() - beganMs;
  await client.command('QUIT', 221);
  client.destroy();
  return waited;
}

/** What they waited at p99: through the instance, and at a backend itself, one after the other in turn. */
async function newcomers(owner: Owner, { address }: Command, backend: Address) {
  const [through, direct]: [number[], number[]] = [[], []];
  for (let count = 0; count < NEWCOMERS; count++) {
    direct.push(await greeted(owner, backend));
    through.push(await greeted(owner, address));
  }
  return { through: p99(through), direct: p99(direct) };
}

function p99(waits: number[]): number {
  return waits.sort((one, other) => one - other)[Math.floor(waits.length * 0.99)] as number;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((one, other) => one + other, 0);

/** Milliseconds of CPU that the threads of a process have had (/proc/PID/task/TID/schedstat). */
function cpuMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return sum(
    threads.map(
      thread => Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'), 10) / 1e6,
    ),
  );
}

for (const transport of KINDS)
  t.test(`${transport}: ${SESSIONS} idle sessions`, async t => {
    // The program's own: a session more costs smtp-sink a look at all it has, and most of the time would be spent there.
    const doors = await Promise.all(Array.from({ length: DOORS }, () => freeAddress()));
    const listens = doors.flatMap(door => ['--listen', formatAddress(door)]);
    const [program, ...args] = COMMAND;
    const sink = start(t, program, [...args, 'sink', ...listens]);
    await sink.printed(new RegExp(`(.*listening on .*\n){${DOORS}}`), START_MS);
    const [backend] = doors as [(typeof doors)[number]];
    const instance = await startCommand(t, {
      ...mx(doors.map(formatAddress)),
      transport,
      log: { access: false },
    });
    const alone = await newcomers(t, instance, backend);
    await instance.idle();
    const before = instance.usage().rss;
    const spent = () => [cpuMs(instance.process.pid), cpuMs(sink.pid)] as const;
    const [ownMs, sinkMs] = spent();
    const beganMs = performance.now();
    const holders = Array.from({ length: HOLDERS }, () =>
      start(t, process.execPath, [
        ...[...LOADER, modulePath('bench/processes/idle-clients')],
        ...[formatAddress(instance.address), `${SESSIONS / HOLDERS}`],
      ]),
    );
    await Promise.all(holders.map(holder => holder.printed(/ready/, 120_000)));
    t.equal((await instance.metrics()).sum('smtplb_sessions_active'), SESSIONS);
    const [own, others] = spent();
    t.comment(
      `all open after ${((performance.now() - beganMs) / 1_000).toFixed(1)} s, in which the balancer worked for ${Math.round(own - ownMs)} ms and the backend for ${Math.round(others - sinkMs)} ms`,
    );
    const grown = (instance.usage().rss - before) / SESSIONS;

    let extraMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS && extraMs >= BOUND_MS; round++) {
      const { through, direct } = await newcomers(t, instance, backend);
      extraMs = Math.min(extraMs, through - direct);
      t.comment(
        `a newcomer's greeting at p99: ${through.toFixed(1)} ms, past smtplb ${direct.toFixed(1)} ms`,
      );
    }
    t.comment(
      `before the others came: ${alone.through.toFixed(1)} ms, past it ${alone.direct.toFixed(1)} ms`,
    );
    t.comment(`${Math.round(grown)} octets of growth a session`);
    t.ok(extraMs < BOUND_MS, `${extraMs.toFixed(1)} of ${BOUND_MS} ms for the balancer`);
    await Promise.all(holders.map(holder => holder.stop()));
    await instance.idle(30_000);
  });
