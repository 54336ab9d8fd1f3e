/** The monitor with real sockets and real time. */
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { printable } from '../../lib/core/text.ts';
import { createMonitor } from '../../lib/health/monitor.ts';
import { OUTCOMES, type Outcome } from '../../lib/health/outcome.ts';
import { startProbe } from '../../lib/health/probe.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { blackHole } from '../support/black-hole.ts';
import { eventually, within } from '../support/eventually.ts';
import { freePort, loopback } from '../support/free-port.ts';
import { type Script, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { checked } from './probing.ts';

const FAST = { intervalMs: 100, timeoutMs: 5_000, rise: 2, fall: 3 };

function sockets(): number {
  return process
    .getActiveResourcesInfo()
    .filter(name => /TCPSocketWrap|TLSWrap|PipeWrap|ConnectWrap/.test(name)).length;
}

t.test('a backend dies, returns, and flaps', async t => {
  const port = await freePort();
  const changes: string[] = [];
  const outcomes: Outcome[] = [];
  const monitor = createMonitor({
    onChange: (_pool, _backend, { health, outcome }) => changes.push(`${health} ${outcome}`),
    onResult: (_pool, _backend, { outcome }) => outcomes.push(outcome),
  });
  t.teardown(() => monitor.stop());
  const startedAt = performance.now();
  let backend = await startScriptedBackend(t, smtp(), { port });
  monitor.update([checked(loopback(port), FAST)]);
  await eventually('two good checks', () => outcomes.length >= 2);
  await backend.stop();
  await eventually('down', () => changes.length === 1);
  backend = await startScriptedBackend(t, smtp(), { port });
  await eventually('up', () => changes.length === 2);
  t.same(changes, ['down refused', 'up ok']);
  t.match(monitor.of('mx', 'b1'), { health: 'up', outcome: 'ok' });
  t.comment(
    `down and up again in ${(performance.now() - startedAt).toFixed(0)} ms, at an interval of 100 ms`,
  );
  await backend.stop();

  // Good for one check, bad for the next, as the check itself sees it.
  outcomes.length = 0;
  let connections = 0;
  const moody: Script = connection => (connections++ % 2 === 0 ? smtp()(connection) : connection.destroy());
  await startScriptedBackend(t, moody, { port });
  await eventually('twelve checks', () => outcomes.length >= 12);
  t.ok(changes.length <= 3, `${changes.length - 2} more changes in 12 checks that alternate`);
});

t.test('a step of the wall clock changes nothing', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const outcomes: Outcome[] = [];
  const monitor = createMonitor({
    onChange: (_pool, _backend, { health }) => t.fail(`a change to ${health}`),
    onResult: (_pool, _backend, { outcome }) => outcomes.push(outcome),
  });
  t.teardown(() => monitor.stop());
  monitor.update([checked(backend.address, FAST)]);
  await eventually('a check', () => outcomes.length >= 1);
  const { now } = Date;
  t.teardown(() => {
    Date.now = now;
  });
  for (const stepMs of [3_600_000, -3_600_000]) {
    Date.now = () => now() + stepMs;
    const startedAt = performance.now();
    const count = outcomes.length;
    await eventually('ten checks', () => outcomes.length >= count + 10);
    const tookMs = performance.now() - startedAt;
    t.comment(`ten checks in ${tookMs.toFixed(0)} ms after a step of ${stepMs / 60_000} minutes`);
    t.ok(tookMs > 800, 'neither hurried nor held up');
  }
  t.ok(outcomes.every(outcome => outcome === 'ok'));
  t.ok(monitor.of('mx', 'b1').sinceMs > 0);
});

t.test('stop ends probes in every phase, and leaves no socket', async t => {
  const hole = await blackHole(t);
  const silent = await startScriptedBackend(t, async connection => {
    await connection.closed;
    connection.destroy();
  });
  const mute = await startScriptedBackend(t, async connection => {
    await connection.write('220 mx\r\n');
    await connection.until('QUIT\r\n', 60_000);
    connection.end();
  });
  const filling = sockets();
  let dialled = 0;
  const monitor = createMonitor({
    onChange: () => t.fail('a change'),
    onResult: () => t.fail('a result'),
    probe(backend) {
      dialled++;
      return startProbe(backend);
    },
  });
  const slow = { intervalMs: 100, timeoutMs: 60_000 };
  monitor.update(
    [hole, silent.address, mute.address].map((address, at) => ({
      ...checked(address, slow),
      backend: `b${at}`,
    })),
  );
  await silent.connection();
  const spoken = await mute.connection();
  await eventually('EHLO', () => spoken.octets > 0);
  await eventually('all dialled', () => dialled === 3);
  await within('the monitor to stop', monitor.stop());
  await Promise.all([silent.idle(), mute.idle()]);
  await eventually('no socket of ours', () => sockets() <= filling);
  t.equal(spoken.closing, 'fin', 'in order, where the backend spoke');
});

t.test('500 checks leave no descriptor behind', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const check = checked(backend.address);
  const probe = async (): Promise<void> => {
    const { result, closed } = startProbe(check);
    await closed;
    if ((await result)?.outcome !== 'ok') throw new Error('not ok');
  };
  await probe();
  await backend.idle();
  const before = descriptors();
  for (let count = 0; count < 25; count++) await Promise.all(Array.from({ length: 20 }, probe));
  await backend.idle();
  await eventually('the descriptors of before', () => descriptors() <= before);
});

t.test('whatever a backend says, a check ends in time with an outcome', async t => {
  const seed = seedOfRun();
  t.comment(`SMTPLB_SEED=${seed}`);
  const random = randomFrom(seed);
  const words = [
    ...[
      '220 mx\r\n',
      '220-mx\r\n',
      '250 ok\r\n',
      '250-STARTTLS\r\n',
      '250 STARTTLS\r\n',
      '221 bye\r\n',
      '354 go\r\n',
    ],
    ...[
      '421 4.3.0 no\r\n',
      '500 5.5.2 what\r\n',
      '554 5.5.0 sync\r\n',
      '521 5.5.1 no\r\n',
      '999 x\r\n',
      '2',
      '250',
      '\r\n',
      '\n',
      '\0',
    ],
    ...[
      '\x16\x03\x01\x02\x00\x01\x00',
      'HTTP/1.1 400 Bad Request\r\n\r\n',
      'x'.repeat(600),
      '\xff\xfe',
      ' ',
      '-',
    ],
  ];
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {});
    const ends = random.below(4);
    const say = (): void => {
      for (let count = random.below(4); count > 0 && socket.writable; count--)
        socket.write(random.pick(words), 'latin1');
      if (ends === 0 && random.below(3) === 0) socket.destroy();
      else if (ends === 1 && random.below(3) === 0) socket.resetAndDestroy();
      else if (ends === 2 && random.below(3) === 0) socket.end();
    };
    if (random.below(3) > 0) socket.write('220 mx\r\n');
    say();
    socket.on('data', say);
    socket.on('end', () => socket.end());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise(resolve => server.close(resolve)));
  const bound = server.address();
  const address = loopback(typeof bound === 'object' && bound !== null ? bound.port : 0);

  // Long enough for a busy machine to answer, short enough for the many who never do.
  const timeoutMs = 2_000;
  const found = new Map<string, number>();
  let slowest = 0;
  const play = async (): Promise<void> => {
    const identity = random.pick(['none', 'proxy-v1', 'proxy-v2'] as const);
    const more = {
      ...(random.below(2) === 0 && {
        starttls: { verify: random.below(2) === 0, serverName: undefined, ca: undefined },
      }),
      ...(random.below(2) === 0 && { mail: { from: '', to: 'x@example.net' } }),
    };
    const { result, closed } = startProbe(checked(address, { identity, timeoutMs, ...more }));
    const verdict = await within('a result', result);
    if (verdict === null) throw new Error('no result');
    found.set(verdict.outcome, (found.get(verdict.outcome) ?? 0) + 1);
    slowest = Math.max(slowest, verdict.durationMs);
    if (verdict.detail === '' || printable(verdict.detail, 800) !== verdict.detail)
      throw new Error(`a detail that is none: ${JSON.stringify(verdict.detail)}`);
    await within('its end', closed);
  };
  for (let count = 0; count < 2; count++) await Promise.all(Array.from({ length: 200 }, play));
  t.comment(`${JSON.stringify(Object.fromEntries(found))}, slowest ${slowest.toFixed(0)} ms of ${timeoutMs}`);
  t.ok([...found.keys()].every(outcome => outcome in OUTCOMES));
  // Where this machine stands still for long, checks find that they were held up, and little else.
  t.ok(found.size >= 6 || found.has('failed'), `${found.size} outcomes`);
  t.ok(slowest < timeoutMs + 10_000, 'it is a bound, on a busy machine too');
});
