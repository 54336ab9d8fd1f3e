import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance, WITH_NET } from '../support/instance.ts';
import { type Misdeed, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const GREETING = '220 backend.example ESMTP\r\n';
const HELLO = '250-backend.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n';
const OK = '250 2.0.0 ok\r\n';

/** The last words a client says to a backend that dies on hearing them, and all that it has heard by then. */
const DEATHS: readonly {
  readonly at: NonNullable<Misdeed['dieAt']>;
  readonly lines: readonly string[];
  readonly last: string;
  readonly heard: string;
}[] = [
  { at: 'ehlo', lines: [], last: 'EHLO client.example\r\n', heard: GREETING },
  {
    at: 'mail',
    lines: ['EHLO client.example'],
    last: 'MAIL FROM:<a@b.example>\r\n',
    heard: GREETING + HELLO,
  },
  {
    at: 'data',
    lines: ['EHLO client.example', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>'],
    last: 'DATA\r\n',
    heard: GREETING + HELLO + OK + OK,
  },
  {
    at: 'body',
    lines: ['EHLO client.example', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA'],
    last: 'Subject: half a mess',
    heard: `${GREETING + HELLO + OK + OK}354 go on\r\n`,
  },
];

for (const transport of WITH_NET) {
  t.test(`${transport}: a backend that dies takes the session with it, nothing is made up`, async t => {
    const scenes = await Promise.all(
      DEATHS.flatMap(death => (['close', 'reset'] as const).map(how => ({ ...death, how }))).map(
        async scene => ({
          ...scene,
          pool: `${scene.at}-${scene.how}`,
          dying: await startScriptedBackend(t, smtp({ dieAt: scene.at, how: scene.how })),
          good: await startScriptedBackend(t, smtp()),
        }),
      ),
    );
    const instance = await startInstance(t, transport, {
      listeners: scenes.map(({ pool }) => ({ name: pool, pool })),
      pools: scenes.map(({ pool, dying, good }) => ({
        name: pool,
        backends: [
          { name: 'b1', address: formatAddress(dying.address) },
          { name: 'b2', address: formatAddress(good.address), backup: true },
        ],
      })),
    });
    for (const { at, how, pool, lines, last, heard, dying, good } of scenes)
      await t.test(`at ${at} (${how})`, async t => {
        const client = await connectClient(t, instance.address(pool));
        await client.expect(220);
        for (const line of lines) await client.command(line);
        const from = performance.now();
        await client.write(last);
        await client.expectClosed(how === 'close' ? 'fin' : 'rst');
        const tookMs = performance.now() - from;
        client.end();
        t.equal(
          client.received.toString('latin1'),
          heard,
          'the client has heard the backend and nobody else',
        );
        t.equal(good.connections.length, 0, 'nothing is replayed to another');
        t.equal(
          dying.connections[0]?.received.toString('latin1'),
          lines.map(line => `${line}\r\n`).join('') + last,
          'each octet once',
        );
        const record = await instance.sessionAt(pool);
        const inHandshake = at === 'ehlo';
        t.match(record, {
          backend: 'b1',
          retries: [],
          phase: inHandshake ? 'handshaking' : 'relaying',
          cause: how === 'reset' ? 'backend-reset' : inHandshake ? 'backend-closed' : 'normal',
          bytesFromClient: dying.connections[0]?.octets,
          bytesFromBackend: heard.length,
        });
        await instance.idle();
        t.comment(`closed ${tookMs.toFixed(1)} ms after; record ${record['termination']}`);
      });
  });

  t.test(
    `${transport}: a backend that dies with replies on their way: they arrive, then the end`,
    async t => {
      const replies = `${'250-x'.padEnd(70, 'x')}\r\n`.repeat(20_000);
      const dying = await startScriptedBackend(t, async connection => {
        await connection.write(GREETING);
        await connection.until('HELP\r\n');
        await connection.write(replies);
        connection.end();
      });
      const instance = await startInstance(t, transport, mx([formatAddress(dying.address)]));
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      client.pause();
      await client.send('HELP');
      await eventually('the backend to hear it', () => dying.connections[0]?.octets === 'HELP\r\n'.length);
      client.resume();
      await client.expectClosed('fin');
      client.end();
      t.equal(client.octets, GREETING.length + replies.length);
      t.ok(client.received.toString('latin1') === GREETING + replies, 'every octet, in order');
      await instance.idle();
    },
  );
}
