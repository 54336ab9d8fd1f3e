/** Backends that are told by XCLIENT who the client is; and clients who would like to tell them. */
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:tls';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const TRUSTING = [
  'smtpd_authorized_xclient_hosts = 127.0.0.1',
  'smtpd_authorized_xforward_hosts = 127.0.0.1',
];
/** Taken for what it says by a Postfix that trusts us; nobody else's address. */
const FORGED = 'XCLIENT ADDR=203.0.113.66 NAME=forged.example\r\n';

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: Postfix logs the client that XCLIENT names, over TLS too`,
    needsRoot('postfix', 'openssl'),
    async t => {
      const authority = await createAuthority(t);
      const { certFile, keyFile } = await authority.issue({ names: ['mx.example'] });
      for (const tls of [
        { mode: 'none' },
        { mode: 'starttls', ca: authority.certFile, serverName: 'mx.example' },
      ]) {
        const secure = tls.mode === 'starttls';
        const postfix = await startPostfix(t, {
          main: [
            ...TRUSTING,
            'mynetworks = 127.0.0.7/32',
            'smtpd_tls_security_level = may',
            `smtpd_tls_cert_file = ${certFile}`,
            `smtpd_tls_key_file = ${keyFile}`,
          ],
        });
        const pool = { identity: 'xclient', xclient: { required: true }, tls };
        const instance = await startInstance(t, transport, mx([formatAddress(postfix.address)], pool));
        const client = await connectClient(t, instance.address(), { from: '127.0.0.7' });
        await client.expect(/^220 mx\.example ESMTP Postfix.*\r\n$/);
        const { raw } = await client.command('EHLO client.example', 250);
        t.notMatch(raw, /XCLIENT|XFORWARD|STARTTLS/, 'not for the client');
        t.match(raw, /^250-mx\.example\r\n250-PIPELINING\r\n[\s\S]*\r\n250 \S+[^\r]*\r\n$/);
        await client.deliver('Subject: x\r\n\r\nXCLIENT ADDR=1.2.3.4\r\nSTARTTLS\r\n');
        await client.command('QUIT', 221);
        client.end();
        await eventuallyEqual('a message delivered', () => postfix.delivered(), 1);
        await postfix.logged(/client=unknown\[127\.0\.0\.7\]/);

        const stranger = await connectClient(t, instance.address(), { from: '127.0.0.8' });
        await stranger.expect(220);
        await stranger.command('EHLO client.example', 250);
        await stranger.command('MAIL FROM:<a@b.example>', 250);
        await stranger.command('RCPT TO:<c@d.example>', /^[45]54 .*Relay access denied/);
        await stranger.command('QUIT', 221);
        stranger.end();
        t.match(await instance.sessions(2), [{ cause: 'normal', ...(secure && { backendTls: /TLS/ }) }, {}]);
        const metrics = await instance.metrics();
        t.equal(metrics.value('smtplb_backend_xclient_total', { result: 'sent' }), 2);
        await instance.idle();
      }
    },
  );

  t.test(
    `${transport}: a client that says XCLIENT is not heard by Postfix, wherever it says it`,
    needsRoot('postfix'),
    async t => {
      const postfix = await startPostfix(t, { main: TRUSTING });
      const settings = (identity: string) => mx([formatAddress(postfix.address)], { identity });
      const envelope = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n';
      const attacks: readonly (readonly [string, readonly (readonly [string, RegExp | null])[]])[] = [
        ['at once', [[FORGED, null]]],
        ['in any case', [[FORGED.replace('XCLIENT', 'xClient'), null]]],
        ['behind EHLO', [[`EHLO c.example\r\n${FORGED}`, null]]],
        [
          'after EHLO',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            [` ${FORGED}`, null],
          ],
        ],
        [
          'behind a bare LF',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            [`NOOP\n${FORGED}`, null],
          ],
        ],
        [
          'behind a message',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            [`${envelope}DATA\r\n`, /354 /],
            [`x\r\n.\r\n${FORGED}`, null],
          ],
        ],
        [
          'behind a message that ends in another way',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            [`${envelope}DATA\r\n`, /354 /],
            [`x\n.\n${FORGED}`, null],
          ],
        ],
        [
          'behind DATA that is refused',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            [`DATA\r\n${FORGED}`, null],
          ],
        ],
        [
          'behind a chunk',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            [`${envelope}BDAT 4 LAST\r\nx\r\n.${FORGED}`, null],
          ],
        ],
        [
          'STARTTLS',
          [
            ['EHLO c.example\r\n', /250 [^-]/],
            ['STARTTLS\r\n', null],
          ],
        ],
      ];
      const instance = await startInstance(t, transport, settings('xclient'));
      for (const [what, moves] of attacks) {
        const client = await connectClient(t, instance.address());
        await client.expect(220);
        for (const [text, answer] of moves) {
          await client.write(text);
          if (answer !== null) await client.until(answer);
        }
        await client.closed;
        t.pass(what);
      }
      const records = await instance.sessions(attacks.length);
      t.strictSame(
        records.map(({ cause }) => cause),
        attacks.map(() => 'forged-identity'),
      );
      await instance.idle();

      // That the log would show it: a pool that guards nobody, before the same Postfix.
      const weak = await startInstance(t, transport, settings('none'));
      t.notMatch(await postfix.log(), /203\.0\.113\.66/, 'none of them was taken');
      const client = await connectClient(t, weak.address());
      await client.expect(220);
      await client.write(FORGED);
      await client.expect(220);
      await client.write('MAIL FROM:<a@b.example>\r\nQUIT\r\n');
      await postfix.logged(/203\.0\.113\.66/);
      client.end();
      await weak.idle();
    },
  );

  t.test(`${transport}: what passes a guarded session is unchanged`, needsRoot('postfix'), async t => {
    const postfix = await startPostfix(t, { main: [...TRUSTING, 'message_size_limit = 20000000'] });
    const instance = await startInstance(
      t,
      transport,
      mx([formatAddress(postfix.address)], { identity: 'xclient' }),
    );
    const client = await connectClient(t, instance.address());
    await client.expect(220);
    await client.command('EHLO client.example', 250);
    for (let message = 0; message < 3; message++) {
      const body = randomBytes(300_000).toString('base64').replace(/.{72}/g, '$&\r\n');
      const chunk = `Subject: chunks\r\n\r\nXCLIENT ADDR=1\r\n${body}\r\n`;
      await client.write('MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n');
      await client.write(`BDAT ${chunk.length} LAST\r\n${chunk}RSET\r\n`);
      for (let reply = 0; reply < 4; reply++) await client.expect(250);
      await client.deliver(`Subject: x\r\n\r\n${body}\r\n`);
    }
    await client.command('QUIT', 221);
    client.end();
    await eventuallyEqual('messages delivered', () => postfix.delivered(), 6);
    t.match(await instance.sessions(1), [{ cause: 'normal', phase: 'relaying' }]);
    await instance.idle();
  });

  t.test(`${transport}: who does not offer XCLIENT is reported, and used or not`, async t => {
    const plain = await startScriptedBackend(t, smtp());
    for (const required of [false, true]) {
      const pool = { identity: 'xclient', xclient: { required } };
      // Each shard finds it out by itself.
      const settings = { ...mx([formatAddress(plain.address)], pool), shards: 1 };
      const instance = await startInstance(t, transport, settings);
      for (let session = 0; session < 2; session++) {
        const client = await connectClient(t, instance.address());
        await client.expect(required ? 421 : 220);
        if (!required) {
          await client.command('EHLO c.example', 250);
          await client.command('QUIT', 221);
        }
        client.end();
      }
      await instance.sessions(2);
      const lines = instance.log.filter(({ msg }) => /does not offer XCLIENT/.test(String(msg)));
      t.match(lines, [{ level: 'warn', pool: 'mx', backend: 'b1' }]);
      t.equal(lines.length, 1, 'once, not for each session');
      const metrics = await instance.metrics();
      t.ok((metrics.value('smtplb_backend_xclient_total', { result: 'not-offered' }) ?? 0) >= 1);
      await instance.idle();
    }
  });

  t.test(
    `${transport}: a session is guarded for what was done for it, whatever a reload makes of its pool`,
    async t => {
      const reload = new EventEmitter();
      const heard = once(reload, 'now');
      const backend = await startScriptedBackend(t, async connection => {
        await connection.write('220 one ESMTP\r\n');
        await connection.until('EHLO lb.example\r\n');
        await connection.write('250-one\r\n250 XCLIENT ADDR PORT\r\n');
        await connection.until(/XCLIENT ADDR=.*\r\n/);
        reload.emit('now');
        await once(reload, 'done');
        await connection.write('220 two ESMTP\r\n');
        await connection.closed;
      });
      const backends = [formatAddress(backend.address)];
      const instance = await startInstance(t, transport, mx(backends, { identity: 'xclient' }));
      const client = await connectClient(t, instance.address());
      await heard;
      instance.configure(mx(backends, { identity: 'none' }));
      t.match(await instance.server.reload(), { ok: true });
      reload.emit('done');
      await client.expect(/^220 two/);
      await client.write(FORGED);
      await client.closed;
      t.match(await instance.sessions(1), [{ cause: 'forged-identity' }]);
      t.notMatch(String((await backend.connection()).received), /203\.0\.113\.66/);
      await instance.idle();
    },
  );

  t.test(`${transport}: a backend that would believe XCLIENT of any client is named`, async t => {
    const backend = await startScriptedBackend(
      t,
      smtp({ capabilities: ['PIPELINING', 'XCLIENT ADDR PORT'] }),
    );
    const check = { type: 'smtp', interval: '100ms' };
    const named = ({ msg }: Readonly<Record<string, unknown>>) => /so to all its clients/.test(String(msg));
    for (const identity of ['none', 'xclient']) {
      const settings = mx([formatAddress(backend.address)], { identity, check });
      const instance = await startInstance(t, transport, settings);
      const exposed = identity === 'none';
      const { detail } = await instance.logged('a check', ({ msg }) => msg === 'check');
      t.equal(/XCLIENT to smtplb/.test(String(detail)), exposed, 'a check says so');
      if (!exposed) continue;
      for (let session = 0; session < 2; session++) {
        const client = await connectClient(t, instance.address());
        await client.expect(220);
        await client.command('EHLO c.example', 250);
        await client.command('QUIT', 221);
        client.end();
      }
      await instance.sessions(2);
      t.match(instance.log.filter(named), [{ level: 'warn', pool: 'mx', backend: 'b1' }], 'once');
      const metrics = await instance.metrics();
      t.equal(metrics.value('smtplb_backend_xclient_total', { result: 'exposed' }), 2);
      await instance.idle();
    }
  });

  t.test(`${transport}: XCLIENT that is offered and refused means another backend`, async t => {
    const refusing = await startScriptedBackend(t, async connection => {
      await connection.write('220 one ESMTP\r\n');
      await connection.until('EHLO lb.example\r\n');
      await connection.write('250-one\r\n250 XCLIENT ADDR PORT\r\n');
      await connection.until(/XCLIENT ADDR=127\.0\.0\.7 PORT=\d+\r\n/);
      await connection.write('550 5.7.0 insufficient authorization\r\n');
      await connection.closed;
    });
    const good = await startScriptedBackend(t, smtp());
    const backends = [
      { address: formatAddress(refusing.address) },
      { address: formatAddress(good.address), backup: true },
    ];
    const instance = await startInstance(t, transport, mx(backends, { identity: 'xclient' }));
    const client = await connectClient(t, instance.address(), { from: '127.0.0.7' });
    await client.expect(/^220 backend\.example/);
    await client.command('QUIT', 221);
    client.end();
    const retries = [{ backend: 'b1', fault: 'xclient-refused', detail: /"550 5\.7\.0 insufficient/ }];
    t.match(await instance.sessions(1), [{ backend: 'b2', retries }]);
    await instance.idle();
  });

  t.test(
    `${transport}: inside TLS that ends at the listener a client is guarded as well`,
    needsRoot('postfix', 'openssl'),
    async t => {
      const authority = await createAuthority(t);
      const { certFile, keyFile } = await authority.issue({ names: ['lb.example'] });
      const postfix = await startPostfix(t, { main: TRUSTING });
      const listener = { tls: { mode: 'implicit', certificates: [{ cert: certFile, key: keyFile }] } };
      const pool = { identity: 'xclient' };
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(postfix.address)], pool, listener),
      );
      const address = instance.address();
      if (address.family === 'unix') throw new Error('not an IP address');
      for (const last of [FORGED, `MAIL FROM:<a@b.example>\r\nRSET\r\n${FORGED}`]) {
        const socket = connect({
          host: address.host,
          port: address.port,
          ca: authority.cert,
          servername: 'lb.example',
        });
        let heard = '';
        socket
          .on('error', () => {})
          .on('data', bytes => {
            heard += bytes;
            if (/^220 [^\n]*\n$/.test(heard)) socket.write('EHLO client.example\r\n');
            else if (/^250 /m.test(heard) && !socket.writableEnded) socket.end(last);
          });
        // Not `once`, which a reset would reject: ending the session is the answer.
        await new Promise(resolve => socket.on('close', resolve));
        t.match(heard, /250-PIPELINING/);
        t.notMatch(heard, /XCLIENT|STARTTLS|220[\s\S]*220/, 'neither offered nor taken');
      }
      // Before its first mail the listener answers 550 itself; after that the guard ends the session.
      t.match(await instance.sessions(2), [{ cause: 'normal' }, { cause: 'forged-identity' }]);
      t.notMatch(await postfix.log(), /203\.0\.113\.66/);
      await instance.idle();
    },
  );
}
