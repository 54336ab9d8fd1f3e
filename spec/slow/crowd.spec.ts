/** Nine thousand sessions that are open and say nothing, and newcomers who must not notice. */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, loadFast, type TransportName } from '../../lib/transport/fast.ts';
import { LOADER, modulePath } from '../support/checkout.ts';
import { type Command, startCommand } from '../support/command.ts';
import { mx } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startSmtpSink } from '../support/postfix-tools.ts';
import { start } from '../support/processes.ts';
import { connectClient } from '../support/smtp-client.ts';

const KINDS: TransportName[] = ['net'];
for (const name of FAST_TRANSPORTS) if ((await loadFast(name)).reason === undefined) KINDS.push(name);

const SESSIONS = 9_000;
/** Processes that hold them: none near its limit of open files, and none of them the one that times. */
const HOLDERS = 2;
const NEWCOMERS = 250;
/**
 * smtp-sink looks through the timers of all its sessions for each command, and accepts one client a turn: beside 4,500 idle
 * ones a new one costs it many times what it costs the balancer, and on a busy machine clients hear nothing for many seconds
 * while they wait in its queue. Many that hold few are quick.
 */
const SINKS = 12;
/** Seconds it waits for a command, which on a busy machine is not enough for all to be there: 100 unless told. */
const SINK_PATIENCE_S = 3_600;
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
  t.test(`${transport}: ${SESSIONS} idle sessions`, needs('smtp-sink'), async t => {
    // Its own limit of 256 sessions would queue the rest.
    const flags = ['-m', `${SESSIONS}`, '-t', `${SINK_PATIENCE_S}`];
    const sinks = await Promise.all(Array.from({ length: SINKS }, () => startSmtpSink(t, { flags })));
    const backends = sinks.map(({ address }) => formatAddress(address));
    const [{ address: backend }] = sinks as [(typeof sinks)[number]];
    const instance = await startCommand(t, { ...mx(backends), transport, log: { access: false } });
    const alone = await newcomers(t, instance, backend);
    await instance.idle();
    const before = instance.usage().rss;
    const spent = () =>
      [cpuMs(instance.process.pid), sum(sinks.map(sink => cpuMs(sink.process.pid)))] as const;
    const [ownMs, sinksMs] = spent();
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
      `all open after ${((performance.now() - beganMs) / 1_000).toFixed(1)} s, in which the balancer worked for ${Math.round(own - ownMs)} ms and the backends for ${Math.round(others - sinksMs)} ms`,
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
