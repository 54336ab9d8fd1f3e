import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const CLIENT_HELLO = Buffer.from('16030100050100000103', 'hex');

/** What a browser, or a TLS client, says to a mail port; and how much of it may have passed when it is recognised. */
const FOREIGN: readonly { readonly name: string; readonly bytes: Buffer; readonly word: number }[] = [
  {
    name: 'GET',
    bytes: Buffer.from('GET / HTTP/1.1\r\nHost: mx.example.net:25\r\n\r\n'),
    word: 'GET'.length,
  },
  {
    name: 'POST with commands in its body',
    bytes: Buffer.from(
      'POST / HTTP/1.1\r\nContent-Length: 70\r\n\r\nEHLO evil\r\nMAIL FROM:<a@b>\r\nDATA\r\n',
    ),
    word: 'POST'.length,
  },
  {
    name: 'CONNECT',
    bytes: Buffer.from('CONNECT mx.example.net:25 HTTP/1.1\r\n\r\n'),
    word: 'CONNECT'.length,
  },
  { name: 'OPTIONS in lower case', bytes: Buffer.from('options * http/1.1\r\n\r\n'), word: 'OPTIONS'.length },
  { name: 'HTTP/2 preface', bytes: Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), word: 'PRI'.length },
  { name: 'TLS ClientHello', bytes: CLIENT_HELLO, word: 0 },
];

for (const transport of TRANSPORTS) {
  for (const { name, bytes, word } of FOREIGN) {
    t.test(`${transport}: ${name} ends the session, and the backend hears nothing of it`, async t => {
      const backend = await startScriptedBackend(t, async connection => {
        await connection.write('220 mx.example\r\n');
        await connection.closed;
        connection.end();
      });
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
      const pieces = Array.from(bytes, octet => Uint8Array.of(octet));
      const heard: number[] = [];
      for (const way of ['at once', 'before the greeting', 'byte by byte'] as const) {
        const client = await connectClient(t, instance.address());
        if (way !== 'before the greeting') await client.expect(220);
        if (way === 'byte by byte') await client.writePieces(pieces);
        else await client.write(bytes);
        await client.closed;
        client.destroy();
        const connection = await backend.connection(heard.length);
        await connection.closed;
        t.equal(client.received.toString('latin1'), '220 mx.example\r\n', `${way}: no word but the greeting`);
        if (way !== 'byte by byte') t.equal(connection.octets, 0, `${way}: not an octet`);
        else
          t.ok(
            connection.octets <= word,
            `${way}: ${connection.octets} octets, less than a word and a blank`,
          );
        t.notMatch(connection.received.toString('latin1'), /[\r\n]/, 'no line');
        heard.push(connection.octets);
        const records = await instance.sessions(heard.length);
        t.match(records.at(-1), {
          cause: 'foreign-protocol',
          phase: 'handshaking',
          termination: 'PH',
          backend: 'b1',
        });
      }
      const metrics = await instance.metrics();
      t.equal(metrics.value('smtplb_sessions_total', { cause: 'foreign-protocol', phase: 'handshaking' }), 3);
      t.equal(metrics.sum('smtplb_backend_failures_total'), 0);
      await instance.idle();
      t.comment(`octets at the backend: ${heard}`);
    });
  }

  t.test(`${transport}: the same words after EHLO are the backend's business`, async t => {
    const backend = await startScriptedBackend(t, async connection => {
      await connection.write('220 mx.example\r\n');
      await connection.until('EHLO c.example\r\n');
      await connection.write('250 mx.example\r\n');
      await connection.until('GET / HTTP/1.1\r\n');
      await connection.write('221 2.7.0 that is no SMTP\r\n');
      connection.end();
    });
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
    const client = await connectClient(t, instance.address());
    await client.expect(220);
    await client.command('EHLO c.example', 250);
    await client.command('GET / HTTP/1.1', 221);
    await client.expectClosed('fin');
    client.end();
    t.match(await instance.sessions(1), [{ cause: 'normal', phase: 'relaying' }]);
    await instance.idle();
  });
}
