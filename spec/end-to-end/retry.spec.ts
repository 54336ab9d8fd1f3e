import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { blackHole } from '../support/black-hole.ts';
import { refusingAddress } from '../support/free-port.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startSmtpSink } from '../support/postfix-tools.ts';
import {
  closeAtOnce,
  dieAfter,
  greet,
  resetAtOnce,
  type Script,
  type ScriptedBackend,
  silent,
  smtp,
  startScriptedBackend,
} from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { deliverOne, greetings, ONE_MESSAGE, octetsAt } from './dialogue.ts';

/** A backend that never becomes a session's backend. */
interface Failing {
  readonly what: string;
  readonly at: (owner: Owner) => Promise<{ readonly address: Address; readonly backend?: ScriptedBackend }>;
  /** What it may be called; a reset can overtake the connect. */
  readonly faults: readonly string[];
}

const scripted =
  (script: Script): Failing['at'] =>
  async owner => {
    const backend = await startScriptedBackend(owner, script);
    return { address: backend.address, backend };
  };

const FAILING: readonly Failing[] = [
  { what: 'refuses', at: async () => ({ address: await refusingAddress() }), faults: ['refused'] },
  { what: 'is a black hole', at: async t => ({ address: await blackHole(t) }), faults: ['connect-timeout'] },
  { what: 'resets at once', at: scripted(resetAtOnce), faults: ['refused', 'reset-early'] },
  { what: 'closes at once', at: scripted(closeAtOnce), faults: ['closed-early'] },
  { what: 'is silent', at: scripted(silent), faults: ['greeting-timeout'] },
  { what: 'stops within its greeting', at: scripted(greet('220-mx')), faults: ['greeting-timeout'] },
  ...['2', '22', '220', '220-x', '220 x\r'].flatMap(text => [
    {
      what: `closes after ${JSON.stringify(text)}`,
      at: scripted(dieAfter(text, 'close')),
      faults: ['closed-early'],
    },
    {
      what: `resets after ${JSON.stringify(text)}`,
      at: scripted(dieAfter(text, 'reset')),
      faults: ['refused', 'reset-early'],
    },
  ]),
];

/** Short enough for a test; who has to fail in another way must not be timed out on a busy machine. */
const QUICK = { timeout: '1s', greetingTimeout: '1s' };

const PROXY_LINE = /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n/;

/** The backends of a pool: one to fail, one to take what it failed. */
const pair = (bad: { readonly address: Address }, good: { readonly address: Address }) => ({
  backends: [
    { name: 'b1', address: formatAddress(bad.address) },
    { name: 'b2', address: formatAddress(good.address), backup: true },
  ],
});

/** The first line, and what is behind it. */
function split(text: string): [string, string] {
  const end = text.indexOf('\r\n') + 2;
  return [text.slice(0, end), text.slice(end)];
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: a backend that fails is left for another; the client sees one greeting`, async t => {
    const scenes = await Promise.all(
      FAILING.map(async (failing, index) => ({
        ...failing,
        pool: `p${index}`,
        bad: await failing.at(t),
        good: await startScriptedBackend(t, smtp()),
      })),
    );
    const instance = await startInstance(t, transport, {
      listeners: scenes.map(({ pool }) => ({ name: pool, pool })),
      pools: scenes.map(({ pool, faults, bad, good }) => ({
        name: pool,
        ...(faults.some(fault => fault.endsWith('timeout')) && { connect: QUICK }),
        ...pair(bad, good),
      })),
    });
    // All at once, and looked at when they are over: what that takes would hold up those that are not.
    const played = await Promise.all(
      scenes.map(async scene => {
        const from = performance.now();
        const client = await connectClient(t, instance.address(scene.pool));
        await deliverOne(client);
        return { ...scene, client, tookMs: performance.now() - from };
      }),
    );
    await instance.idle();
    const metrics = await instance.metrics();
    for (const { what, faults, pool, bad, good, client, tookMs } of played)
      await t.test(what, async t => {
        t.equal(greetings(client), 1, 'one greeting');
        t.match(
          client.received.toString('latin1'),
          /^220 backend\.example ESMTP\r\n/,
          'and nothing before it',
        );
        t.equal(good.connections.length, 1, 'one connection to the good backend');
        t.equal(good.connections[0]?.received.toString('latin1'), ONE_MESSAGE, 'every octet once');
        if (bad.backend !== undefined) t.equal(octetsAt(bad.backend), 0, 'no octet at the bad one');

        const record = await instance.sessionAt(pool);
        t.match(record, { backend: 'b2', cause: 'normal', retries: [{ backend: 'b1', fault: String }] });
        const fault = String((record as { retries?: { fault: string }[] }).retries?.[0]?.fault);
        t.ok(faults.includes(fault), `called ${fault}`);
        t.equal(metrics.sum('smtplb_retries_total', { pool }), 1);
        t.equal(metrics.value('smtplb_retries_total', { pool, reason: fault }), 1);
        t.equal(metrics.sum('smtplb_backend_failures_total', { pool }), 1);
        t.equal(metrics.value('smtplb_backend_failures_total', { pool, backend: 'b1', reason: fault }), 1);
        await good.idle();
        await Promise.all(bad.backend?.connections.map(connection => connection.closed) ?? []);
        t.comment(`${fault}; session of ${tookMs.toFixed(1)} ms`);
      });
  });

  t.test(
    `${transport}: each backend tried has a PROXY header of its own, and nothing else before its greeting`,
    async t => {
      const cases = ['', '22', '220-x', '220 x\r'].flatMap(text => [
        { text, how: 'close', fault: 'closed-early' } as const,
        { text, how: 'reset', fault: 'reset-early' } as const,
      ]);
      const scenes = await Promise.all(
        cases.map(async ({ text, how, fault }, index) => ({
          pool: `p${index}`,
          what: `${how} after ${JSON.stringify(text)}`,
          fault,
          // Having the header, it is sure that the connection stands, and a reset no refusal.
          bad: await startScriptedBackend(t, async connection => {
            await connection.until(PROXY_LINE);
            await connection.writePieces([text, '', '']);
            await dieAfter('', how)(connection);
          }),
          good: await startScriptedBackend(t, async connection => {
            await connection.until(PROXY_LINE);
            await smtp()(connection);
          }),
        })),
      );
      const instance = await startInstance(t, transport, {
        listeners: scenes.map(({ pool }) => ({ name: pool, pool })),
        pools: scenes.map(({ pool, bad, good }) => ({
          name: pool,
          identity: 'proxy-v1',
          ...pair(bad, good),
        })),
      });
      for (const { pool, what, fault, bad, good } of scenes) {
        const client = await connectClient(t, instance.address(pool));
        await client.write(ONE_MESSAGE.slice(0, 10)); // early, too
        await client.expect(220);
        await client.write(ONE_MESSAGE.slice(10));
        await client.until('221 2.0.0 backend.example\r\n');
        client.end();
        t.equal(greetings(client), 1);
        t.match(await instance.sessionAt(pool), {
          backend: 'b2',
          cause: 'normal',
          retries: [{ backend: 'b1', fault }],
        });
        for (const [backend, behind] of [
          [bad, ''],
          [good, ONE_MESSAGE],
        ] as const) {
          t.equal(backend.connections.length, 1);
          const [line = '', rest] = split(backend.connections[0]?.received.toString('latin1') ?? '');
          t.match(line, PROXY_LINE);
          t.equal(rest, behind, what);
        }
      }
      await instance.idle();
    },
  );

  t.test(`${transport}: no more backends are tried than connect.attempts says, then 421`, async t => {
    const refusing = await Promise.all(Array.from({ length: 5 }, refusingAddress));
    for (const attempts of [1, 3]) {
      const instance = await startInstance(
        t,
        transport,
        mx(refusing.map(formatAddress), { connect: { attempts } }),
      );
      const client = await connectClient(t, instance.address());
      t.match(await client.reply(), { raw: /^421 4\.3\.2 lb\.example / });
      await client.expectClosed('fin');
      client.end();
      const [record] = await instance.sessions(1);
      t.match(record, { cause: 'backend-refused', phase: 'connecting', termination: 'rC' });
      const tried = (record as { retries: { backend: string }[] }).retries.map(one => one.backend);
      t.equal(tried.length, attempts);
      t.equal(new Set(tried).size, attempts, 'none of them twice');
      const metrics = await instance.metrics();
      t.equal(metrics.sum('smtplb_retries_total'), attempts - 1);
      t.equal(metrics.value('smtplb_sessions_total', { cause: 'backend-refused', phase: 'connecting' }), 1);
      await instance.idle();
    }
  });

  t.test(`${transport}: where all backends refuse, the client hears 421 at once`, async t => {
    const refusing = await Promise.all([refusingAddress(), refusingAddress()]);
    const passiveHealth = { pause: '1m', maxPause: '1m' };
    const instance = await startInstance(t, transport, mx(refusing.map(formatAddress), { passiveHealth }));
    const tookMs: number[] = [];
    const causes: unknown[] = [];
    // The first few find out, and eject the backends; the rest find none to try.
    for (let count = 1; count <= 10; count++) {
      const from = performance.now();
      const client = await connectClient(t, instance.address());
      t.match(await client.reply(), { raw: /^421 4\.3\.2 lb\.example [^\r\n]+\r\n$/ });
      tookMs.push(performance.now() - from);
      await client.expectClosed('fin');
      client.end();
      causes.push((await instance.sessions(count)).at(-1)?.['cause']);
    }
    const [, , , , , median = 0] = tookMs.toSorted((a, b) => a - b);
    t.ok(median < 5_000, 'no timeout of a connect is waited for');
    t.equal(causes[0], 'backend-refused');
    t.equal(causes.at(-1), 'no-backend', 'both have been ejected');
    t.comment(
      `of ${tookMs.length} the median ${median.toFixed(1)} ms, the slowest ${Math.max(...tookMs).toFixed(1)} ms; causes ${[...new Set(causes)]}`,
    );
    await instance.idle();
  });

  t.test(
    `${transport}: a stopped backend costs one greeting timeout; others do not notice`,
    needs('smtp-sink'),
    async t => {
      const stopped = await startSmtpSink(t, { hostName: 'stopped.example' });
      const good = await startScriptedBackend(t, smtp());
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(stopped.address), { address: formatAddress(good.address), backup: true }], {
          connect: QUICK,
          passiveHealth: { failures: 2, pause: '1m', maxPause: '1m' },
        }),
      );
      const before = await connectClient(t, instance.address());
      await before.expect(/^220 stopped\.example/);
      await before.command('EHLO early.example', 250);

      stopped.process.kill('SIGSTOP');
      const other = connectClient(t, instance.address());
      const client = await connectClient(t, instance.address());
      const from = performance.now();
      await Promise.all([client, await other].map(deliverOne));
      const stoppedMs = performance.now() - from;
      t.equal(greetings(client), 1);
      const after = performance.now();
      await deliverOne(await connectClient(t, instance.address()));
      const ejectedMs = performance.now() - after;

      stopped.process.kill('SIGCONT');
      await before.deliver();
      await before.command('QUIT', 221);
      before.end();
      const records = await instance.sessions(4);
      t.match(
        records.map(record => record['retries']),
        [[{ fault: 'greeting-timeout' }], [{ fault: 'greeting-timeout' }], [], []],
        'once it is ejected nobody waits for it',
      );
      t.match(records.at(-1), { backend: 'b1', cause: 'normal' }, 'the session it had goes on');
      t.comment(`while stopped ${stoppedMs.toFixed(0)} ms, once ejected ${ejectedMs.toFixed(0)} ms`);
      await instance.idle();
    },
  );
}
