/** With the programs that operators run: Postfix, postscreen, smtp-source, smtp-sink, swaks, nodemailer. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import t from 'tap';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { loopback } from '../support/free-port.ts';
import { type Instance, mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { smtpSource, startSmtpSink } from '../support/postfix-tools.ts';
import { connectClient } from '../support/smtp-client.ts';
import { swaks } from '../support/swaks.ts';

function ipOf(instance: Instance): IpAddress {
  const address = instance.address();
  if (address.family === 'unix') throw new Error('not an IP address');
  return address;
}

/** smtp-source does not linger: having read the goodbye it resets, at times before the backend has closed. */
const SERVED = { cause: /^(?:normal|client-reset)$/, phase: 'relaying', greetingCode: 220 } as const;

/** How many sessions ended how: `normal/relaying b1`. */
function tally(records: readonly Readonly<Record<string, unknown>>[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { cause, phase, backend } of records) {
    const key = `${cause}/${phase} ${backend}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}

for (const transport of TRANSPORTS) {
  for (const identity of ['proxy-v1', 'proxy-v2'] as const) {
    t.test(
      `${transport}: Postfix behind ${identity} logs the client`,
      needsRoot('postfix', 'swaks'),
      async t => {
        const postfix = await startPostfix(t, { proxyProtocol: true });
        const instance = await startInstance(
          t,
          transport,
          mx([formatAddress(postfix.address)], { identity }, { proxyProtocol: { from: ['127.0.0.5/32'] } }),
        );
        const client = await connectClient(t, instance.address(), { from: '127.0.0.7' });
        await client.expect(220);
        await client.command('EHLO client.example', 250);
        await client.deliver();
        await client.command('QUIT', 221);
        client.end();
        await eventuallyEqual('a message delivered', () => postfix.delivered(), 1);

        // A balancer in front of us names its own client, and Postfix sees that one.
        const proxied = await swaks(t, {
          server: ipOf(instance),
          extra: [
            ...['--local-interface', '127.0.0.5'],
            ...[
              '--proxy-version',
              identity === 'proxy-v1' ? '1' : '2',
              '--proxy-family',
              identity === 'proxy-v1' ? 'TCP4' : 'AF_INET',
            ],
            ...(identity === 'proxy-v1' ? [] : ['--proxy-protocol', 'STREAM', '--proxy-command', 'PROXY']),
            ...['--proxy-source', '192.0.2.33', '--proxy-source-port', '5050'],
            ...['--proxy-dest', '198.51.100.1', '--proxy-dest-port', '25'],
          ],
        });
        t.equal(proxied.exitCode, 0, proxied.stdout + proxied.stderr);
        await eventuallyEqual('two messages delivered', () => postfix.delivered(), 2);
        t.same(await postfix.clients(), ['127.0.0.7', '192.0.2.33']);
        t.match(await instance.sessions(2), [
          { client: /^127\.0\.0\.7:/, via: undefined, cause: 'normal' },
          { client: '192.0.2.33:5050', via: /^127\.0\.0\.5:/, cause: 'normal' },
        ]);
        await instance.idle();
      },
    );
  }

  t.test(`${transport}: Postfix without a header would log the balancer`, needsRoot('postfix'), async t => {
    const postfix = await startPostfix(t);
    const instance = await startInstance(t, transport, mx([formatAddress(postfix.address)]));
    const client = await connectClient(t, instance.address(), { from: '127.0.0.7' });
    await client.expect(220);
    await client.command('QUIT', 221);
    client.end();
    await postfix.logged(/disconnect from/);
    t.same(await postfix.clients(), ['127.0.0.1']);
    await instance.idle();
  });

  t.test(`${transport}: postscreen makes clients wait, and logs them`, needsRoot('postfix'), async t => {
    const postfix = await startPostfix(t, { proxyProtocol: true, postscreen: true });
    const instance = await startInstance(
      t,
      transport,
      mx([formatAddress(postfix.address)], { identity: 'proxy-v2' }),
    );
    const client = await connectClient(t, instance.address(), { from: '127.0.0.7' });
    const startedAt = performance.now();
    await client.until(/^220-.*\r\n/);
    const first = performance.now() - startedAt;
    await client.expect(220);
    t.comment(
      `220- after ${first.toFixed(0)} ms, 220 after ${(performance.now() - startedAt).toFixed(0)} ms`,
    );
    await client.command('EHLO client.example', 250);
    await client.deliver();
    await client.command('QUIT', 221);
    client.end();
    await postfix.logged(/postscreen\[\d+\]: CONNECT from \[127\.0\.0\.7\]/);
    await eventuallyEqual('a message delivered', () => postfix.delivered(), 1);
    t.match(await instance.sessions(1), [{ cause: 'normal', greetingCode: 220 }]);
    await instance.idle();
  });

  t.test(
    `${transport}: what smtp-source sends, two Postfixes have`,
    needsRoot('postfix', 'smtp-source'),
    async t => {
      const [one, two] = [await startPostfix(t), await startPostfix(t)];
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(one.address), formatAddress(two.address)]),
      );
      const sent = await smtpSource(t, {
        address: instance.address(),
        sessions: 8,
        messages: 120,
        length: 20_000,
      });
      t.equal(sent.exitCode, 0, sent.stderr);
      t.equal(sent.messages, 120);
      await eventuallyEqual(
        'all messages',
        async () => (await one.delivered()) + (await two.delivered()),
        120,
      );
      const records = await instance.sessions(120);
      t.comment(
        `delivered ${await one.delivered()} + ${await two.delivered()}; ${JSON.stringify(tally(records))}`,
      );
      for (const record of records) t.match(record, SERVED);
      await instance.idle();
    },
  );

  t.test(`${transport}: smtp-source over two smtp-sinks`, needs('smtp-source', 'smtp-sink'), async t => {
    const sinks = [await startSmtpSink(t, { flags: ['-c'] }), await startSmtpSink(t, { flags: ['-c'] })];
    const instance = await startInstance(
      t,
      transport,
      mx(sinks.map(({ address }) => formatAddress(address))),
    );
    const loads = [
      { sessions: 10, messages: 1_000, length: 4_000 },
      { sessions: 5, messages: 500, keepConnections: true },
    ];
    for (const load of loads) {
      const sent = await smtpSource(t, { address: instance.address(), ...load });
      t.equal(sent.exitCode, 0, sent.stderr);
      t.equal(sent.messages, load.messages);
    }
    await instance.idle();
    const records = instance.log.filter(({ msg }) => msg === 'session');
    // Their counters, after Postfix's own: sessions, then messages.
    const counted = sinks.map(({ process }) => Number(/(\d+)\s*$/.exec(process.stdout)?.[1] ?? 0));
    t.comment(`${JSON.stringify(tally(records))}; the sinks counted ${counted.join(' + ')}`);
    for (const record of records) t.match(record, SERVED);
    t.equal(
      counted.reduce((sum, count) => sum + count, 0),
      1_500,
    );
  });

  t.test(`${transport}: nodemailer to smtp-server`, async t => {
    const bodies: string[] = [];
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      disableReverseLookup: true,
      onData(stream, _session, callback) {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          bodies.push(Buffer.concat(chunks).toString());
          callback();
        });
      },
    });
    server.listen(0, '127.0.0.1');
    await once(server.server, 'listening');
    t.teardown(() => new Promise<void>(resolve => server.close(() => resolve())));
    const { port } = server.server.address() as AddressInfo;
    const instance = await startInstance(t, transport, mx([formatAddress(loopback(port))]));
    const to = ipOf(instance);
    const mailer = createTransport({
      host: to.host,
      port: to.port,
      pool: true,
      maxConnections: 3,
      ignoreTLS: true,
    });
    await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        mailer.sendMail({
          from: 'from@example.org',
          to: 'to@example.com',
          subject: `number ${at}`,
          text: `${'.\r\n..\r\n'.repeat(at)}end of ${at}`,
        }),
      ),
    );
    mailer.close();
    t.equal(bodies.length, 20);
    for (let at = 0; at < 20; at++)
      t.ok(bodies.some(body => body.includes(`end of ${at}\r\n`) && body.includes(`number ${at}`)));
    await instance.idle();
  });
}
