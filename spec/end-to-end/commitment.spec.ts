import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { refusingAddress } from '../support/free-port.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { dieAfter, type Script, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { deliverOne, greetings, ONE_MESSAGE, octetsAt } from './dialogue.ts';

/** Says it and waits for the other side to leave. */
const saysAndWaits =
  (text: string): Script =>
  async connection => {
    await connection.write(text);
    await connection.closed;
    connection.end();
  };

const BUSY = '421-4.7.0 too many of you\r\n421 4.7.0 come back later\r\n';

for (const transport of TRANSPORTS) {
  for (const how of ['close', 'reset'] as const) {
    t.test(
      `${transport}: a backend that greets with 220- and dies (${how}) takes the client with it`,
      async t => {
        const dying = await startScriptedBackend(t, async connection => {
          await connection.write('220-x\r\n');
          await connection.until('go\r\n'); // the line has been read by the client
          await dieAfter('', how)(connection);
        });
        const good = await startScriptedBackend(t, smtp());
        const instance = await startInstance(
          t,
          transport,
          mx([formatAddress(dying.address), { address: formatAddress(good.address), backup: true }]),
        );
        const client = await connectClient(t, instance.address());
        await client.until('220-x\r\n');
        await client.send('go');
        await client.expectClosed(how === 'close' ? 'fin' : 'rst');
        client.end();
        t.equal(
          client.received.toString('latin1'),
          '220-x\r\n',
          'the client has what was said, and no word more',
        );
        t.equal(good.connections.length, 0, 'nobody else was asked');
        const [record] = await instance.sessions(1);
        t.match(record, {
          backend: 'b1',
          retries: [],
          cause: how === 'close' ? 'backend-closed' : 'backend-reset',
          phase: 'handshaking',
        });
        await instance.idle();
        await dying.idle();
      },
    );
  }

  t.test(`${transport}: a greeting of retryOnGreeting leads to another backend`, async t => {
    const busy = await startScriptedBackend(t, saysAndWaits(BUSY));
    const good = await startScriptedBackend(t, smtp());
    const instance = await startInstance(
      t,
      transport,
      mx([formatAddress(busy.address), { address: formatAddress(good.address), backup: true }], {
        connect: { retryOnGreeting: [421] },
      }),
    );
    for (let count = 1; count <= 5; count++) {
      const client = await connectClient(t, instance.address());
      await deliverOne(client);
      t.equal(greetings(client), 1);
      t.notMatch(client.received.toString('latin1'), /421/);
    }
    t.equal(good.connections.length, 5);
    t.ok(good.connections.every(one => one.received.toString('latin1') === ONE_MESSAGE));
    t.equal(octetsAt(busy), 0);
    for (const record of await instance.sessions(5)) {
      t.match(record, { backend: 'b2', retries: [{ backend: 'b1', fault: 'busy-greeting' }] });
    }
    const metrics = await instance.metrics();
    t.equal(metrics.value('smtplb_retries_total', { reason: 'busy-greeting' }), 5);
    t.equal(metrics.value('smtplb_backend_failures_total', { backend: 'b1', reason: 'busy-greeting' }), 5);
    t.equal(metrics.value('smtplb_backend_ejected', { backend: 'b1' }), 0, 'it is busy, not broken');
    await instance.idle();
    await busy.idle();
  });

  t.test(`${transport}: a refusing greeting that nobody can better is passed on as it is`, async t => {
    const cases = [
      { why: '421 with no other backend', text: BUSY, connect: { retryOnGreeting: [421] }, others: 'none' },
      { why: '421 with no attempt left', text: BUSY, connect: { retryOnGreeting: [421], attempts: 1 } },
      {
        why: '450, which is not listed',
        text: '450 4.7.1 greylisted\r\n',
        connect: { retryOnGreeting: [421] },
      },
      { why: '421, with nothing listed', text: BUSY, connect: {} },
      { why: '554, with nothing listed', text: '554 5.7.1 go away\r\n', connect: {} },
    ];
    for (const { why, text, connect, others } of cases) {
      const busy = await startScriptedBackend(t, saysAndWaits(text));
      const good = await startScriptedBackend(t, smtp());
      const another = others === 'none' ? [] : [{ address: formatAddress(good.address), backup: true }];
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(busy.address), ...another], { connect }),
      );
      const client = await connectClient(t, instance.address());
      t.equal((await client.reply()).raw, text, why);
      await client.send('QUIT');
      client.end();
      await client.expectClosed('fin');
      t.equal(client.received.toString('latin1'), text, 'and nothing else');
      t.equal(busy.connections[0]?.received.toString('latin1'), 'QUIT\r\n');
      t.equal(good.connections.length, 0);
      const [record] = await instance.sessions(1);
      t.match(record, {
        backend: 'b1',
        retries: [],
        cause: 'normal',
        greetingCode: Number(text.slice(0, 3)),
      });
      const metrics = await instance.metrics();
      t.equal(metrics.sum('smtplb_retries_total'), 0);
      t.equal(metrics.sum('smtplb_backend_failures_total'), 0);
      await instance.idle();
      await busy.idle();
    }
  });

  t.test(
    `${transport}: a backend at its limit has no other beside it: the busy one's words are passed on`,
    async t => {
      const busy = await startScriptedBackend(t, saysAndWaits(BUSY));
      const full = await startScriptedBackend(t, smtp());
      const instance = await startInstance(
        t,
        transport,
        mx(
          [formatAddress(full.address), formatAddress(busy.address)].map(address => ({
            address,
            maxConnections: 1,
          })),
          { connect: { retryOnGreeting: [421] }, balance: 'round-robin' },
        ),
      );
      const first = await connectClient(t, instance.address());
      await first.expect(220);
      const second = await connectClient(t, instance.address());
      t.equal((await second.reply()).raw, BUSY);
      second.end();
      await second.expectClosed('fin');
      await first.command('QUIT', 221);
      first.end();
      await instance.idle();
    },
  );

  t.test(
    `${transport}: a busy greeting, then a backend that refuses: 421 of our own, both in the record`,
    async t => {
      const busy = await startScriptedBackend(t, saysAndWaits(BUSY));
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(busy.address), { address: formatAddress(await refusingAddress()), backup: true }], {
          connect: { retryOnGreeting: [421] },
        }),
      );
      const client = await connectClient(t, instance.address());
      await client.expect(/^421 4\.3\.2 lb\.example /);
      await client.expectClosed('fin');
      client.end();
      const [record] = await instance.sessions(1);
      t.match(record, {
        cause: 'backend-refused',
        retries: [
          { backend: 'b1', fault: 'busy-greeting' },
          { backend: 'b2', fault: 'refused' },
        ],
      });
      await instance.idle();
      await busy.idle();
    },
  );
}
